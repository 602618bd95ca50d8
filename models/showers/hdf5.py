"""HDF5: the datasets of each group, or the fields of a dataset of records, as a table."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from models.showers.tables import MAX_PIECE, Column, Contents, TableError, Values, one_line, ranges

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MAX_DEPTH, MAX_OBJECTS, MAX_HOPS = 8, 10_000, 8
"""Groups in groups, objects in a file and links to links: more are no shower file."""

CACHE = 64 << 20
"""Bytes of unpacked chunks that are kept: columns are read side by side, a few rows at a time."""

FILTERS = {
    4: "szip", 32000: "lzf", 32001: "blosc", 32004: "lz4", 32008: "bitshuffle", 32013: "zfp",
    32015: "zstd", 32017: "sz", 32026: "blosc2",
}  # fmt: skip
"""Names of filters that HDF5 may lack, as the HDF Group registered them."""


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Where the numbers of a column are: a dataset, or a field of one."""

    dataset: h5py.Dataset
    field: str | None = None

    @property
    def kind(self) -> np.dtype[Any]:
        kind: np.dtype[Any] = self.dataset.dtype
        return kind if self.field is None else kind[self.field]

    def read(self, low: int, high: int) -> Any:
        return np.asarray(
            self.dataset[low:high]
            if self.field is None
            else self.dataset.fields(self.field)[low:high]
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Hdf5:
    columns: dict[str, Column]
    places: dict[str, _Place]

    def inner(self, name: str) -> tuple[int, ...]:
        place = self.places[name]
        _check_storage(name, place.dataset)
        return (*place.dataset.shape[1:], *place.kind.shape)

    def pieces(
        self, widths: Mapping[str, int], start: int, stop: int, size: int
    ) -> Iterator[dict[str, Values]]:
        for low, high in ranges(start, stop, size):
            yield {name: self._rows(name, low, high, widths[name]) for name in widths}

    def _rows(self, name: str, low: int, high: int, width: int) -> Values:
        try:
            return Values(self.places[name].read(low, high).reshape(high - low, width), {})
        except (OSError, RuntimeError) as error:
            raise TableError(f"`{name}` is damaged: {one_line(error)}") from None


def contents(path: Path) -> Contents:
    """Return the tables of an HDF5 file, or raise `TableError`."""
    try:
        file = h5py.File(path, "r", rdcc_nbytes=CACHE)
        found: dict[str, _Hdf5] = defaultdict(lambda: _Hdf5({}, {}))
        for number, (name, thing) in enumerate(_walk(file, "", MAX_DEPTH)):
            if number > MAX_OBJECTS:
                raise TableError(f"more than {MAX_OBJECTS} objects")
            _add(found, name, thing)
        return Contents(dict(found), _noise(file))
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        if isinstance(error, TableError):
            raise
        raise TableError(f"HDF5, but damaged or truncated: {one_line(error)}") from None


def _noise(file: h5py.File) -> float | None:
    stated = file.attrs.get("noise_mev")
    try:
        return None if stated is None else float(stated)
    except (TypeError, ValueError):
        raise TableError(f"the attribute noise_mev is {stated!r}, no number") from None


def _walk(group: h5py.Group, at: str, depth: int) -> Iterator[tuple[str, h5py.Dataset | str]]:
    """Yield the path of every dataset, with the dataset or what its link is instead."""
    for name in group:
        path = f"{at}/{name}" if at else name
        thing = _inside(group, name, MAX_HOPS)
        if isinstance(thing, h5py.Group):
            if depth:
                yield from _walk(thing, path, depth - 1)
        else:
            yield path, thing


def _inside(group: h5py.Group, path: str, hops: int) -> h5py.Group | h5py.Dataset | str:
    """Return what a path leads to without leaving the file, or what it is instead.

    A link out of the file could read any file of this machine.
    """
    here = group.file["/"] if path.startswith("/") else group
    for part in PurePosixPath(path.lstrip("/")).parts:
        if not isinstance(here, h5py.Group) or (link := here.get(part, getlink=True)) is None:
            return "a link to nothing"
        if isinstance(link, h5py.ExternalLink):
            return "a link to another file, which is not followed"
        if isinstance(link, h5py.SoftLink):
            here = _inside(here, link.path, hops - 1) if hops else "a link to nothing"
        else:
            here = here[part]
        if isinstance(here, str):
            return here
    return here


def _add(found: dict[str, _Hdf5], path: str, thing: h5py.Dataset | str) -> None:
    at, _, name = path.rpartition("/")
    if isinstance(thing, str):
        found[at].columns[name] = Column(0, thing)
    elif isinstance(thing, h5py.Dataset) and thing.ndim:
        if thing.dtype.names and thing.ndim == 1:
            for field in thing.dtype.names:
                _note(found[path], field, _Place(thing, field))
        else:
            _note(found[at], name, _Place(thing))


def _note(table: _Hdf5, name: str, place: _Place) -> None:
    table.columns[name] = Column(place.dataset.shape[0], _other(place))
    table.places[name] = place


def _other(place: _Place) -> str:
    kind = place.kind.base
    if kind.kind in "fiu":
        return ""
    if h5py.check_string_dtype(kind) is not None or kind.kind == "S":
        return "text"
    return "lists of any length" if kind.kind == "O" else str(kind)


def _check_storage(name: str, dataset: h5py.Dataset) -> None:
    """Raise `TableError` if a dataset's numbers cannot be read, or not within bounds."""
    if dataset.external or dataset.is_virtual:
        raise TableError(f"`{name}` keeps its data in another file")
    if dataset.chunks and math.prod(dataset.chunks) * dataset.dtype.itemsize > MAX_PIECE:
        raise TableError(f"`{name}` has chunks {dataset.chunks} of more than {MAX_PIECE} bytes")
    filters = dataset.id.get_create_plist()
    for index in range(filters.get_nfilters()):
        code = int(filters.get_filter(index)[0])
        if not h5py.h5z.filter_avail(code):
            raise TableError(
                f"`{name}` is compressed by filter {code} ({FILTERS.get(code, 'unknown')}), which "
                "HDF5 lacks here: `pip install hdf5plugin` and set HDF5_PLUGIN_PATH to its "
                "PLUGINS_PATH, or write it with gzip"
            )
