"""Readers: shower files of the field into `Showers`, checked before memory is taken."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from models.showers.batch import Showers, ShowersError, concatenate
from models.showers.tables import Table, TableError, open_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from models.detector.geometry import Geometry

MAX_BYTES = 8 << 30
"""`read` refuses files whose cells would take more memory than this; `chunks` reads any size."""

READ_AT_ONCE = 8192
"""Showers a chunk: 16 MB of cells for 504 cells."""

STREAM_COLUMNS: dict[str, type[np.integer[Any]]] = {
    "region": np.uint16,
    "run": np.uint32,
    "lumisection": np.uint32,
    "time": np.int64,
}
RESERVED = {*STREAM_COLUMNS, "incident_energies", "e_inc", "showers", "energy", "overflow"}


class ReaderError(ValueError):
    """A file that holds no showers of this geometry: the file's name and the reason, one line."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """N showers with where and when they were taken, as far as the file knows."""

    showers: Showers

    region: NDArray[np.uint16] | None = None
    """Region id, shape (N,)."""

    run: NDArray[np.uint32] | None = None
    lumisection: NDArray[np.uint32] | None = None

    time: NDArray[np.int64] | None = None
    """Data time, ns since 1970 UTC, shape (N,)."""


@dataclass(frozen=True, slots=True, eq=False)
class ShowerFile:
    """An open shower file: N showers that are read a range at a time.

    Two layouts are known, in HDF5, Parquet or ROOT, and told apart by the names of the columns.
    Cells are in MeV in both.

    * CaloChallenge: `showers` (N, V) and `incident_energies` (N, 1), MeV. `e_inc` is taken for
      the latter too; without either the incident energy is unknown (NaN).
    * CaloGAN: `layer_0`, `layer_1`, ... (N, rows, columns) and `energy` (N, 1), GeV. `overflow`
      is what left the cells: it is not read.

    In both, `region`, `run`, `lumisection` and `time` (whole numbers: ns since 1970 UTC; floats:
    seconds) are read where they are, and every other column of N floats is a condition.
    """

    path: Path
    geometry: Geometry
    n: int
    """Showers in the file."""

    table: Table
    cells: tuple[str, ...]
    """Columns that hold the cells, in the order of the layers."""

    energy: tuple[str, float] | None
    """Column of the incident energy and its unit in MeV; None where the file has none."""

    conditions: tuple[str, ...]

    def rows(self, start: int, stop: int) -> Recording:
        """Return the showers [start, stop), or raise `ReaderError` if they cannot be showers."""
        with named(self.path):
            return self._rows(start, min(stop, self.n))

    def _rows(self, start: int, stop: int) -> Recording:
        def column(name: str) -> NDArray[Any]:
            return self.table.column(name, start, stop)

        n = stop - start
        cells = np.empty((n, self.geometry.n_cells), np.float32)
        at = 0
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf, refused below
            for name in self.cells:
                values = column(name).reshape(n, -1)
                cells[:, at : at + values.shape[1]] = values
                at += values.shape[1]
            e_inc = np.full(n, np.nan, np.float32)
            if self.energy is not None:
                name, unit = self.energy
                e_inc[:] = column(name).reshape(n).astype(np.float64) * unit
        extra = {name: column(name).reshape(n).astype(np.float32) for name in self.conditions}
        found = {
            name: _stream_column(name, column)
            for name in STREAM_COLUMNS
            if name in self.table.shapes
        }
        return Recording(Showers(cells, e_inc, extra), **found)

    def chunks(self, size: int = READ_AT_ONCE) -> Iterator[Recording]:
        """Yield all showers in order, `size` at a time: memory does not grow with the file."""
        for start in range(0, self.n, size):
            yield self.rows(start, start + size)

    def whole(self) -> Recording:
        """Return all showers at once, or raise `ReaderError`."""
        needed = self.n * self.geometry.n_cells * 4
        if needed > MAX_BYTES:
            raise ReaderError(f"{self.path}: {needed / 1e9:.0f} GB of cells; read it in chunks")
        parts = list(self.chunks())
        if not parts:
            raise ReaderError(f"{self.path}: holds no showers")
        columns = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in STREAM_COLUMNS
            if getattr(parts[0], name) is not None
        }
        return Recording(concatenate([part.showers for part in parts]), **columns)


