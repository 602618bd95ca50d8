"""Channel tables: any detector's channels and patches, from Parquet or CSV files."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

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
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

COLUMNS = ("channel", "layer", "region", "x", "y", "width", "height")
"""What a table of channels has; `name`, and one column a kind of group, may follow."""

MAX_ENTRIES = 1 << 28
"""Of a patch map: a gigabyte."""


class TablePatches:
    """The patches of a table."""

    shapes: tuple[tuple[int, int], ...] = ()
    """A table does not say rows and columns."""

    def __init__(
        self,
        seeds: NDArray[np.int64],
        cells: NDArray[np.int32],
        position: NDArray[np.float64],
        size: NDArray[np.float64],
    ) -> None:
        self._row = np.full(len(position), -1, np.int64)
        self._row[seeds] = np.arange(len(seeds))
        self._seeds, self._cells = seeds, cells
        self._position, self._size = position, size

    @property
    def may_seed(self) -> NDArray[np.bool_]:
        """Return which channels a patch can be centred on, shape (C,)."""
        return self._row >= 0

    @cached_property
    def rings(self) -> NDArray[np.int8]:
        """Return the ring of each cell, by the sizes of cells that lie between it and the seed.

        The median over the seeds counts, along the axis on which it is further.
        """
        with np.errstate(invalid="ignore"):
            apart = self._position[self._cells] - self._position[self._seeds][:, None]
            half = (self._size[self._cells] + self._size[self._seeds][:, None]) / 2
            away = (np.abs(apart) / half).max(axis=2)
        away[self._cells == ABSENT] = np.nan
        nobody = np.isnan(away).all(axis=0)
        away[:, nobody] = np.inf
        middle = np.nanmedian(away, axis=0)
        return np.select([middle < 0.75, middle < 1.5], [CORE, NEAR], FAR).astype(np.int8)

    def __call__(self, seeds: NDArray[np.uint32]) -> NDArray[np.int32]:
        """Return the channel of each cell, `ABSENT` outside of the detector, shape (n, V)."""
        return self._cells[self._row[seeds]]


def read(
    table: Path,
    patches: Path,
    layers: tuple[str, ...],
    regions: Sequence[str],
    axes: tuple[str, str] = AXES,
) -> Channels:
    """Return the channels of two files, Parquet or CSV.

    Parameters
    ----------
    table
        One row a channel: `COLUMNS`, and perhaps `name`; each further column is a kind of group
        and says which one the channel belongs to, empty for none.
    patches
        One row a seed: `seed`, then one column a cell in the geometry's order, or one column of
        lists; -1 where a patch leaves the detector.

    Raises
    ------
    ChannelsError
        If a file cannot be read or is not of this form: one line that names file and row.
    """
    found = _columns(table)
    with _named(table):
        columns = _channels(found, layers, regions)
    found = _columns(patches)
    with _named(patches):
        seeds, cells = _patches(found, len(columns["layer"]))
    patch_map = TablePatches(seeds, cells, columns["position"], columns["size"])
    with _named(table):
        return Channels(**columns, layers=layers, patch_map=patch_map, axes=axes)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Put the name of a file before what is wrong with it."""
    try:
        yield
    except ChannelsError as error:
        raise ChannelsError(f"{path}: {error}") from None


def _columns(path: Path) -> dict[str, Any]:
    """Return the columns of a file as Arrow arrays by name."""
    import pyarrow as pa  # noqa: PLC0415  not every command reads tables
    from pyarrow import csv, parquet  # noqa: PLC0415

    try:
        read = parquet.read_table if path.suffix == ".parquet" else csv.read_csv
        table = read(path)
    except (OSError, pa.ArrowException) as error:
        raise ChannelsError(f"{path}: {str(error).splitlines()[0]}") from None
    if not 0 < table.num_rows <= MAX_CHANNELS:
        raise ChannelsError(f"{path}: {table.num_rows} rows: 1 to {MAX_CHANNELS} are possible")
    if len(set(table.column_names)) != len(table.column_names):
        raise ChannelsError(f"{path}: two columns of one name")
    return {name: table.column(name).combine_chunks() for name in table.column_names}


