"""ROOT: its trees and n-tuples as tables, by uproot."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from models.showers.tables import (
    MAX_PIECE,
    Column,
    Contents,
    TableError,
    Values,
    one_line,
    ragged,
    ranges,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TREES = ("TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple", "ROOT::Experimental::RNTuple")
NUMBER = re.compile(r"float|double|u?int\d+_t|(unsigned )?(short|int|long|char)|U?(Short|Int)_t")


def contents(path: Path) -> Contents:
    """Return the trees of a ROOT file by their paths, or raise `TableError`.

    Of several cycles of a tree the newest is the tree; older ones are what was saved on the way.
    """
    try:
        import uproot  # noqa: PLC0415 - an extra
    except ImportError:
        raise TableError("a ROOT file: install the extra with `pip install uproot`") from None
    try:
        file = uproot.open(path)
        kinds = file.classnames(recursive=True, cycle=False)
        names = [name for name, kind in kinds.items() if kind in TREES]
        found = {name: _Root(file[name]) for name in names}
    except Exception as error:  # noqa: BLE001 - what uproot raises on damage is not a closed set
        raise TableError(f"ROOT, but damaged or truncated: {one_line(error)}") from None
    if not found:
        held = ", ".join(f"{name} ({kind})" for name, kind in list(kinds.items())[:4])
        raise TableError(f"ROOT, but no TTree and no RNTuple; it has {held or 'nothing'}")
    return Contents(found)


class _Root:
    """A TTree or an RNTuple."""

    def __init__(self, tree: Any) -> None:
        self._tree = tree
        rows = int(tree.num_entries)
        names = tree.keys(recursive=False)
        self.columns = {name: Column(rows, _other(tree[name].typename)) for name in names}

    def inner(self, name: str) -> tuple[int, ...] | None:
        branch = self._tree[name]
        baskets = getattr(branch, "num_baskets", None)
        if baskets is not None and branch.uncompressed_bytes > MAX_PIECE * max(1, baskets):
            raise TableError(f"branch `{name}` has baskets of more than {MAX_PIECE} bytes")
        row = self._read([name], 0, 1)[name]
        return _shape(row[0]) if len(row) else None

    def pieces(
        self, widths: Mapping[str, int], start: int, stop: int, size: int
    ) -> Iterator[dict[str, Values]]:
        for low, high in ranges(start, stop, size):
            read = self._read(list(widths), low, high)
            yield {name: _flat(read[name], width) for name, width in widths.items()}

    def _read(self, names: list[str], low: int, high: int) -> Any:
        try:
            return self._tree.arrays(names, entry_start=low, entry_stop=high, library="ak")
        except Exception as error:  # noqa: BLE001 - what uproot raises on damage is not a closed set
            told = "`, `".join(names)
            raise TableError(f"branch `{told}` cannot be read: {one_line(error)}") from None


def _other(typename: str) -> str:
    """Return what a branch holds instead of numbers, or lists of them; empty if it does."""
    inner = re.sub(r"\[\d*\]|std::|vector<|array<|optional<|,\s*\d+|>|\s*$", "", typename).strip()
    if NUMBER.fullmatch(inner):
        return ""
    return "text" if "string" in inner or "char*" in inner else typename


def _shape(row: Any) -> tuple[int, ...] | None:
    """Return the lengths of nested lists, by their first members; None if they have none."""
    lengths = []
    while hasattr(row, "__len__"):
        lengths.append(len(row))
        if not len(row):
            return None
        row = row[0]
    return None if row is None else tuple(lengths)


def _flat(column: Any, width: int) -> Values:
    import awkward as ak  # noqa: PLC0415 - comes with uproot

    null = np.asarray(ak.is_none(column), np.bool_)
    if column.ndim == 1:
        numbers = ak.to_numpy(ak.fill_none(column, 0))
        return ragged(numbers, np.ones(len(column), np.int64), null, width)
    lists = ak.fill_none(column, [], axis=0)
    while lists.ndim > 2:
        lists = ak.flatten(lists, axis=2)
    lengths = np.asarray(ak.num(lists, axis=1), np.int64)
    numbers = ak.to_numpy(ak.flatten(lists, axis=1))
    if np.ma.isMaskedArray(numbers):
        numbers = np.ma.filled(numbers.astype(np.float64), np.nan)
    return ragged(numbers, lengths, null, width)