def open_source(path: Path, geometry: Geometry) -> ShowerFile:
    """Return a shower file, with its columns and shapes checked and nothing else read.

    Raises
    ------
    ReaderError
        If the file is of no known kind, is damaged, or holds showers of another geometry.
    """
    with named(path):
        return source(path, geometry, open_table(path))


def source(path: Path, geometry: Geometry, table: Table) -> ShowerFile:
    """Return a table of showers as a source, or raise `ReaderError`; `path` names it in errors."""
    with named(path):
        shapes = table.shapes
        if "showers" in shapes:
            cells: tuple[str, ...] = ("showers",)
            energy = next(((k, 1.0) for k in ("incident_energies", "e_inc") if k in shapes), None)
        elif "layer_0" in shapes:
            found = [name for name in shapes if re.fullmatch(r"layer_\d+", name)]
            cells = tuple(sorted(found, key=lambda name: int(name[6:])))
            energy = ("energy", 1000.0) if "energy" in shapes else None
        else:
            names = ", ".join(sorted(shapes)[:8]) or "no numeric columns"
            raise TableError(f"has neither `showers` nor `layer_0`, but {names}")
        n = shapes[cells[0]][0]
        _check_cells(shapes, cells, geometry, n)
        _check_columns(shapes, energy, n)
        conditions = tuple(
            name
            for name, shape in shapes.items()
            if name in table.floats - RESERVED and name not in cells and shape in {(n,), (n, 1)}
        )
        return ShowerFile(path, geometry, n, table, cells, energy, conditions)


def read(path: Path, geometry: Geometry) -> Showers:
    """Return all showers of a file, or raise `ReaderError`."""
    return open_source(path, geometry).whole().showers


def is_clean(path: Path, geometry: Geometry) -> bool:
    """Return whether a file states that its cells have no noise (`noise_mev` = 0) where ours do."""
    if not h5py.is_hdf5(path):
        return False
    with h5py.File(path, "r") as file:
        return geometry.noise_mev > 0 and file.attrs.get("noise_mev", geometry.noise_mev) == 0


def _check_cells(shapes: Any, cells: tuple[str, ...], geometry: Geometry, n: int) -> None:
    if len(cells) > 1 or cells == ("layer_0",):
        expected = [(n, *layer.shape) for layer in geometry.layers]
        found = [shapes[name] for name in cells]
        flat = [(n, layer.n_cells) for layer in geometry.layers]
        if found not in (expected, flat):
            raise TableError(
                f"layers {[shape[1:] for shape in found]}, but geometry {geometry.name} has "
                f"{[layer.shape for layer in geometry.layers]}"
            )
    elif shapes["showers"] != (n, geometry.n_cells):
        raise TableError(
            f"`showers` has shape {shapes['showers']}, but geometry {geometry.name} has "
            f"{geometry.n_cells} cells"
        )


def _check_columns(shapes: Any, energy: tuple[str, float] | None, n: int) -> None:
    named = [*STREAM_COLUMNS, *([energy[0]] if energy is not None else [])]
    for name in named:
        if name in shapes and shapes[name] not in {(n,), (n, 1)}:
            raise TableError(f"`{name}` has shape {shapes[name]} beside {n} showers")


def _stream_column(name: str, column: Callable[[str], NDArray[Any]]) -> NDArray[Any]:
    values, kind = column(name).reshape(-1), np.dtype(STREAM_COLUMNS[name])
    if values.dtype.kind == "f":
        if name != "time":
            raise TableError(f"`{name}` must be whole numbers, not {values.dtype}")
        values = np.rint(values.astype(np.float64) * 1e9)
    bounds = np.iinfo(kind)
    if values.size and not (values.min() >= max(bounds.min, 0) and values.max() <= bounds.max):
        raise TableError(f"`{name}` has values that do not fit {kind}")
    return values.astype(kind)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Turn the errors of tables and showers into a `ReaderError` that names the file."""
    try:
        yield
    except (TableError, ShowersError) as error:
        raise ReaderError(f"{path}: {error}") from None
