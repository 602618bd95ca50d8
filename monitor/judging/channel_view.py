"""Channel view: what people are shown of single channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.display.channel_history import ChannelHistory
from monitor.display.channel_map import ChannelMap, ChannelQuality, drawn
from monitor.display.standing import RegionChannels

if TYPE_CHECKING:
    from models.detector.channels import Channels
    from monitor.detector.places import Places
    from monitor.quality.alarms import Alarm
    from monitor.reference.live_channels import LiveChannels
    from monitor.sequential.channel_watch import ChannelWatch
    from monitor.windows.channel_sums import ChannelSums
    from monitor.windows.clock import Clock

MAP_S = 5
"""Data-seconds after which the map is drawn anew."""


class ChannelView:
    """Looks at the parts of a channel monitor, and changes none of them.

    Parameters
    ----------
    channels, places
        What is watched.
    clock
        The time, as it stands.
    watch, live
        Evidence and references.
    """

    def __init__(
        self,
        channels: Channels,
        places: Places,
        clock: Clock,
        watch: ChannelWatch,
        live: LiveChannels,
    ) -> None:
        self._channels, self._regions, self._clock = channels, places.detector.regions, clock
        self._watch, self._live = watch, live
        self._history = ChannelHistory(len(channels))
        self._map: ChannelMap | None = None

    def add(self, second: int, sums: ChannelSums) -> None:
        """Take in a data-second, for the history."""
        self._history.add(second, sums)

    def map(self, alarms: tuple[Alarm, ...]) -> ChannelMap:
        """Return the map, drawn anew every few data-seconds and with every alarm that opens."""
        old = self._map
        if old is None or not 0 <= self._clock.now - old.second < MAP_S or old.alarms != alarms:
            constants, minutes = self._live.constants, self._history.minutes
            old = self._map = drawn(self._watch, constants, alarms, tuple(minutes), self._clock.now)
        return old

    def regions(self, alarms: tuple[Alarm, ...]) -> tuple[RegionChannels, ...]:
        """Return how the channels of each region stand."""
        now = self.map(alarms)
        quality, region = now.quality, self._channels.region
        found = []
        for row, one in enumerate(self._regions):
            mine = region == row
            which, wait = quality[mine], now.tells_s[mine]
            waiting = wait[which == ChannelQuality.NULL]
            found.append(
                RegionChannels(
                    name=one.name,
                    channels=int(mine.sum()),
                    telling=int((wait <= 0).sum()),
                    faulty=int(np.isin(which, (ChannelQuality.BAD, ChannelQuality.MEDIUM)).sum()),
                    left_out=int((which == ChannelQuality.LEFT_OUT).sum()),
                    tells_s=float(np.median(waiting)) if len(waiting) else 0.0,
                )
            )
        return tuple(found)
