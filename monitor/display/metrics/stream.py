"""Series of where the stream stands: what is not known of it, and what contradicts the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from monitor.display.standing import STRAYS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.core import Metric

    from monitor.display.standing import StreamNow


def stream_series(stream: StreamNow) -> Iterable[Metric]:
    """Yield the families."""
    figures = {
        "calodqm_partitions_unknown": (
            "Partitions that nobody answers for.", len(stream.silent),
        ),
        "calodqm_regions_unknown": (
            "Regions of which nobody knows whether they lack showers.", len(stream.unknown),
        ),
        "calodqm_partitions_astray": (
            "Partitions whose data time is ahead of all others.", len(stream.astray),
        ),
        "calodqm_windows_open": ("Windows that are not judged yet.", stream.open_windows),
        "calodqm_latency_seconds": (
            "Largest latency of a partition that is waited for, data time.", stream.latency_s,
        ),
    }  # fmt: skip
    for name, (help_, value) in figures.items():
        yield GaugeMetricFamily(name, help_, value=value)
    strays = CounterMetricFamily(
        "calodqm_showers_stray",
        "Showers whose time, run or lumisection contradicted the rest.",
        labels=["reason"],
    )
    counted = dict.fromkeys(STRAYS, 0) | dict(stream.strays)
    for reason, n in counted.items():
        strays.add_metric([reason], n)
    yield strays
    yield CounterMetricFamily(
        "calodqm_seconds_forced",
        "Data-seconds closed before their time, because too many were open.",
        value=stream.forced,
    )
