"""Lately: sums by channel of the newest data-seconds, in two halves so that the oldest can go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.windows import packing
from monitor.windows.channel_table import ChannelTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.windows.channel_sums import ChannelSums


class Lately:
    """The sums of between one and two times `half_s` data-seconds.

    Parameters
    ----------
    n_channels
        C.
    half_s
        Data-seconds after which the older half is forgotten.
    """

    def __init__(self, n_channels: int, half_s: int) -> None:
        self.half_s = half_s
        self._old, self._new = ChannelTable(n_channels), ChannelTable(n_channels)
        self._begins = self._middle = -1

    @property
    def start(self) -> int | None:
        """Return the first data-second that is in it; None before there is one."""
        return self._begins if self._begins >= 0 else None

    def add(self, second: int, sums: ChannelSums) -> None:
        """Add a data-second, or what comes late for one."""
        if self._begins < 0:
            self._begins = self._middle = second
        elif second >= self._middle + self.half_s:
            self._old, self._new = self._new, self._old
            self._new.clear()
            self._begins, self._middle = self._middle, second
        self._new.add(sums)

    def table(self) -> ChannelTable:
        """Return the sums."""
        both = self._old.copy()
        both.add(self._new.sparse())
        return both

    def clear(self) -> None:
        """Begin anew."""
        self._old.clear()
        self._new.clear()
        self._begins = self._middle = -1

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that changes, as arrays."""
        halves = packing.under("old.", self._old.state()) | packing.under("new.", self._new.state())
        return halves | {"words": np.array([self._begins, self._middle], np.int64)}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take up what `state` returned."""
        self._old.restore(packing.below("old.", state))
        self._new.restore(packing.below("new.", state))
        self._begins, self._middle = state["words"].tolist()
