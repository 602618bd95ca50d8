"""Containers: which kind of file holds tables, told by its first bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py

from models.showers import hdf5, parquet, root
from models.showers.tables import TableError

if TYPE_CHECKING:
    from pathlib import Path

    from models.showers.tables import Contents


def open_tables(path: Path) -> Contents:
    """Return the tables in a file, recognised by its first bytes and not by its name.

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
        return parquet.contents(path)
    if head[:4] == b"root":
        return root.contents(path)
    if head[:8] == b"\x89HDF\r\n\x1a\n" or (head and h5py.is_hdf5(path)):
        return hdf5.contents(path)
    raise TableError(_refusal(head))


def _refusal(head: bytes) -> str:
    if not head:
        return "the file is empty"
    if head[:1] == b"\x80" and head[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}:
        return "a Python pickle: it could run code, so it is never opened; write HDF5"
    if head[:4] == b"PK\x03\x04" or head[:6] == b"\x93NUMPY":
        return "a numpy or torch file; write HDF5 with `incident_energies` and `showers`"
    return "not HDF5, Parquet or ROOT"
