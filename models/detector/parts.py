"""Parts: detectors whose channels lie in rows and columns, module beside module, as a file says."""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.detector.channels import ChannelsError

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


def _whole(n: object) -> bool:
    return type(n) is int and n > 0
