"""Blocks: rectangles of neighbouring channels, to find what fails together where nobody has said it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.detector.channels import Channels

TILE = 4
"""Rows and columns of a tile."""

REACH = 4
"""Rows and columns over which a fault shows in the latents of others: those of a patch of 5 x 5."""

MOST_NEAR = 64
"""Channels of a fault whose neighbours are looked for."""

KEPT_NEAR = 256
"""Answers that are kept: some of each open case, and of units that cross."""

LEAST = 3
"""Channels of a row, a column or a tile that is looked at."""


@dataclass(frozen=True, eq=False)
class Field:
    """The channels of one layer of one region, by rows and columns."""

    channels: NDArray[np.int64]
    row: NDArray[np.int64]
    """Of each, counted along the first axis."""

    column: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int]:
        """Return the number of rows and columns."""
        return int(self.row.max()) + 1, int(self.column.max()) + 1


@dataclass(frozen=True)
class Blocks:
    """The fields of a detector."""

    channels: Channels

    @cached_property
    def pool(self) -> NDArray[np.int64]:
        """Return the field of each channel: those of one are exposed alike, shape (C,)."""
        of = self.channels
        region = of.region.astype(np.int64) - int(of.region.min())
        _, pool = np.unique(region * len(of.layers) + of.layer, return_inverse=True)
        out: NDArray[np.int64] = pool.astype(np.int64)
        return out

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """Return every field."""
        order = np.argsort(self.pool, kind="stable")
        edges = np.flatnonzero(np.diff(self.pool[order])) + 1
        return tuple(self._field(members) for members in np.split(order, edges))

    def _field(self, members: NDArray[np.int64]) -> Field:
        row, column = (
            np.unique(np.round(self.channels.position[members, axis], 6), return_inverse=True)[1]
            for axis in (0, 1)
        )
        return Field(members.astype(np.int64), row.astype(np.int64), column.astype(np.int64))

    def near(self, channels: Sequence[int]) -> NDArray[np.bool_]:
        """Return the channels of a layer that share a patch with some, or are these, shape (C,).

        Open cases ask again and again for the same: what was asked of late is kept, to be read only.
        """
        asked = frozenset(list(channels)[:MOST_NEAR])
        found = self._near.pop(asked, None)
        self._near[asked] = self._beside(asked) if found is None else found
        if len(self._near) > KEPT_NEAR:
            del self._near[next(iter(self._near))]
        return self._near[asked]

    @cached_property
    def _near(self) -> dict[frozenset[int], NDArray[np.bool_]]:
        return {}

    def _beside(self, channels: frozenset[int]) -> NDArray[np.bool_]:
        of, out = self.channels, np.zeros(len(self.channels), bool)
        for channel in channels:
            away = np.abs(of.position - of.position[channel]) / of.size[channel]
            out |= (away <= REACH + 0.5).all(axis=1) & (of.layer == of.layer[channel])
        out.flags.writeable = False
        return out

    @cached_property
    def _seen_in(self) -> Any:
        """Return in how many patches of each region a channel is, sparse, shape (R, C)."""
        of = self.channels
        seeds = np.flatnonzero(of.may_seed)
        seeds = seeds[of.region[seeds] >= 0]
        patch = of.patches(seeds.astype(np.uint32))
        region = np.repeat(of.region[seeds], patch.shape[1])
        channel = patch.ravel()
        inside = channel >= 0
        shape = (int(of.region.max()) + 1, len(of))
        ones = np.ones(int(inside.sum()))
        return csr_array((ones, (region[inside], channel[inside])), shape=shape)

    def regions_of(self, channels: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the regions (by index) whose showers reach some channels, given as shape (C,).

        A patch reaches into the next module: its channels are at fault in showers of both.
        """
        return np.flatnonzero(self._seen_in @ channels.astype(np.float64))

    def found(self) -> dict[str, NDArray[np.int64]]:
        """Return rows, columns and tiles of every field, by name: what may fail together."""
        out: dict[str, NDArray[np.int64]] = {}
        for field in self.fields:
            tile = field.row // TILE * (field.shape[1] // TILE + 1) + field.column // TILE
            for what, index in (("row", field.row), ("column", field.column), ("tile", tile)):
                for value in np.unique(index):
                    members = field.channels[index == value]
                    if len(members) >= LEAST:
                        out[f"{self.names(members)} ({what})"] = members
        return out

    def names(self, members: NDArray[np.int64]) -> str:
        """Return how people call some channels that lie side by side."""
        name = self.channels.name
        if len(members) == 1:
            return name(int(members[0]))
        return f"{name(int(members.min()))} to {name(int(members.max()))}"

    def boundary(
        self, at: int, score: NDArray[np.float64], within: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64]:
        """Return the rectangle of channels around one whose scores add up to most.

        Parameters
        ----------
        at
            A channel: the rectangle lies in its field.
        score
            Evidence of each channel that it has what the others have, negative where it has not,
            shape (C,).
        within
            Channels that may be part of it, shape (C,).
        """
        field = self.fields[int(self.pool[at])]
        grid = np.zeros(field.shape)
        scores = score[field.channels]
        if within is not None:
            scores = np.where(within[field.channels], scores, np.minimum(scores, 0.0))
        grid[field.row, field.column] = scores
        top, bottom, left, right = best_rectangle(grid)
        inside = (field.row >= top) & (field.row <= bottom)
        inside &= (field.column >= left) & (field.column <= right)
        return field.channels[inside]


def best_rectangle(grid: NDArray[np.float64]) -> tuple[int, int, int, int]:
    """Return first and last row, first and last column of the rectangle with the largest sum.

    Kadane's algorithm along the longer side, for every pair of lines of the shorter.

    Examples
    --------
    >>> best_rectangle(np.array([[-1.0, -1.0, 2.0], [-1.0, 3.0, 2.0], [-1.0, 2.0, -1.0]]))
    (0, 2, 1, 2)
    """
    if grid.shape[0] > grid.shape[1]:
        left, right, top, bottom = best_rectangle(grid.T)
        return top, bottom, left, right
    best, found = -np.inf, (0, 0, 0, 0)
    for top in range(grid.shape[0]):
        lines = np.cumsum(grid[top:], axis=0)  # a row for each last line
        total = np.cumsum(lines, axis=1)
        before = np.concatenate([np.zeros((len(lines), 1)), total[:, :-1]], axis=1)
        lowest = np.minimum.accumulate(before, axis=1)
        gain = total - lowest
        bottom, right = divmod(int(np.argmax(gain)), gain.shape[1])
        if gain[bottom, right] > best:
            best = float(gain[bottom, right])
            left = int(np.flatnonzero(before[bottom, : right + 1] == lowest[bottom, right])[-1])
            found = (top, top + bottom, left, right)
    return found
