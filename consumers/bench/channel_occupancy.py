"""Channel occupancy: what online monitors do today: counts of each channel, against mean ± 5σ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.windows.channel_table import ChannelTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from monitor.windows.channel_sums import ChannelSums

SIGMAS = 5.0
WINDOWS_S = (60, 600, 3600)


class OccupancyMonitor:
    """Counts of each channel above its threshold in tumbling windows, against its mean so far.

    Parameters
    ----------
    n
        Channels.
    window_s
        Data-seconds of a window.

    Examples
    --------
    >>> OccupancyMonitor(2, 60).first([0]) is None
    True
    """

    def __init__(self, n: int, window_s: int) -> None:
        self.window_s = window_s
        self._table = ChannelTable(n)
        self._mean = np.zeros(n)
        self._learnt = self._age = self._since = 0
        self._flagged: list[tuple[int, NDArray[np.int64]]] = []

    def take(self, sums: ChannelSums, *, learn: bool) -> None:
        """Take in a data-second, of good data to learn from or to be judged."""
        self._table.add(sums)
        self._age += 1
        self._since += int(not learn)
        if self._age < self.window_s:
            return
        lit = self._table["lit"].sum(1)
        if learn:
            self._mean += lit
            self._learnt += 1
        elif self._learnt:  # nobody knows what to expect who has seen no whole window
            # What is expected is not known exactly where little was learnt.
            mean = self._mean / self._learnt
            sigma = np.sqrt(np.maximum(mean * (1 + 1 / self._learnt), 1.0))
            off = np.flatnonzero(np.abs(lit - mean) > SIGMAS * sigma)
            self._flagged.append((self._since, off))
        self._table.clear()
        self._age = 0

    def first(self, channels: Iterable[int]) -> int | None:
        """Return the data-seconds of judging until one of some channels was flagged."""
        mine = list(channels)
        found = [second for second, off in self._flagged if np.isin(mine, off).any()]
        return found[0] if found else None

    def flags(self, among: NDArray[np.bool_]) -> int:
        """Return how often channels given as shape (C,) were flagged."""
        return int(sum(among[off].sum() for _, off in self._flagged))
