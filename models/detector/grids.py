"""Grids: detectors whose channels lie in rows and columns, module beside module."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.detector.channels import (
    ABSENT,
    AXES,
    CORE,
    FAR,
    MAX_CHANNELS,
    NEAR,
    Channels,
    ChannelsError,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

WRAPS = ("", "rows", "columns")


@dataclass(frozen=True, slots=True)
class GridLayer:
    """One layer of a part: the same grid of channels in each of its modules."""

    name: str
    cells: tuple[int, int]
    """Rows and columns of channels in a module."""

    patch: tuple[int, int] = (1, 1)
    """Rows and columns of the patch around a seed."""

    missing: tuple[tuple[int, int, int, int], ...] = ()
    """Where no channels are: first and last row, first and last column, each counted from 0
    over the whole part."""

    def __post_init__(self) -> None:
        if not self.name or not all(_whole(n) for n in (*self.cells, *self.patch)):
            raise ChannelsError(f"layer {self.name!r}: cells and patch must be two counts > 0 each")
        for hole in self.missing:
            if not (0 <= hole[0] <= hole[1] and 0 <= hole[2] <= hole[3]):
                raise ChannelsError(
                    f"layer {self.name}: missing {list(hole)} must be first and last row, first "
                    "and last column"
                )


@dataclass(frozen=True, slots=True)
class GridGroup:
    """Blocks of channels of one layer that fail together: cards, high voltages, rows."""

    name: str
    cells: tuple[int, int]
    """Rows and columns of channels in a block; blocks fill the module."""

    layer: str = ""
    """Layer that they are in; that of the seeds if not given."""


@dataclass(frozen=True, slots=True)
class Part:
    """Equal modules in rows and columns: a barrel, an end, a prototype. Each module is a region.

    Rows run along the first axis (η or x), columns along the second (φ or y).
    """

    name: str
    modules: tuple[int, int]
    """Rows and columns of modules."""

    layers: tuple[GridLayer, ...]
    seed: str = ""
    """Layer that seeds are channels of; the first if not given."""

    sectors: tuple[str, ...] = ()
    """Names of the rows of modules; a row of modules is a sector. The part's name for one row."""

    wrap: str = ""
    """What closes on itself: "columns" (φ), "rows", or nothing."""

    size: tuple[float, float] = (1.0, 1.0)
    """Size of a module along the two axes."""

    start: tuple[float, float] = (0.0, 0.0)
    """Where the first module begins."""

    gap: tuple[float, float] = (0.0, 0.0)
    """Space between modules, >= 0; patches reach across it."""

    groups: tuple[GridGroup, ...] = ()

    def __post_init__(self) -> None:
        names = [layer.name for layer in self.layers]
        if not self.name or not names or len(set(names)) != len(names):
            raise ChannelsError(f"part {self.name!r}: needs a name and distinct layers")
        if not all(_whole(n) for n in self.modules):
            raise ChannelsError(f"part {self.name}: modules {self.modules} must be two counts > 0")
        if self.wrap not in WRAPS:
            raise ChannelsError(f"part {self.name}: wrap {self.wrap!r} is not rows or columns")
        if len(self.sectors) not in {0, self.modules[0]}:
            raise ChannelsError(
                f"part {self.name}: {len(self.sectors)} sectors for {self.modules[0]} rows of "
                "modules: a sector is a row"
            )
        numbers = (*self.size, *self.start, *self.gap)
        if not (all(map(math.isfinite, numbers)) and min(self.size) > 0 and min(self.gap) >= 0):
            raise ChannelsError(f"part {self.name}: size must be > 0, gap >= 0, all finite")
        self._check_layers(names)

    def _check_layers(self, names: list[str]) -> None:
        if self.seed and self.seed not in names:
            raise ChannelsError(f"part {self.name}: seed {self.seed!r} is none of {names}")
        if not all(n % 2 for n in self.seeding.patch):
            raise ChannelsError(
                f"layer {self.seeding.name}: patch {list(self.seeding.patch)} must be odd: a seed "
                "is in the middle"
            )
        for layer in self.layers:
            self._check_layer(layer)
        for group in self.groups:
            self._check_group(group, names)

    def _check_layer(self, layer: GridLayer) -> None:
        rows, columns = self.shape(layer)
        for n, patch in zip((rows, columns), layer.patch, strict=True):
            if patch > n:
                raise ChannelsError(f"layer {layer.name}: patch {patch} of {n} cells")
        for hole in layer.missing:
            if hole[1] >= rows or hole[3] >= columns:
                raise ChannelsError(
                    f"layer {layer.name}: missing {list(hole)} of {rows} rows, {columns} columns"
                )

    def _check_group(self, group: GridGroup, names: list[str]) -> None:
        if group.layer and group.layer not in names:
            raise ChannelsError(f"group {group.name}: layer {group.layer!r} is none of {names}")
        if not group.name or not all(_whole(n) for n in group.cells):
            raise ChannelsError(f"group {group.name!r}: cells must be two counts > 0")
        cells = self.grouped(group).cells
        if any(n % size for n, size in zip(cells, group.cells, strict=True)):
            raise ChannelsError(
                f"group {group.name}: blocks of {list(group.cells)} do not fill a module of "
                f"{list(cells)} cells"
            )

    @property
    def seeding(self) -> GridLayer:
        """Return the layer that seeds are channels of."""
        by_name = {layer.name: layer for layer in self.layers}
        return by_name[self.seed] if self.seed else self.layers[0]

    def grouped(self, group: GridGroup) -> GridLayer:
        """Return the layer of a group."""
        by_name = {layer.name: layer for layer in self.layers}
        return by_name[group.layer] if group.layer else self.seeding

    def shape(self, layer: GridLayer) -> tuple[int, int]:
        """Return rows and columns of a layer over all modules."""
        return self.modules[0] * layer.cells[0], self.modules[1] * layer.cells[1]

    @property
    def regions(self) -> tuple[tuple[str, str], ...]:
        """Return name and sector of each module, row after row: EB-12 of the sector EB-."""
        n_rows, n_columns = self.modules
        numbered = [f"{self.name}{row + 1}" for row in range(n_rows)]
        sectors = self.sectors or (numbered if n_rows > 1 else [self.name])
        between = "-" if n_rows > 1 and not self.sectors else ""
        columns = range(1, n_columns + 1)
        return tuple((f"{one}{between}{column}", one) for one in sectors for column in columns)


