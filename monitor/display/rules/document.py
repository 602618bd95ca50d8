"""The recording and alerting rules, from one place for every time scale and every site.

At scale 1 this is `calodqm.rules.yml`. A larger scale divides every duration, so that a test sees
minutes as seconds while it runs the very same expressions.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from monitor.display.rules import data_alerts, detector_alerts, machinery_alerts, records

if TYPE_CHECKING:
    from monitor.display.rules.alert import Rule
    from monitor.display.rules.site import Site

SECONDS = {"s": 1, "m": 60, "h": 3600}


def duration(text: str, scale: float, least_s: float = 0.0) -> str:
    """Return a Prometheus duration divided by the scale, not below `least_s`."""
    seconds = float(text[:-1]) * SECONDS[text[-1]] / scale
    milliseconds = round(max(seconds, least_s) * 1000)
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def groups(site: Site) -> dict[str, tuple[str, list[Rule]]]:
    """Return the rules by group, with how often each group is looked at.

    Long windows change slowly and cost most: they stand in groups of their own.
    """
    alerts = [
        *records.standing(),
        *detector_alerts.first_line(),
        *detector_alerts.second_line(),
        *data_alerts.data(site.beam),
        *machinery_alerts.processes(),
        *machinery_alerts.flow(),
        *machinery_alerts.kafka(site),
        *machinery_alerts.messages(),
    ]
    return {
        "calodqm.records": ("5s", [*records.expected(site), *records.short(), records.wall()]),
        "calodqm.hours": ("1m", [*records.hours(), *detector_alerts.hours()]),
        "calodqm.day": ("5m", [*records.day(), *detector_alerts.day(), *machinery_alerts.trust()]),
        "calodqm.alerts": ("5s", alerts),
    }


def document(site: Site, scale: float = 1.0) -> dict[str, Any]:
    """Return the rule file."""
    return {
        "groups": [
            {
                "name": name,
                "interval": duration(interval, scale, 1.0),
                "rules": [_scaled(_placed(rule, site), scale) for rule in rules],
            }
            for name, (interval, rules) in groups(site).items()
        ]
    }


def _placed(rule: Rule, site: Site) -> Rule:
    notes = {name: site.placed(text) for name, text in rule.get("annotations", {}).items()}
    placed = rule | {"expr": site.placed(rule["expr"])}
    return placed | {"annotations": notes} if notes else placed


def _scaled(rule: Rule, scale: float) -> Rule:
    if scale == 1:
        return rule
    # A rate needs at least two scrapes, and tests scrape every second.
    expression = re.sub(
        r"\[(\d+[smh])", lambda found: "[" + duration(found[1], scale, 4.0), rule["expr"]
    )
    waits = {key: duration(rule[key], scale) for key in ("for", "keep_firing_for") if key in rule}
    return rule | {"expr": expression} | waits
