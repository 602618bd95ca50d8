"""Channel extents: which channels a fault takes: what explains most for the least words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monitor.detector.tree import Level
from monitor.sequential.channel_streams import CORE, INNER, STREAMS, Stream
from monitor.sequential.rates import Test

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.detector.blocks import Blocks
    from monitor.sequential.channel_watch import ChannelWatch

FEW = 3
"""Channels that are named one by one; more than that beside each other fail together."""

OF_THE_REST_NATS = 8.0
"""Evidence of a group without the channels that say most, from which on the group itself fails."""

ALIKE = 0.3
"""Evidence of a channel over that of the strongest one beside it, from which on it fails too: what a
channel shows depends on those beside it, so that one fault shows a little in all of them."""


SILENT = [
    STREAMS.index(stream)
    for stream in (Stream(Test.OCCUPANCY, INNER, 0.1), Stream(Test.SEEDS, CORE, 0.1))
]
"""Streams of channels that say nothing at all: never lit, or never the centre of a shower."""

SILENT_NATS = 5.0
"""Evidence that a channel says nothing, from which on that is taken to be so."""


def silence(watch: ChannelWatch) -> NDArray[np.float64]:
    """Return the evidence that each channel says nothing at all, nats, shape (C,)."""
    paths = [watch.path(stream)[: watch.units.n_channels] for stream in SILENT]
    said: NDArray[np.float64] = np.sum(paths, axis=0, dtype=np.float64)
    return said


@dataclass(frozen=True, slots=True, eq=False)
class ChannelMoment:
    """What is known when a step has been taken."""

    watch: ChannelWatch
    total: NDArray[np.float64]
    """Evidence against each unit, data-seconds, shape (U,)."""

    now: int
    watched: int
    held: NDArray[np.bool_]
    """Channels whose region has an open alarm of its own, that explains them, shape (C,)."""


class Extent(NamedTuple):
    """What is named."""

    place: str
    level: Level
    channels: list[int]
    """The one that says most first."""


@dataclass(frozen=True)
class ChannelExtents:
    """Finds the channels of a fault."""

    blocks: Blocks
    given: int
    """Groups that the detector file gives: the first of the watch's."""

    @property
    def _n(self) -> int:
        return len(self.blocks.channels)

    def extent(
        self, unit: int, stream: int, onset: int, at: ChannelMoment, free: NDArray[np.bool_]
    ) -> Extent:
        """Return what to name of a fault that a unit showed.

        Single channels, a given group or a rectangle: what explains most of what has come since the
        onset, less what it takes to name it. Channels that say nothing come first: those beside
        them show the most, for their showers lack a part, and are sound.

        Parameters
        ----------
        free
            Channels that no other fault claims, shape (C,).
        """
        every = at.watch.scores(onset)
        scores = every[: self._n]
        each = np.where(free, scores.max(1), 0.0)
        among = at.watch.units.members(unit)
        best = int(among[np.argmax(each[among])])
        silent = _of_free(scores[:, SILENT].sum(1), free)
        near = self.blocks.near(among.tolist())
        quiet = int(np.argmax(np.where(near, silent, -np.inf)))
        worth, extent = self._named(quiet, silent, silent, at)
        if worth < 2 * np.log(self._n):
            together = _of_free(scores[:, stream], free)
            worth, extent = self._named(best, each, together, at, alike=True)
            extent = self._group(best, every, worth, extent, onset, at) or extent
        return extent

    def _group(
        self,
        best: int,
        scores: NDArray[np.float64],
        worth: float,
        named: Extent,
        onset: int,
        at: ChannelMoment,
    ) -> Extent | None:
        """Return the given group that says more than what is named otherwise, and without it too.

        How far its constants are known counts against each channel by itself, but hardly against
        their group: what is faint in all of them shows in their sum alone.

        Parameters
        ----------
        scores
            What every unit says in every stream, shape (U, F).
        worth
            What is named otherwise explains so much.
        """
        unit = max(self._given(best, at), key=lambda u: float(scores[u].max()), default=-1)
        if unit < 0 or scores[unit].max() - np.log(self.given) <= worth:
            return None
        without = named.channels if named.level is Level.CHANNEL else [best]
        rest = float(at.watch.scores(onset, without)[unit].max())
        if rest < max(OF_THE_REST_NATS, worth if named.level is Level.CHANNEL else 0.0):
            return None
        members = at.watch.units.members(unit)
        order = members[np.argsort(-scores[members].max(1), kind="stable")]
        return Extent(at.watch.units.names[unit - self._n], Level.GROUP, order.tolist())

    def _named(
        self,
        best: int,
        each: NDArray[np.float64],
        together: NDArray[np.float64],
        at: ChannelMoment,
        *,
        alike: bool = False,
    ) -> tuple[float, Extent]:
        """Return what explains most around a channel, and how much that is.

        Parameters
        ----------
        each, together
            What every channel says by itself, and as part of a group, shape (C,).
        alike
            Whether what fails together must look alike: sound channels may say something as well.
        """
        alone = self._single(best, each)
        found = [
            (_worth(together[channels], cost), place, Level.GROUP, channels)
            for place, channels, cost in self._candidates(best, together, at)
            if place in at.watch.units.groups or not alike or self._alike(together[channels])
        ]
        found.append((float((each[alone] - np.log(self._n)).sum()), "", Level.CHANNEL, alone))
        worth, place, level, channels = max(found, key=lambda item: item[0])
        order = channels[np.argsort(-each[channels], kind="stable")].tolist()
        return worth, Extent(place or self.blocks.channels.name(order[0]), level, order)

    def _single(self, best: int, each: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return one to `FEW` channels that say by themselves that they fail, with the best one."""
        least = max(2 * np.log(self._n), ALIKE * each[best])
        clear = np.flatnonzero(self.blocks.near([best]) & (each > least))
        clear = clear[np.argsort(-each[clear], kind="stable")]
        alike = [c for c in clear.tolist() if c != best][: FEW - 1]
        return np.array([best, *alike], np.int64)

    def _given(self, best: int, at: ChannelMoment) -> list[int]:
        """Return the groups of the detector file, units, that hold a channel."""
        given = range(self._n, self._n + self.given)
        return [unit for unit in given if best in at.watch.units.members(unit)]

    def _candidates(
        self, best: int, together: NDArray[np.float64], at: ChannelMoment
    ) -> list[tuple[str, NDArray[np.int64], float]]:
        """Return the given groups, and the rectangle, with the best channel, and what each costs."""
        units = at.watch.units
        found = [
            (units.names[unit - self._n], units.members(unit), float(np.log(self.given)))
            for unit in self._given(best, at)
        ]
        block = self.blocks.boundary(best, together)
        if best in block and len(block) > FEW:
            size = len(self.blocks.fields[int(self.blocks.pool[best])].channels)
            cost = float(2 * np.log(size) + np.log(len(self.blocks.fields)))
            found.append((self.blocks.names(block), block, cost))
        return found

    def _alike(self, said: NDArray[np.float64]) -> bool:
        """Return whether channels may fail together: where one fails for sure, most do.

        Beside one or two that fail, all show something.
        """
        most = float(said.max())
        return most < 2 * np.log(self._n) or float(np.quantile(said, 0.25)) >= ALIKE * most


def _of_free(said: NDArray[np.float64], free: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return what channels say, as far as they are not claimed by another fault."""
    return np.where(free, said, np.minimum(said, 0.0))


def _worth(said: NDArray[np.float64], cost: float) -> float:
    """Return the evidence for a set of channels less its cost; none if one makes all of it."""
    rest = float(said.sum() - said.max())
    return float(said.sum()) - cost if rest >= OF_THE_REST_NATS else -np.inf