def build(parts: tuple[Part, ...], axes: tuple[str, str] = AXES) -> Channels:
    """Return the channels of a detector of parts; regions count over their modules, in order.

    Ids count over parts, then modules, then layers, then rows, then columns: the channels of a
    region are one stretch.

    Raises
    ------
    ChannelsError
        If the parts differ in their layers, or there are too many channels.
    """
    first = parts[0]
    like = [(layer.name, layer.patch) for layer in first.layers]
    for part in parts:
        if [(layer.name, layer.patch) for layer in part.layers] != like:
            raise ChannelsError(
                f"part {part.name}: layers and patches must be those of {first.name}: a model has "
                "one form of shower"
            )
    total = sum(math.prod(part.shape(layer)) for part in parts for layer in part.layers)
    if total > MAX_CHANNELS:
        raise ChannelsError(f"{total} channels: at most {MAX_CHANNELS} are possible")
    placed = _place(parts)
    names, groups = _names(parts, placed)
    return Channels(
        layer=placed.layer.astype(np.int16),
        region=placed.region.astype(np.int32),
        position=placed.position,
        size=placed.size,
        groups=groups,
        names=names,
        layers=tuple(layer.name for layer in first.layers),
        patch_map=GridPatches(parts, placed),
        axes=axes,
    )


class _Placed(NamedTuple):
    """Channels of grids, C of them."""

    part: NDArray[np.int64]
    layer: NDArray[np.int64]
    region: NDArray[np.int64]
    row: NDArray[np.int64]
    """Row over the whole part; `column` the same."""

    column: NDArray[np.int64]
    position: NDArray[np.float64]
    size: NDArray[np.float64]


def _place(parts: tuple[Part, ...]) -> _Placed:
    columns: list[tuple[NDArray[np.int64], ...]] = []
    places: list[NDArray[np.float64]] = []
    sizes: list[NDArray[np.float64]] = []
    first_region = 0
    for p, part in enumerate(parts):
        for module in range(math.prod(part.modules)):
            at = np.array(divmod(module, part.modules[1]))
            corner = np.array(part.start) + at * (np.array(part.size) + np.array(part.gap))
            for index, layer in enumerate(part.layers):
                row, column = np.indices(layer.cells).reshape(2, -1)
                size = np.array(part.size) / np.array(layer.cells)
                place = corner + (np.stack([row, column], axis=1) + 0.5) * size
                row, column = row + at[0] * layer.cells[0], column + at[1] * layer.cells[1]
                here = ~_missing(layer, row, column)
                n = int(here.sum())
                fixed = (np.full(n, value) for value in (p, index, first_region + module))
                columns.append((*fixed, row[here], column[here]))
                places.append(place[here])
                sizes.append(np.broadcast_to(size, (n, 2)))
        first_region += math.prod(part.modules)
    part_of, layer_of, region, rows, across = map(np.concatenate, zip(*columns, strict=True))
    at_and_size = np.concatenate(places), np.concatenate(sizes)
    return _Placed(part_of, layer_of, region, rows, across, *at_and_size)


def _missing(
    layer: GridLayer, row: NDArray[np.int64], column: NDArray[np.int64]
) -> NDArray[np.bool_]:
    out = np.zeros(len(row), np.bool_)
    for first, last, left, right in layer.missing:
        out |= (row >= first) & (row <= last) & (column >= left) & (column <= right)
    return out


