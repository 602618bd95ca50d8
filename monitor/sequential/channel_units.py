"""Channel units: what is tested of single channels, and of the groups that fail together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True)
class ChannelUnits:
    """The U = C + G units of a detector: its channels, then groups of them.

    Groups may overlap: a channel has a card and a high voltage.

    Examples
    --------
    >>> units = ChannelUnits(4, {"card": np.array([1, 2])})
    >>> units.n, units.sums(np.arange(4.0)).tolist(), units.members(4).tolist()
    (5, [0.0, 1.0, 2.0, 3.0, 3.0], [1, 2])
    """

    n_channels: int
    groups: Mapping[str, NDArray[np.int64]]
    """Channels of each group, by its name."""

    apart: NDArray[np.bool_] | None = None
    """Channels that groups must not count, since an open alarm explains them, shape (C,)."""

    whole: frozenset[int] = frozenset()
    """Groups (units) that count them all the same."""

    @property
    def n(self) -> int:
        """Return U."""
        return self.n_channels + len(self.groups)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the names of the groups, in the order of units."""
        return tuple(self.groups)

    @cached_property
    def _incidence(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the group and the channel of every membership."""
        lists = [np.asarray(members, np.int64) for members in self.groups.values()]
        group = np.repeat(np.arange(len(lists)), [len(members) for members in lists])
        channel = np.concatenate([*lists, np.zeros(0, np.int64)])
        counts = np.ones(len(channel), bool) if self.apart is None else ~self.apart[channel]
        counts |= np.isin(group + self.n_channels, list(self.whole))
        return group[counts], channel[counts]

    def sums(self, of_channels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a quantity of channels that adds up, (C, ...), for every unit, (U, ...)."""
        if not self.groups:
            return of_channels
        flat = of_channels.reshape(self.n_channels, -1)
        summed = (self._matrix @ flat).reshape(-1, *of_channels.shape[1:])
        return np.concatenate([of_channels, summed])

    @cached_property
    def _matrix(self) -> Any:
        """Return which channels each group counts, sparse, shape (G, C)."""
        group, channel = self._incidence
        shape = (len(self.groups), self.n_channels)
        return csr_array((np.ones(len(group)), (group, channel)), shape=shape)

    def members(self, unit: int) -> NDArray[np.int64]:
        """Return the channels of a unit."""
        if unit < self.n_channels:
            return np.array([unit])
        return np.asarray(self.groups[self.names[unit - self.n_channels]], np.int64)

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Return the number of channels that each unit counts, shape (U,)."""
        group, _ = self._incidence
        groups = np.bincount(group, minlength=len(self.groups))
        return np.concatenate([np.ones(self.n_channels, np.int64), groups])

    def touching(self, channels: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the units that have one of some channels, shape (U,)."""
        whole = replace(self, apart=None)
        out: NDArray[np.bool_] = whole.sums(channels.astype(np.float64)) > 0
        return out
