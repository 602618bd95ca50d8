"""Series of channels: for every region, and for the channels of open alarms only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily

from monitor.display.metrics.labels import MAX_REGION_LABELS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prometheus_client.core import Metric

    from monitor.display.standing import RegionChannels
    from monitor.quality.alarms import Alarm

MAX_CHANNEL_LABELS = 256
"""Channels of open alarms beyond this many have no series: the alarm's group stands for them."""

_BY_REGION = {
    "calodqm_channels": ("Read-out channels of the region.", "channels"),
    "calodqm_channels_telling": (
        "Channels with showers enough in this run to be told dead, were they.",
        "telling",
    ),
    "calodqm_channels_faulty": ("Channels of open alarms.", "faulty"),
    "calodqm_channels_left_out": ("Channels that are masked or known to be bad.", "left_out"),
    "calodqm_channels_wait_seconds": (
        "Data-seconds until half of the other channels can be told dead.",
        "tells_s",
    ),
}


def channel_series(regions: Sequence[RegionChannels], alarms: Sequence[Alarm]) -> Iterable[Metric]:
    """Yield the families."""
    for name, (text, attribute) in _BY_REGION.items():
        family = GaugeMetricFamily(name, text, labels=["region"])
        for region in regions[:MAX_REGION_LABELS]:
            family.add_metric([region.name], float(getattr(region, attribute)))
        yield family
    share = GaugeMetricFamily(
        "calodqm_alarm_channel_share",
        "Share of the evidence of an open alarm that a channel carries.",
        labels=["place", "channel"],
    )
    named = {(a.place, one.name): one.share for a in alarms for one in a.channels}
    for (place, channel), value in list(named.items())[:MAX_CHANNEL_LABELS]:
        share.add_metric([place, channel], value)
    yield share