def _names(
    parts: tuple[Part, ...], placed: _Placed
) -> tuple[tuple[str, ...], dict[str, NDArray[np.int32]]]:
    """Return the names of channels, REGION/NUMBER or REGION/LAYER/NUMBER, and the groups."""
    regions = [name for part in parts for name, _ in part.regions]
    several = len(parts[0].layers) > 1
    names = [""] * len(placed.part)
    groups: dict[str, NDArray[np.int32]] = {}
    for p, part in enumerate(parts):
        for index, layer in enumerate(part.layers):
            here = np.flatnonzero((placed.part == p) & (placed.layer == index))
            row, column = placed.row[here] % layer.cells[0], placed.column[here] % layer.cells[1]
            number = row * layer.cells[1] + column + 1
            middle = f"/{layer.name}/" if several else "/"
            for channel, region, n in zip(here, placed.region[here], number, strict=True):
                names[channel] = f"{regions[region]}{middle}{n}"
            for group in part.groups:
                if part.grouped(group) is layer:
                    block = _blocks(group, layer, row, column)
                    groups |= _grouped(group, regions, placed.region[here], block, here)
    return tuple(names), groups


def _blocks(
    group: GridGroup, layer: GridLayer, row: NDArray[np.int64], column: NDArray[np.int64]
) -> NDArray[np.int64]:
    across = layer.cells[1] // group.cells[1]
    blocks: NDArray[np.int64] = row // group.cells[0] * across + column // group.cells[1] + 1
    return blocks


def _grouped(
    group: GridGroup,
    regions: list[str],
    region: NDArray[np.int64],
    block: NDArray[np.int64],
    channels: NDArray[np.int64],
) -> dict[str, NDArray[np.int32]]:
    order = np.lexsort((channels, block, region))
    both = np.stack([region, block], axis=1)[order]
    starts = np.flatnonzero(np.r_[True, (np.diff(both, axis=0) != 0).any(axis=1)])
    return {
        f"{regions[both[start, 0]]}/{group.name}{both[start, 1]}": members.astype(np.int32)
        for start, members in zip(starts, np.split(channels[order], starts[1:]), strict=True)
    }


class GridPatches:
    """The patches of a grid: in each layer the cells around the place of the seed, row-major.

    In the layer of the seeds the patch is centred on the seed. In another one it is centred on
    the cell that the middle of the seed lies in, or, with an even number of cells, on the nearest
    edge. Patches reach across gaps between modules, and around where the part closes.
    """

    def __init__(self, parts: tuple[Part, ...], placed: _Placed) -> None:
        self._parts = parts
        self._part, self._layer = placed.part, placed.layer
        self._row, self._column = placed.row, placed.column
        self._ids = [
            [self._table(p, index) for index in range(len(part.layers))]
            for p, part in enumerate(parts)
        ]

    def _table(self, p: int, index: int) -> NDArray[np.int32]:
        """Return the channel at each row and column of a layer of a part."""
        part = self._parts[p]
        table = np.full(part.shape(part.layers[index]), ABSENT, np.int32)
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
        out = np.full((len(seeds), len(self.rings)), ABSENT, np.int32)
        for p, part in enumerate(self._parts):
            rows = np.flatnonzero(self._part[seeds] == p)
            if len(rows):
                layers = [
                    self._patch(part, p, index, seeds[rows]) for index in range(len(part.layers))
                ]
                out[rows] = np.concatenate(layers, axis=1)
        return out

    def _patch(
        self, part: Part, p: int, index: int, seeds: NDArray[np.uint32]
    ) -> NDArray[np.int32]:
        layer, table = part.layers[index], self._ids[p][index]
        places = []
        inside: NDArray[np.bool_] | bool = True
        for axis, (at, wrap) in enumerate(((self._row, "rows"), (self._column, "columns"))):
            scale = layer.cells[axis] / part.seeding.cells[axis]
            middle = (at[seeds] + 0.5) * scale
            place = np.floor(middle - layer.patch[axis] / 2 + 0.5).astype(np.int64)
            cells = place[:, None] + np.arange(layer.patch[axis])
            shape = (-1, layer.patch[0], 1) if axis == 0 else (-1, 1, layer.patch[1])
            if part.wrap == wrap:
                cells %= table.shape[axis]
            else:
                good = (cells >= 0) & (cells < table.shape[axis])
                inside = inside & good.reshape(shape)
                cells = np.clip(cells, 0, table.shape[axis] - 1)
            places.append(cells.reshape(shape))
        found = np.where(inside, table[places[0], places[1]], ABSENT)
        return found.reshape(len(seeds), -1).astype(np.int32)


def _rings(patch: tuple[int, int]) -> NDArray[np.int8]:
    row, column = (np.abs(np.arange(n) - (n - 1) / 2) for n in patch)
    away = np.maximum(row[:, None], column[None]).ravel()
    return np.select([away < 1, away < 2], [CORE, NEAR], FAR).astype(np.int8)


def _whole(n: object) -> bool:
    return type(n) is int and n > 0
