"""Records: series that rules and boards read, computed once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.display.rules.alert import STRICT

if TYPE_CHECKING:
    from monitor.display.rules.alert import Rule
    from monitor.display.rules.site import Site

SHORT = {"20s": STRICT, "1m": "", "5m": ""}
"""Windows that are looked at every five seconds, with the levels that somebody reads."""

HOUR = ("30m", "1h")
DAY = ("6h",)
"""Windows that change slowly: reading them costs, so they are read once a minute, and every five."""

NEED = 25
"""Showers that must have been missed before a region counts as silent: by chance once in 10^11."""

SILENT = {"2m": 120, "20m": 1200, "2h": 7200}
"""Windows in which a region may be silent, s: the rarer its showers, the longer."""


def _record(name: str, expression: str, **labels: str) -> Rule:
    rule: Rule = {"record": name, "expr": " ".join(expression.split())}
    return rule | ({"labels": labels} if labels else {})


def _burn(window: str, levels: str) -> list[Rule]:
    chosen = f"{{{levels}}}" if levels else ""
    counts = [
        _record(
            f"region:calodqm_{name}:rate{window}",
            f"sum by (detector, region, level) (rate(calodqm_{name}_total{chosen}[{window}]))",
        )
        for name in ("anomalous_showers", "expected_anomalous_showers")
    ]
    ratio = _record(
        f"region:calodqm_anomaly_burn:ratio_rate{window}",
        f"region:calodqm_anomalous_showers:rate{window}"
        f" / (region:calodqm_expected_anomalous_showers:rate{window} > 0)",
    )
    return [*counts, ratio]


def _seen(window: str) -> Rule:
    """Return whatever came of a region, scored or not: one that is masked is not silent."""
    came = " or ".join(
        f'label_replace(rate(calodqm_showers_{what}_total{{region!="other"}}[{window}]), '
        f'"came", "{what}", "", "")'
        for what in ("scored", "unscored", "skipped")
    )
    return _record(
        f"region:calodqm_showers_seen:rate{window}", f"sum by (detector, region) ({came})"
    )


def expected(site: Site) -> list[Rule]:
    """Return what should be there, as series: what has vanished can be compared with nothing else."""
    return [
        _record(f"detector:calodqm_{what}:expected", f"vector({count})", detector=name)
        for name, of_it in site.detectors.items()
        for what, count in (("workers", of_it.workers), ("judges", of_it.judges))
    ]


def short() -> list[Rule]:
    """Return what is looked at every five seconds."""
    scored = _record(
        "region:calodqm_showers_scored:rate1m",
        "sum by (detector, region) (rate(calodqm_showers_scored_total[1m]))",
    )
    burns = [rule for window, levels in SHORT.items() for rule in _burn(window, levels)]
    # A region of which nobody says where it lies has no sector, and its alerts all the same.
    sector = _record(
        "region:calodqm_region:sector",
        f"""topk by (detector, region) (1, max by (detector, region, sector) (calodqm_region_info))
           or on (detector, region) (0 * max by (detector, region)
             (region:calodqm_anomalous_showers:rate5m{{{STRICT}}}) + 1)
           or on (detector, region) (0 * region:calodqm_showers_seen:rate2m + 1)""",
    )
    return [scored, *burns, _seen("2m"), sector]


def standing() -> list[Rule]:
    """Return what the judge in office says of alarms, in the group of the alerts that read it."""
    return [
        _record(
            f"place:calodqm_alarms_{how}:max",
            f"max by (detector, level, place, severity) (calodqm_alarms_{how})",
        )
        for how in ("open", "acknowledged")
    ] + [
        _record(
            "sector:calodqm_explained:max",
            "max by (detector, sector, severity) (calodqm_sector_explained)",
        )
    ]


WALL = ("good", "null", "medium", "bad", "in hand", "stale", "no judge", "no run")
"""What the wall may say of a detector, in the order of its codes."""

STALE_S = 60
"""Beyond this what the judge has judged last is the past."""


def wall() -> Rule:
    """Return one number for what is to be said of each detector now, the gravest that is so.

    As the page's own headline, and what that cannot say: that nobody judges, or not any more.
    """
    active = 'max by (detector) (calodqm_judge_state{calodqm_judge_state="active"}) == 1'
    newest = "max by (detector) (calodqm_data_timestamp_seconds)"
    between = 'max by (detector) (calodqm_run_state{calodqm_run_state="between"}) == 1'
    watched = "unless on (detector, region) calodqm_region_out == 1"

    def is_one(quality: str) -> str:
        of_region = f'calodqm_region_quality{{calodqm_region_quality="{quality}"}} == 1'
        return f"count by (detector) ({of_region} {watched})"

    def alarms(how: str, severity: str) -> str:
        return f'max by (detector) (calodqm_alarms_{how}{{severity="{severity}"}}) > 0'

    says = (
        (
            "no judge",
            f"(detector:calodqm_judges:expected or on (detector) {newest}) unless on (detector) ({active})",
        ),
        (
            "stale",
            f"({newest} > 0 and time() - {newest} > {STALE_S}) unless on (detector) {between}",
        ),
        ("bad", alarms("open", "page")),
        ("medium", alarms("open", "warning")),
        ("in hand", alarms("acknowledged", "page")),
        ("in hand", alarms("acknowledged", "warning")),
        ("no run", between),
        ("bad", is_one("bad")),
        ("medium", is_one("medium")),
        ("null", is_one("null")),
        ("good", is_one("good")),
        ("null", newest),
    )
    return _record(
        "detector:calodqm_wall:code",
        " or on (detector) ".join(f"0 * ({so}) + {WALL.index(word)}" for word, so in says),
    )


def hours() -> list[Rule]:
    """Return what is looked at every minute."""
    usual = _record(
        "region:calodqm_showers_usual:rate6h",
        "avg_over_time(region:calodqm_showers_seen:rate5m[6h])",
    )
    share = _record(
        "region:calodqm_showers_usual:share",
        """region:calodqm_showers_usual:rate6h
           / on (detector) group_left ()
             (sum by (detector) (region:calodqm_showers_usual:rate6h) > 0)""",
    )
    longer = [
        _record(
            f"region:calodqm_showers_seen:rate{window}",
            f"avg_over_time(region:calodqm_showers_seen:rate5m[{window}])",
        )
        for window in SILENT
        if window != "2m"
    ]
    burns = [rule for window in HOUR for rule in _burn(window, STRICT)]
    return [_seen("5m"), usual, share, *longer, *burns]


def day() -> list[Rule]:
    """Return what is looked at every five minutes."""
    return [rule for window in DAY for rule in _burn(window, STRICT)]
