"""The dashboards, as plain dictionaries: reviewable, without a library, accepted by Grafana 9 to 13."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana.detector import detector
from grafana.events import events
from grafana.operations import operations
from grafana.shift import shift

if TYPE_CHECKING:
    from grafana.panels import Json


def all_dashboards() -> dict[str, Json]:
    """Return every dashboard by the name of its file."""
    made = (shift(), detector(), events(), operations())
    return {f"{board['uid']}.json": board for board in made}
