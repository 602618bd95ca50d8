"""Alert: the form that every alerting rule has, and the boards that it may lead to."""

from __future__ import annotations

from typing import Any

from monitor.display.rules.site import GRAFANA, PAGE

Rule = dict[str, Any]

SHIFT = "calodqm-shift"
DETECTOR = "calodqm-detector"
OPERATIONS = "calodqm-operations"

# A fault of the cluster is none of the detector.
NO_ANSWER = "max by (detector) (calodqm_consumer_lag_age_seconds) > 5"

STRICT = 'level="0.001"'
"""The share of good showers by which the second line counts."""


def alert(
    name: str,
    severity: str,
    expression: str,
    *,
    summary: str,
    description: str,
    board: str = SHIFT,
    **waits: str,
) -> Rule:
    """Return an alert; `waits` are `for_` and `keep`."""
    rule: Rule = {"alert": name, "expr": " ".join(expression.split())}
    if "for_" in waits:
        rule["for"] = waits["for_"]
    if "keep" in waits:
        rule["keep_firing_for"] = waits["keep"]
    where = "var-detector={{ $labels.detector }}&var-region={{ with $labels.region }}{{ . }}{{ else }}$__all{{ end }}"
    return rule | {
        "labels": {"severity": severity},
        "annotations": {
            "summary": summary,
            "description": description,
            "runbook_url": f"{PAGE}/runbooks/{name}",
            "dashboard_url": f"{GRAFANA}/d/{board}?{where}&from=now-1h&to=now",
        },
    }
