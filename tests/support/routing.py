"""The configuration of Alertmanager that is deployed, and how it reads matchers and routes."""

import re
from functools import cache

from deployed import DEPLOY, loaded

CONFIG = loaded((DEPLOY / "alertmanager" / "alertmanager.yml").read_text())
INHERITED = {
    "receiver": "",
    "group_by": [],
    "group_wait": "30s",
    "group_interval": "5m",
    "repeat_interval": "4h",
}
"""What a route has of the one above it, with Alertmanager's own defaults."""


@cache
def parts(matcher):
    """Return label, operator and value of a matcher."""
    return re.fullmatch(r'(\w+)(=~|!~|!=|=)"(.*)"', matcher).groups()


def matches(matchers, labels):
    """Return whether labels are what all the matchers ask for."""
    for matcher in matchers:
        name, operator, pattern = parts(matcher)
        value = labels.get(name, "")
        same = re.fullmatch(pattern, value) is not None if "~" in operator else value == pattern
        if same == operator.startswith("!"):
            return False
    return True


def taken(route, labels, above=INHERITED):
    """Return the routes that an alert takes: what they inherit and set, in the order of the file."""
    if not matches(route.get("matchers", []), labels):
        return []
    here = {key: route.get(key, value) for key, value in above.items()}
    found = []
    for child in route.get("routes", []):
        below = taken(child, labels, here)
        found += below
        if below and not child.get("continue", False):
            break
    return found or [here]
