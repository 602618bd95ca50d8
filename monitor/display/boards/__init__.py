"""The dashboards, as plain dictionaries: reviewable, without a library, accepted by Grafana 9 to 13."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.display.boards.detector import detector
from monitor.display.boards.events import events
from monitor.display.boards.operations import operations
from monitor.display.boards.shift import shift

if TYPE_CHECKING:
    from monitor.display.boards.panels import Json


def all_dashboards() -> dict[str, Json]:
    """Return every dashboard by the name of its file."""
    made = (shift(), detector(), events(), operations())
    return {f"{board['uid']}.json": board for board in made}
