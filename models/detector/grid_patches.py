"""Grid patches: the cells around a seed, where channels lie in rows and columns."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.detector.channels import ABSENT, CORE, FAR, NEAR

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.parts import Part


class Placed(NamedTuple):
    """Channels of grids, C of them."""

    part: NDArray[np.int64]
    layer: NDArray[np.int64]
    region: NDArray[np.int64]
    row: NDArray[np.int64]
    """Row over the whole part; `column` the same."""

    column: NDArray[np.int64]
    position: NDArray[np.float64]
    size: NDArray[np.float64]


class GridPatches:
    """The patches of a grid: in each layer the cells around the place of the seed, row-major.

    In the layer of the seeds the patch is centred on the seed. In another one it is centred on
    the cell that the middle of the seed lies in, or, with an even number of cells, on the nearest
    edge. Patches reach across gaps between modules, and around where the part closes.
    """

    def __init__(self, parts: tuple[Part, ...], placed: Placed) -> None:
        self._parts = parts
        self._part, self._layer = placed.part, placed.layer
        self._row, self._column = placed.row, placed.column
        self._ids = [
            [self._table(p, index) for index in range(len(part.layers))]
            for p, part in enumerate(parts)
        ]

    def _table(self, p: int, index: int) -> NDArray[np.int32]:
        """Return the channel at each row and column of a layer of a part, and `ABSENT` behind."""
        part = self._parts[p]
        rows, columns = part.shape(part.layers[index])
        table = np.full((rows + 1, columns + 1), ABSENT, np.int32)
        here = np.flatnonzero((self._part == p) & (self._layer == index))
        table[self._row[here], self._column[here]] = here
        return table

    @cached_property
    def may_seed(self) -> NDArray[np.bool_]:
        """Return which channels a patch can be centred on: all of one layer, shape (C,)."""
        seeding = np.array([part.layers.index(part.seeding) for part in self._parts])
        good: NDArray[np.bool_] = self._layer == seeding[self._part]
        return good

    @cached_property
    def rings(self) -> NDArray[np.int8]:
        """Return the ring of each cell of a patch, by cells from its middle, shape (V,)."""
        return np.concatenate([_rings(layer.patch) for layer in self._parts[0].layers])

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Return rows and columns of the patch in each layer."""
        return tuple(layer.patch for layer in self._parts[0].layers)

    def __call__(self, seeds: NDArray[np.uint32]) -> NDArray[np.int32]:
        """Return the channel of each cell, `ABSENT` outside of the detector, shape (n, V)."""
        return self.windows(seeds, self.corners(seeds), self.shapes)

    def middles(self, seeds: NDArray[np.uint32]) -> NDArray[np.float64]:
        """Return where the middle of each seed is, in rows and columns of each layer, (n, L, 2)."""
        at = np.stack([self._row[seeds], self._column[seeds]], axis=1) + 0.5
        return at[:, None] * self._scales[self._part[seeds]]

    def corners(
        self, seeds: NDArray[np.uint32], steps: tuple[int, int] = (0, 0)
    ) -> NDArray[np.int64]:
        """Return the first row and column of each layer's patch, shape (n, L, 2).

        They may lie outside of the part: rows and columns count on where it closes.

        Parameters
        ----------
        steps
            Rows and columns from each seed to the channel that is meant in its place.
        """
        scales = self._scales[self._part[seeds]]
        middle = self.middles(seeds) + np.array(steps) * scales
        corners: NDArray[np.int64] = np.floor(middle - np.array(self.shapes) / 2 + 0.5).astype(int)
        return corners

    def windows(
        self,
        seeds: NDArray[np.uint32],
        corners: NDArray[np.int64],
        shapes: tuple[tuple[int, int], ...],
    ) -> NDArray[np.int32]:
        """Return the channels of a window of each layer, one behind the other, (n, sum of cells).

        Parameters
        ----------
        seeds
            Say which part the windows are in.
        corners
            First row and column of the window in each layer, shape (n, L, 2).
        shapes
            Rows and columns of the window in each layer.
        """
        ends = np.cumsum([0] + [rows * columns for rows, columns in shapes])
        out = np.full((len(seeds), ends[-1]), ABSENT, np.int32)
        for p, part in enumerate(self._parts):
            rows = np.flatnonzero(self._part[seeds] == p)
            for index, shape in enumerate(shapes if len(rows) else ()):
                found = _window(self._ids[p][index], part.wrap, corners[rows, index], shape)
                out[rows, ends[index] : ends[index + 1]] = found
        return out

    @cached_property
    def _scales(self) -> NDArray[np.float64]:
        """Return the cells of each layer to a cell of the seeds', shape (parts, L, 2)."""
        return np.array(
            [
                [np.divide(layer.cells, part.seeding.cells) for layer in part.layers]
                for part in self._parts
            ]
        )


def _window(
    table: NDArray[np.int32], wrap: str, corner: NDArray[np.int64], shape: tuple[int, int]
) -> NDArray[np.int32]:
    """Return what stands in a window of a table at each of n corners, shape (n, cells).

    Parameters
    ----------
    table
        Channels by row and column, with a row and a column of `ABSENT` behind the last.
    """
    rows, columns = (size - 1 for size in table.shape)
    row = _places(corner[:, 0, None] + np.arange(shape[0]), rows, closes=wrap == "rows")
    column = _places(corner[:, 1, None] + np.arange(shape[1]), columns, closes=wrap == "columns")
    flat = row[:, :, None] * (columns + 1) + column[:, None, :]
    found: NDArray[np.int32] = table.ravel().take(flat.reshape(len(corner), -1))
    return found


def _places(places: NDArray[np.int64], n: int, *, closes: bool) -> NDArray[np.int64]:
    """Return rows or columns within n, the one behind the last for what lies outside."""
    if closes:
        return places % n
    # A view as unsigned numbers makes negative ones large.
    return np.minimum(places.view(np.uint64), np.uint64(n)).view(np.int64)


def _rings(patch: tuple[int, int]) -> NDArray[np.int8]:
    row, column = (np.abs(np.arange(n) - (n - 1) / 2) for n in patch)
    away = np.maximum(row[:, None], column[None]).ravel()
    return np.select([away < 1, away < 2], [CORE, NEAR], FAR).astype(np.int8)
