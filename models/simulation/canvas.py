"""Canvas: the cells that a shower is simulated in, a little more than its patch."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from models.detector.grid_patches import GridPatches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.channels import Channels
    from models.detector.geometry import Geometry

MARGIN = 1
"""How many cells from where a particle enters the seed may be found."""


class Canvas(Protocol):
    """W cells around a channel, of which the V of a patch are cut.

    Showers of one phase lie in the same way on the cells of all layers: what is simulated at one
    channel can be put at any other of its phase.
    """

    geometry: Geometry
    """With the W cells."""

    phases: NDArray[np.int64]
    """Phase of each channel that may be a seed, -1 for the others, shape (C,)."""

    def channels(self, seeds: NDArray[np.uint32]) -> NDArray[np.int32]:
        """Return the channel of each cell, -1 outside of the detector, shape (n, W)."""
        ...

    def axis_mm(
        self, seeds: NDArray[np.uint32], impact: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return where particles enter, from the middle of each layer, mm, shape (n, L, 2).

        Parameters
        ----------
        impact
            Where in its seed each one enters, in cells from the middle, shape (n, 2).
        """
        ...

    def cut(self, seeds: NDArray[np.uint32], read: NDArray[np.float32], home: Home) -> Cut:
        """Return the patches around the channels that a data acquisition takes as seeds.

        Parameters
        ----------
        seeds
            Channels that were entered, shape (n,).
        read
            What the cells read, MeV, shape (n, W).
        """
        ...


class Home(NamedTuple):
    """What belongs together: a shower's seed is looked for where it entered."""

    of_channel: NDArray[np.int64]
    """Something that is read out as one, of each channel, shape (C,)."""

    largest: bool
    """Whether the seed is the cell that reads most, and not the one that was entered."""


class Cut(NamedTuple):
    """Patches of n showers."""

    seeds: NDArray[np.uint32]
    """Shape (n,)."""

    cells: NDArray[np.float32]
    """MeV, shape (n, V); 0 where there is no channel."""

    seed_mev: NDArray[np.float32]
    """What the seed reads, MeV, shape (n,)."""


