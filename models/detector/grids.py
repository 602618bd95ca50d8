"""Grids: the channels of parts, and their patches."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from models.detector.channels import AXES, MAX_CHANNELS, Channels, ChannelsError
from models.detector.grid_patches import GridPatches, Placed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.parts import GridGroup, GridLayer, Part


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


def _place(parts: tuple[Part, ...]) -> Placed:
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
    return Placed(part_of, layer_of, region, rows, across, *at_and_size)


def _missing(
    layer: GridLayer, row: NDArray[np.int64], column: NDArray[np.int64]
) -> NDArray[np.bool_]:
    out = np.zeros(len(row), np.bool_)
    for first, last, left, right in layer.missing:
        out |= (row >= first) & (row <= last) & (column >= left) & (column <= right)
    return out


def _names(
    parts: tuple[Part, ...], placed: Placed
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
