"""Readers: shower files of the field into `Showers`, checked before memory is taken."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.showers.batch import Showers, ShowersError, concatenate
from models.showers.containers import open_tables
from models.showers.layouts import SEED, ColumnPath, Layout, Reading, layout
from models.showers.recordings import Bad, Piece, Recording
from models.showers.tables import TableError, Values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from models.detector.geometry import Geometry
    from models.showers.tables import Contents

MAX_BYTES = 8 << 30
"""What is read whole takes no more memory for its cells, all files together; `chunks` reads any."""

READ_AT_ONCE = 8192
"""Showers a chunk, unless they have many cells: see `AT_ONCE_BYTES`."""

AT_ONCE_BYTES = 8 << 20
"""Bytes of cells that a chunk has at most, unless it has `AT_LEAST` showers."""

AT_LEAST = 256
"""So many are scored together."""


class ReaderError(ValueError):
    """A file that holds no showers of this geometry: the file's name and the reason, one line."""


@dataclass(frozen=True, slots=True, eq=False)
class ShowerFile:
    """An open shower file: n rows that are read a range at a time."""

    path: Path
    geometry: Geometry
    contents: Contents
    layout: Layout
    said: Reading

    @property
    def n(self) -> int:
        """Return the rows of the file."""
        return self.layout.n

    @property
    def clean(self) -> bool:
        """Return whether cells are without the noise of the geometry, as the file states."""
        return self.geometry.noise_mev > 0 and self.contents.noise_mev == 0

    @property
    def has_seeds(self) -> bool:
        """Return whether the file says where its showers are, read or not."""
        return SEED in self.contents.tables[next(iter(self.layout.cells)).table].columns

    @property
    def bytes(self) -> int:
        """Return what the cells take in memory."""
        return self.n * self.geometry.n_cells * 4

    def rows(self, start: int, stop: int) -> Recording:
        """Return the showers [start, stop), or raise `ReaderError` if they cannot be showers."""
        return joined(list(self.pieces(start, stop, max(stop - start, 1))), self)

    def chunks(self, size: int = READ_AT_ONCE) -> Iterator[Recording]:
        """Yield all showers in order, `size` at a time: memory does not grow with the file."""
        few = max(AT_LEAST, AT_ONCE_BYTES // (4 * self.geometry.n_cells))
        yield from self.pieces(0, self.n, min(size, few))

    def pieces(self, start: int, stop: int, size: int) -> Iterator[Recording]:
        """Yield the showers [start, stop), at most `size` at a time."""
        stop, at = min(stop, self.n), start
        with named(self.path):
            for columns in self._columns(start, stop, size):
                piece = Piece(self.layout, columns, at)
                at += piece.n
                yield piece.recording(self.said.conditions, skip_bad=self.said.skip_bad)
            if at < stop:
                raise TableError(f"ends at row {at} of {stop}")

    def _columns(self, start: int, stop: int, size: int) -> Iterator[dict[ColumnPath, Values]]:
        """Yield pieces of all columns, whichever tables they are of."""
        widths = dict(self.layout.cells)
        widths |= dict.fromkeys(self.layout.others.values(), 1)
        if self.layout.energy is not None:
            widths[self.layout.energy] = 1
        of_tables = []
        for at in dict.fromkeys(place.table for place in widths):
            table = self.contents.tables[at]
            mine = {place.column: width for place, width in widths.items() if place.table == at}
            of_tables.append((at, table.pieces(mine, start, stop, size)))
        for pieces in zip(*(piece for _, piece in of_tables), strict=True):
            yield {
                ColumnPath(at, name): values
                for (at, _), piece in zip(of_tables, pieces, strict=True)
                for name, values in piece.items()
            }


def open_source(path: Path, geometry: Geometry, said: Reading | None = None) -> ShowerFile:
    """Return a shower file, with its columns and shapes checked and nothing else read.

    Raises
    ------
    ReaderError
        If the file is of no known kind, is damaged, holds showers of another geometry or none, or
        if it takes somebody's word to read it.
    """
    with named(path):
        contents = open_tables(path)
    return source(path, geometry, contents, said or Reading())


def source(path: Path, geometry: Geometry, contents: Contents, said: Reading) -> ShowerFile:
    """Return tables as a source, or raise `ReaderError`; `path` names them in errors."""
    with named(path):
        form = layout(contents, geometry, said)
        if not form.n:
            raise TableError("holds no showers")
        return ShowerFile(path, geometry, contents, form, said)


def read(path: Path, geometry: Geometry) -> Showers:
    """Return all showers of a file, or raise `ReaderError`."""
    return gather([open_source(path, geometry)]).showers


class Gathered(NamedTuple):
    """The showers of some files, one after the other."""

    showers: Showers
    counts: tuple[int, ...]
    """Showers of each file."""

    bad: tuple[tuple[Bad, ...], ...]
    """Rows of each file that were left out."""


def check_memory(files: Sequence[ShowerFile]) -> None:
    """Raise `ReaderError` if the cells of some files do not fit into `MAX_BYTES` together."""
    needed = sum(file.bytes for file in files)
    if needed > MAX_BYTES:
        largest = max(files, key=lambda file: file.bytes)
        raise ReaderError(
            f"{largest.path}: {needed / 1e9:.0f} GB of cells in {len(files)} files, at most "
            f"{MAX_BYTES / 1e9:.0f} GB together; `apply` alone reads any number of showers"
        )


def gather(files: Sequence[ShowerFile]) -> Gathered:
    """Return the showers of some files in one batch, or raise `ReaderError`.

    The cells are written where they will stay: no copy of them is held meanwhile. The conditions
    are those that each file was opened for.
    """
    check_memory(files)
    total = sum(file.n for file in files)
    cells = np.empty((total, files[0].geometry.n_cells), np.float32)
    e_inc = np.empty(total, np.float32)
    extra = {name: np.empty(total, np.float32) for name in files[0].said.conditions}
    seeds = np.empty(total, np.uint32) if all(SEED in f.layout.others for f in files) else None
    at, counts, bad = 0, [], []
    for file in files:
        before, skipped = at, list[Bad]()
        for part in file.chunks():
            to = slice(at, at + part.showers.n)
            cells[to], e_inc[to] = part.showers.cells, part.showers.e_inc
            for name, values in extra.items():
                values[to] = part.showers.conditions[name]
            if seeds is not None and part.showers.seeds is not None:
                seeds[to] = part.showers.seeds
            skipped += part.bad
            at = to.stop
        if at == before:
            raise ReaderError(f"{file.path}: no row holds a shower: {skipped[0]}")
        counts.append(at - before)
        bad.append(tuple(skipped))
    conditions = {name: values[:at] for name, values in extra.items()}
    where = None if seeds is None else seeds[:at]
    showers = Showers(cells[:at], e_inc[:at], conditions, where)
    return Gathered(showers, tuple(counts), tuple(bad))


def joined(parts: list[Recording], file: ShowerFile) -> Recording:
    """Return several recordings of one file as one."""
    if not parts:
        raise ReaderError(f"{file.path}: holds no showers")
    if len(parts) == 1:
        return parts[0]
    return Recording(
        concatenate([part.showers for part in parts]),
        np.concatenate([part.row for part in parts]),
        {n: np.concatenate([part.stream[n] for part in parts]) for n in parts[0].stream},
        tuple(one for part in parts for one in part.bad),
    )


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Turn the errors of tables and showers into a `ReaderError` that names the file."""
    try:
        yield
    except (TableError, ShowersError) as error:
        raise ReaderError(f"{path}: {error}") from None
