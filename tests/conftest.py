"""What holds for every test."""

from hypothesis import HealthCheck, settings

# How fast the machine is decides no law: what takes too long ends at pytest's own limit.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")