def _channels(found: dict[str, Any], layers: tuple[str, ...], regions: Sequence[str]) -> Any:
    missing = [name for name in COLUMNS if name not in found]
    if missing:
        raise ChannelsError(f"no column {missing[0]}: {', '.join(COLUMNS)} are needed")
    ids = _whole(found["channel"], "channel")
    n = len(ids)
    order = np.argsort(ids, kind="stable")
    wrong = np.flatnonzero(ids[order] != np.arange(n))
    if len(wrong):
        raise ChannelsError(
            f"channel ids must be 0 to {n - 1}, each once: {wrong[0]} is missing or one is twice"
        )
    names = _texts(found["name"]) if "name" in found else None
    x, y, width, height = (_numbers(found[name], name)[order] for name in COLUMNS[3:])
    kinds = [name for name in found if name not in {*COLUMNS, "name"}]
    return {
        "layer": _index(found["layer"], "layer", layers)[order].astype(np.int16),
        "region": _index(found["region"], "region", regions, none=True)[order].astype(np.int32),
        "position": np.stack([x, y], axis=1),
        "size": np.stack([width, height], axis=1),
        "names": tuple(names[i] if names else str(ids[i]) for i in order.tolist()),
        "groups": {k: v for kind in kinds for k, v in _groups(kind, found[kind], order).items()},
    }


def _groups(kind: str, column: Any, order: NDArray[np.int64]) -> dict[str, NDArray[np.int32]]:
    members: dict[str, list[int]] = {}
    texts = _texts(column)
    for channel, row in enumerate(order.tolist()):
        if texts[row]:
            members.setdefault(f"{kind}/{texts[row]}", []).append(channel)
    return {name: np.array(channels, np.int32) for name, channels in members.items()}


def _patches(found: dict[str, Any], n: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    if "seed" not in found or len(found) < 2:
        raise ChannelsError("seed, then a column a cell (or one of lists) are needed")
    seeds = _whole(found.pop("seed"), "seed")
    columns = list(found.values())
    if len(columns) == 1 and hasattr(columns[0], "values"):
        cells = _lists(columns[0], len(seeds))
    else:
        cells = np.stack([_whole(column, name) for name, column in found.items()], axis=1)
    for name, values, least in (("seed", seeds[:, None], 0), ("cell", cells, ABSENT)):
        bad = np.argwhere((values < least) | (values >= n))
        if len(bad):
            row, value = bad[0][0] + 1, values[tuple(bad[0])]
            raise ChannelsError(f"row {row}: {name} {value} is no channel, they are 0 to {n - 1}")
    if len(np.unique(seeds)) != len(seeds):
        raise ChannelsError("a seed stands in two rows")
    twice = _twice(cells)
    if twice is not None:
        raise ChannelsError(f"row {twice + 1}: a channel stands twice in the patch")
    return seeds, cells.astype(np.int32)


def _lists(column: Any, n: int) -> NDArray[np.int64]:
    flat = _whole(column.flatten(), "cells")
    if len(flat) % n:
        raise ChannelsError("patches are of unequal length")
    return flat.reshape(n, -1)


def _twice(cells: NDArray[np.int64]) -> int | None:
    ordered = np.sort(cells, axis=1)
    same = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != ABSENT)
    rows = np.flatnonzero(same.any(axis=1))
    return int(rows[0]) if len(rows) else None


def _whole(column: Any, name: str) -> NDArray[np.int64]:
    values = _numbers(column, name)
    bad = np.flatnonzero(values != np.rint(values))
    if len(bad):
        raise ChannelsError(f"row {bad[0] + 1}: {name} {values[bad[0]]:g} is not a whole number")
    return values.astype(np.int64)


def _numbers(column: Any, name: str) -> NDArray[np.float64]:
    try:
        values: NDArray[np.float64] = column.to_numpy(zero_copy_only=False).astype(np.float64)
    except (ValueError, TypeError):
        raise ChannelsError(f"column {name} is {column.type}, not numbers") from None
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise ChannelsError(f"row {bad[0] + 1}: {name} is empty or not finite")
    return values


def _texts(column: Any) -> list[str]:
    return ["" if value is None else str(value) for value in column.to_pylist()]


def _index(
    column: Any, name: str, known: Sequence[str], *, none: bool = False
) -> NDArray[np.int64]:
    row_of = {text: i for i, text in enumerate(known)} | ({"": -1} if none else {})
    found = []
    for row, text in enumerate(_texts(column)):
        if text not in row_of:
            shown = ", ".join(known[:6]) + (", ..." if len(known) > 6 else "")
            raise ChannelsError(f"row {row + 1}: {name} {text!r} is none of {shown}")
        found.append(row_of[text])
    return np.array(found, np.int64)