class PatchCanvas:
    """The patch itself, for detectors of any form: seeds are the channels that were entered."""

    def __init__(self, channels: Channels, geometry: Geometry) -> None:
        self.geometry = geometry
        self.phases = np.where(channels.may_seed, 0, -1)
        self._channels = channels

    def channels(self, seeds: NDArray[np.uint32]) -> NDArray[np.int32]:
        """Return the channels of the patches, shape (n, V)."""
        return self._channels.patches(seeds)

    def axis_mm(
        self, seeds: NDArray[np.uint32], impact: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return where particles enter, by the cells of the layer that the first seed is in."""
        layer = self.geometry.layers[int(self._channels.layer[seeds[0]])]
        axis = impact * np.array(layer.cell_mm)
        return np.repeat(axis[:, None], self.geometry.n_layers, axis=1)

    def cut(self, seeds: NDArray[np.uint32], read: NDArray[np.float32], _: Home) -> Cut:
        """Return the patches as they are."""
        at = self.channels(seeds) == seeds[:, None].astype(np.int64)
        return Cut(seeds, read, np.where(at, read, 0).max(axis=1))


class GridCanvas:
    """Patches of grids with `MARGIN` cells of the seeds' layer around."""

    def __init__(self, channels: Channels, patches: GridPatches, geometry: Geometry) -> None:
        self._patches, self._patch_geometry = patches, geometry
        self._seeding = int(channels.layer[np.argmax(channels.may_seed)])
        self._steps = [
            (row, column)
            for row in range(-MARGIN, MARGIN + 1)
            for column in range(-MARGIN, MARGIN + 1)
        ]
        everything = np.flatnonzero(channels.may_seed).astype(np.uint32)
        corner = patches.corners(everything, (-MARGIN, -MARGIN))
        starts = np.stack([patches.corners(everything, s) - corner for s in self._steps], axis=1)
        middle = np.rint(1e6 * (patches.middles(everything) - corner))[:, None]
        lies = np.concatenate([starts, middle], axis=1).reshape(len(everything), -1)
        _, phase = np.unique(lies, axis=0, return_inverse=True)
        self.phases = np.full(len(channels), -1, np.int64)
        self.phases[everything] = phase.ravel()
        extent = np.array(patches.shapes) + starts.max(axis=(0, 1))
        self._shapes = tuple((int(rows), int(columns)) for rows, columns in extent)
        layers = (
            replace(layer, shape=shape)
            for layer, shape in zip(geometry.layers, self._shapes, strict=True)
        )
        self.geometry = replace(geometry, layers=tuple(layers))

    def _corners(self, seeds: NDArray[np.uint32]) -> NDArray[np.int64]:
        return self._patches.corners(seeds, (-MARGIN, -MARGIN))

    def channels(self, seeds: NDArray[np.uint32]) -> NDArray[np.int32]:
        """Return the channel of each cell, -1 outside of the detector, shape (n, W)."""
        return self._patches.windows(seeds, self._corners(seeds), self._shapes)

    def axis_mm(
        self, seeds: NDArray[np.uint32], impact: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return where particles enter, from the middle of each layer, mm, shape (n, L, 2)."""
        size = np.array([layer.cell_mm for layer in self.geometry.layers])
        middle = self._patches.middles(seeds) - self._corners(seeds) - np.array(self._shapes) / 2
        in_seed = impact[:, None] * size[self._seeding]
        axis: NDArray[np.float64] = middle * size + in_seed
        return axis

    def cut(self, seeds: NDArray[np.uint32], read: NDArray[np.float32], home: Home) -> Cut:
        """Return the patches around the seeds: those that were entered, or the largest near."""
        near = np.stack([self._neighbour(seeds, step) for step in self._steps], axis=1)
        there = read[:, self._near_cells]
        chosen = np.full(len(seeds), self._steps.index((0, 0)))
        if home.largest:
            same = home.of_channel[near] == home.of_channel[seeds][:, None]
            chosen = np.where((near >= 0) & same, there, -np.inf).argmax(axis=1)
        found = near[np.arange(len(seeds)), chosen].astype(np.uint32)
        corner = self._corners(seeds)
        steps = np.array(self._steps)[chosen]
        cells = np.zeros((len(seeds), self._patch_geometry.n_cells), np.float32)
        for step in np.unique(chosen).tolist():
            rows = np.flatnonzero(chosen == step)
            start = self._patches.corners(seeds[rows], tuple(steps[rows[0]])) - corner[rows]
            cells[rows] = self._windows_of(read[rows], start)
        return Cut(found, cells, there[np.arange(len(seeds)), chosen])

    def _neighbour(self, seeds: NDArray[np.uint32], step: tuple[int, int]) -> NDArray[np.int32]:
        """Return the channel some steps from each seed, -1 if there is none, shape (n,)."""
        corners = np.floor(self._patches.middles(seeds)).astype(np.int64)
        corners[:, self._seeding] += np.array(step)
        shapes = [(1, 1)] * len(self._shapes)
        return self._patches.windows(seeds, corners, tuple(shapes))[:, self._seeding]

    @cached_property
    def _near_cells(self) -> NDArray[np.int64]:
        """Return the cell of the canvas that each step leads to."""
        rows, columns = self._patches.shapes[self._seeding]
        width = self._shapes[self._seeding][1]
        steps = np.array(self._steps) + MARGIN + np.array([rows // 2, columns // 2])
        first = self.geometry.slices[self._seeding].start
        cells: NDArray[np.int64] = first + steps[:, 0] * width + steps[:, 1]
        return cells

    def _windows_of(
        self, read: NDArray[np.float32], start: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return the patches that begin at some row and column of each layer of the canvas."""
        parts = []
        for layer, (cut, shape, patch) in enumerate(
            zip(self.geometry.slices, self._shapes, self._patches.shapes, strict=True)
        ):
            row = start[:, layer, 0, None, None] + np.arange(patch[0])[:, None]
            column = start[:, layer, 1, None, None] + np.arange(patch[1])
            flat = (cut.start + row * shape[1] + column).reshape(len(read), -1)
            parts.append(np.take_along_axis(read, flat, axis=1))
        return np.concatenate(parts, axis=1)


def canvas_of(channels: Channels, geometry: Geometry) -> Canvas:
    """Return the canvas of a detector's channels."""
    patches = channels.patch_map
    if isinstance(patches, GridPatches):
        return GridCanvas(channels, patches, geometry)
    return PatchCanvas(channels, geometry)
