"""Channel table: sums of every channel of the detector, where most of them have some."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from monitor.windows.channel_sums import N_RINGS, SUMS, UNITS, ChannelSums

if TYPE_CHECKING:
    from numpy.typing import NDArray


class ChannelTable:
    """Sums of C channels by ring, to which sparse ones are added in place.

    Parameters
    ----------
    n_channels
        C.
    """

    def __init__(self, n_channels: int) -> None:
        self._n = n_channels
        self._sums = np.zeros((len(SUMS), n_channels * N_RINGS), np.int64)

    def add(self, sums: ChannelSums, sign: int = 1) -> None:
        """Add sums, or subtract them; channels that the detector does not have are left out."""
        known = sums if not sums.n or sums.key[-1] < self._n * N_RINGS else self._known(sums)
        for column, name in zip(self._sums, SUMS, strict=True):
            column[known.key] += sign * getattr(known, name)

    def _known(self, sums: ChannelSums) -> ChannelSums:
        return sums.of(sums.key < self._n * N_RINGS)

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """Return a sum as numbers, shape (C, `N_RINGS`); energies in MeV."""
        row = self._sums[SUMS.index(name)].reshape(self._n, N_RINGS)
        scaled: NDArray[np.float64] = row * UNITS[name]
        return scaled

    @property
    def n(self) -> int:
        """Return the number of touches: showers times the channels of each."""
        return int(self._sums[0].sum())

    def clear(self) -> None:
        """Begin anew."""
        self._sums[:] = 0

    def copy(self) -> ChannelTable:
        """Return a table of its own with the same sums."""
        other = ChannelTable(self._n)
        other._sums[:] = self._sums
        return other

    def of(self, channels: NDArray[np.int64]) -> ChannelTable:
        """Return the table of some channels, in the order given; one may stand there twice."""
        other = ChannelTable(len(channels))
        by_channel = self._sums.reshape(len(SUMS), self._n, N_RINGS)
        other._sums[:] = by_channel[:, channels].reshape(len(SUMS), -1)
        return other

    def sparse(self) -> ChannelSums:
        """Return the sums of the channels that have some."""
        kept = np.flatnonzero(self._sums.any(0))
        return ChannelSums(kept.astype(np.int64), *self._sums[:, kept])

    def state(self) -> dict[str, NDArray[np.int64]]:
        """Return the sums that there are, as arrays."""
        sums = self.sparse()
        return {f.name: getattr(sums, f.name) for f in fields(sums)}

    def restore(self, state: dict[str, NDArray[np.int64]]) -> None:
        """Take up what `state` returned."""
        self.clear()
        self.add(ChannelSums(*(state[f.name].astype(np.int64) for f in fields(ChannelSums))))
