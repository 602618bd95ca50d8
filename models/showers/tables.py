"""Tables: named columns of a file, HDF5, Parquet or ROOT, read a range of rows at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import h5py
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

MAX_PIECE = 1 << 30
"""No single compressed piece of a file may unpack to more bytes than this."""


class TableError(ValueError):
    """A file that is no table that we read; the message says why, in one line."""


class Table(Protocol):
    """Columns that share their first dimension, in a file that stays open."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Return the shape of every numeric column, from the file's head, without its data."""

    @property
    def floats(self) -> frozenset[str]:
        """Return the names of the columns of floating-point numbers."""

    def column(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Return the rows [start, stop) of a column, with the shape that `shapes` promised."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """A table in memory."""

    columns: dict[str, NDArray[Any]]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every column."""
        return {name: values.shape for name, values in self.columns.items()}

    @property
    def floats(self) -> frozenset[str]:
        """Return the names of the columns of floating-point numbers."""
        return frozenset(n for n, values in self.columns.items() if values.dtype.kind == "f")

    def column(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Return the rows [start, stop) of a column."""
        return self.columns[name][start:stop]


def open_table(path: Path) -> Table:
    """Return the table in a file, recognised by its first bytes and not by its name.

    Raises
    ------
    TableError
        If the file cannot be read or is of another kind.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise TableError(error.strerror or str(error)) from None
    if head[:4] == b"PAR1":
        return _parquet(path)
    if head[:4] == b"root":
        return _root(path)
    if head[:8] == b"\x89HDF\r\n\x1a\n" or (head and h5py.is_hdf5(path)):
        return _hdf5(path)
    raise TableError(_refusal(head))


def _refusal(head: bytes) -> str:
    if not head:
        return "the file is empty"
    if head[:1] == b"\x80" and head[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}:
        return "a Python pickle: it could run code, so it is never opened; write HDF5"
    if head[:4] == b"PK\x03\x04" or head[:6] == b"\x93NUMPY":
        return "a numpy or torch file; write HDF5 with `incident_energies` and `showers`"
    return "not HDF5, Parquet or ROOT"


# ---------------------------------------------------------------------------------------- HDF5


@dataclass(frozen=True, slots=True, eq=False)
class _Hdf5:
    datasets: dict[str, h5py.Dataset]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: dataset.shape for name, dataset in self.datasets.items()}

    @property
    def floats(self) -> frozenset[str]:
        return frozenset(n for n, dataset in self.datasets.items() if dataset.dtype.kind == "f")

    def column(self, name: str, start: int, stop: int) -> NDArray[Any]:
        try:
            return np.asarray(self.datasets[name][start:stop])
        except (OSError, RuntimeError) as error:
            raise TableError(f"`{name}` is damaged: {_one_line(error)}") from None


def _hdf5(path: Path) -> _Hdf5:
    try:
        file = h5py.File(path, "r")
        # A link out of the file, or raw storage outside it, could read any file of this machine.
        hard = [n for n in file if isinstance(file.get(n, getlink=True), h5py.HardLink)]
        datasets = {n: file[n] for n in hard if isinstance(file[n], h5py.Dataset)}
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise TableError(f"HDF5, but damaged or truncated: {_one_line(error)}") from None
    numeric = {n: d for n, d in datasets.items() if d.dtype.kind in "fiu" and d.ndim >= 1}
    for name, dataset in numeric.items():
        if dataset.external or dataset.is_virtual:
            raise TableError(f"`{name}` keeps its data in another file")
        if dataset.chunks and math.prod(dataset.chunks) * dataset.dtype.itemsize > MAX_PIECE:
            raise TableError(f"`{name}` has chunks {dataset.chunks} of more than {MAX_PIECE} bytes")
    return _Hdf5(numeric)


# ------------------------------------------------------------------------------------- Parquet


class _Parquet:
    """Parquet by row groups; the last one of each column is kept, so ranges in order cost once."""

    def __init__(self, file: Any) -> None:
        self._file = file
        metadata = file.metadata
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        rows = [group.num_rows for group in groups]
        self._edges = np.concatenate([[0], np.cumsum(rows)]).astype(int)
        self._kept: dict[str, tuple[int, NDArray[Any]]] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        for group in groups:
            if group.total_byte_size > MAX_PIECE:
                raise TableError(f"a row group of more than {MAX_PIECE} bytes; write smaller ones")
        floats = set()
        for index, name in _plain(file.schema_arrow).items():
            leaf = metadata.schema.column(index)
            if leaf.physical_type in {"FLOAT", "DOUBLE", "INT32", "INT64"}:
                self._describe(leaf, name, sum(g.column(index).num_values for g in groups))
            if leaf.physical_type in {"FLOAT", "DOUBLE"}:
                floats.add(name)
        self.floats = frozenset(floats)

    def _describe(self, leaf: Any, name: str, values: int) -> None:
        """Note the shape of a plain column, or of a list column whose lists can be equally long."""
        n = int(self._edges[-1])
        if leaf.max_repetition_level == 0:
            self.shapes[name] = (n,)
        elif n and values % n == 0:
            self.shapes[name] = (n, values // n)
        else:
            raise TableError(f"`{name}` holds lists of unequal length")

    def column(self, name: str, start: int, stop: int) -> NDArray[Any]:
        first = int(np.searchsorted(self._edges, start, side="right")) - 1
        parts = []
        for group in range(first, len(self._edges) - 1):
            low, high = int(self._edges[group]), int(self._edges[group + 1])
            if low >= stop:
                break
            parts.append(self._group(group, name)[max(start - low, 0) : min(stop, high) - low])
        return np.concatenate(parts) if parts else np.zeros((0, *self.shapes[name][1:]))

    def _group(self, group: int, name: str) -> NDArray[Any]:
        import pyarrow as pa  # noqa: PLC0415 - 0.3 s that most readers never need

        kept = self._kept.get(name)
        if kept is not None and kept[0] == group:
            return kept[1]
        try:
            columns = self._file.read_row_group(group, columns=[name])
            chunk = columns.column(name).combine_chunks()
        except (pa.ArrowException, OSError, KeyError) as error:  # no key: two of the same name
            raise TableError(f"`{name}` is damaged: {_one_line(error)}") from None
        values = _arrow_values(chunk, name, self.shapes[name][1:])
        self._kept[name] = (group, values)
        return values


def _plain(schema: Any) -> dict[int, str]:
    """Return the names of the columns of numbers or lists of numbers, by the index of their leaf.

    A column of structs has a leaf for each of its fields: none of them is a column.
    """
    import pyarrow as pa  # noqa: PLC0415

    found, leaf = {}, 0
    for field in schema:
        inner = field.type.value_type if _is_list(field.type) else field.type
        if not pa.types.is_nested(inner):
            found[leaf] = field.name
        leaf += _leaves(field.type)
    return found


def _is_list(kind: Any) -> bool:
    import pyarrow as pa  # noqa: PLC0415

    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _leaves(kind: Any) -> int:
    """Return the number of columns that Parquet keeps a column of this type in."""
    stored = getattr(kind, "storage_type", kind)
    inner = [stored.field(i).type for i in range(stored.num_fields)]
    return sum(map(_leaves, inner)) if inner else 1


def _arrow_values(chunk: Any, name: str, inner: tuple[int, ...]) -> NDArray[Any]:
    if chunk.null_count:
        raise TableError(f"`{name}` has nulls")
    if inner:
        flat = chunk.flatten()
        lengths = np.asarray(chunk.value_lengths()) if hasattr(chunk, "value_lengths") else inner[0]
        if flat.null_count or not np.all(lengths == inner[0]):
            raise TableError(f"`{name}` has nulls or lists of unequal length")
        return np.asarray(flat).reshape(len(chunk), *inner)
    values = np.asarray(chunk)
    return values.astype("datetime64[ns]").view(np.int64) if values.dtype.kind == "M" else values


def _parquet(path: Path) -> _Parquet:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        return _Parquet(pq.ParquetFile(path))
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"Parquet, but damaged or truncated: {_one_line(error)}") from None


# ---------------------------------------------------------------------------------------- ROOT


@dataclass(frozen=True, slots=True, eq=False)
class _Root:
    tree: Any
    shapes: dict[str, tuple[int, ...]]

    @property
    def floats(self) -> frozenset[str]:
        return frozenset(
            name for name in self.shapes if self.tree[name].typename.startswith(("float", "double"))
        )

    def column(self, name: str, start: int, stop: int) -> NDArray[Any]:
        try:
            values = self.tree[name].array(entry_start=start, entry_stop=stop, library="ak")
            array = np.asarray(values.to_numpy(allow_missing=False))
        except Exception as error:  # noqa: BLE001 - what uproot raises on damage is not a closed set
            raise TableError(f"branch `{name}` cannot be read: {_one_line(error)}") from None
        return array.astype(array.dtype.newbyteorder("="))


def _root(path: Path) -> _Root:
    try:
        import uproot  # noqa: PLC0415 - an extra
    except ImportError:
        raise TableError("a ROOT file: install the extra with `pip install uproot`") from None
    try:
        file = uproot.open(path)
        classes = file.classnames(recursive=False)
        names = [key for key, kind in classes.items() if kind == "TTree"]
        trees = {name: _branch_shapes(file[name]) for name in names}
    except TableError:
        raise
    except Exception as error:  # noqa: BLE001 - what uproot raises on damage is not a closed set
        raise TableError(f"ROOT, but damaged or truncated: {_one_line(error)}") from None
    for name, shapes in trees.items():
        if "showers" in shapes or "layer_0" in shapes:
            return _Root(file[name], shapes)
    raise TableError(f"ROOT, but no TTree with a branch `showers` or `layer_0`; has {classes}")


def _branch_shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the numeric branches; a vector's length is that of its first entry."""
    shapes: dict[str, tuple[int, ...]] = {}
    n = int(tree.num_entries)
    for name, branch in tree.items(recursive=False):
        kind = type(branch.interpretation).__name__
        if branch.uncompressed_bytes > MAX_PIECE * max(1, len(branch.member("fBasketSeek"))):
            raise TableError(f"branch `{name}` has baskets of more than {MAX_PIECE} bytes")
        if kind == "AsDtype":
            shapes[name] = (n, *branch.interpretation.inner_shape)
        elif kind == "AsJagged" and n:
            first = branch.array(entry_stop=1, library="ak")
            shapes[name] = (n, len(first[0]))
    return shapes


def _one_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0][:160] if text else type(error).__name__
