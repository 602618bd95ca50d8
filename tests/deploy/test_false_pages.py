"""By chance alone the second line rings less than a tenth of what the whole service is allowed."""

import re

import pytest
from deployed import alerts
from scipy.stats import poisson

from consumers.app.settings import Settings
from monitor.display.rules.records import NEED, SILENT

REGIONS = 1024
LOOK_S = 5
"""As often as the rules are looked at: as if each look were a new sample, which is too many."""

PERIOD_S = Settings.model_fields["budget_days"].default * 86_400
LOOKS = REGIONS * PERIOD_S / LOOK_S


def burnt(name):
    """Return how likely it is at one look that a good region has too many strange showers."""
    expression = alerts()[name]["expr"]
    times, least = (float(re.search(f"{sign} ([\\d.]+)", expression)[1]) for sign in (">", ">="))
    # The ratio must pass `times` and the count `least`: worst where both do at once.
    return poisson.sf(least - 1, least / times)


def test_burn_rates_that_page_do_so_by_chance_less_than_once_in_thirty_years():
    assert LOOKS * burnt("CaloAnomalyFlood") < 30 / (365.25 * 30)
    assert LOOKS * burnt("CaloAnomalySpike") < 30 / (365.25 * 30)


def test_a_region_is_called_silent_by_chance_less_than_a_twentieth_of_the_allowed():
    assert LOOKS * len(SILENT) * poisson.pmf(0, NEED) < 0.05


def test_all_together_stay_within_a_tenth_of_the_allowed_false_pages():
    allowed = 1.0  # in so many days
    burns = burnt("CaloAnomalyFlood") + burnt("CaloAnomalySpike")
    assert LOOKS * (burns + len(SILENT) * poisson.pmf(0, NEED)) < 0.1 * allowed


@pytest.mark.parametrize("window", SILENT)
def test_no_window_asks_for_less_than_that(window):
    expression = alerts()["CaloRegionSilent"]["expr"]
    asked = rf"\({SILENT[window]} \* sum by \(detector\) \(\S+:rate{window}\)\) >= (\d+)"
    found = re.search(asked, expression)
    assert int(found[1]) == NEED
