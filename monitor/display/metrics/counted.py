"""Series that count what a judge's state counts: a judge that reads again counts nothing twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from monitor.quality.alarms import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prometheus_client.core import Metric

REFUSED = ("fenced", "gap", "model", "malformed", "region")
"""Why the judge refuses a range of windows."""

LOST = ("expired", "cut", "unreadable")
"""What became of records that are gone: nobody had read them; they had counted; they had been
scored, and what was said of them cannot be read."""

_SERIES: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("ranges_accepted", "Ranges of windows counted.", "", ()),
    ("ranges_refused", "Ranges of windows not counted.", "reason", REFUSED),
    ("showers_judged", "Showers in accepted windows.", "", ()),
    ("windows_late", "Windows that came after their second was judged.", "", ()),
    ("alarms_raised", "Alarms raised.", "severity", tuple(s.value for s in Severity)),
    ("records_lost", "Records of showers that the topic does not have any more.", "reason", LOST),
)


class CountedSeries(Collector):
    """The newest counts as families, each with all its label values from the first.

    There are none until a judge has come to where the judge before it was: a counter that falls
    back a little is taken for one that began anew.
    """

    def __init__(self) -> None:
        self.now: Mapping[str, int] | None = None
        """By series, with the value of its label after a slash: `ranges_refused/gap`."""

    def collect(self) -> Iterable[Metric]:
        """Yield the families."""
        now = self.now
        if now is None:
            return
        for name, text, label, values in _SERIES:
            family = CounterMetricFamily(f"calodqm_{name}", text, labels=[label] if label else [])
            for value in values:
                family.add_metric([value], now.get(f"{name}/{value}", 0))
            if not label:
                family.add_metric([], now.get(name, 0))
            yield family
