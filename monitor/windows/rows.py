"""Rows: a window's counts with a row for every region of the detector, or those that had showers."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

import numpy as np

from monitor.windows import packing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from monitor.detector.places import Places
    from monitor.windows.window import Window


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Counts of every region of the detector, present in a window or not; int64 unless kept.

    Only who has made its arrays, or a copy, may add to them in place.
    """

    showers: NDArray[np.int64]
    """Shape (R, K)."""

    exceedances: NDArray[np.int64]
    """Shape (R, K, A)."""

    p_counts: NDArray[np.int64]
    """Shape (R, S + 1, B)."""

    unscored: NDArray[np.int64]
    """Shape (R,)."""

    unknown: NDArray[np.int64]
    """Shape (R,)."""

    z: NDArray[np.int64]
    """In units of `Z_UNIT`, shape (R, D)."""

    z_square: NDArray[np.int64]
    """In units of `Z_UNIT`, shape (R, D)."""

    lit: NDArray[np.int64]
    """Shape (R, V)."""

    layer_energy: NDArray[np.int64]
    """keV, shape (R, L)."""

    @property
    def seen(self) -> NDArray[np.int64]:
        """Return the showers of each region, scored or not, shape (R,)."""
        seen: NDArray[np.int64] = self.showers.sum(1) + self.unscored + self.unknown
        return seen

    def of(self, regions: NDArray[np.bool_]) -> Rows:
        """Return the counts of some regions, shape (R,), and none of the others."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        kept = (np.where(regions.reshape(-1, *[1] * (a.ndim - 1)), a, 0) for a in parts.values())
        return Rows(*kept)

    def __add__(self, other: Rows) -> Rows:
        return Rows(*(getattr(self, name) + getattr(other, name) for name in _NAMES))

    def __iadd__(self, other: Rows) -> Self:
        for name in _NAMES:
            into = getattr(self, name)
            into += getattr(other, name)
        return self

    def copy(self) -> Rows:
        """Return the same counts, to be added to in place."""
        return Rows(*(getattr(self, name).copy() for name in _NAMES))


_NAMES = tuple(f.name for f in fields(Rows))


def total(rows: Sequence[Rows]) -> Rows:
    """Return the sum of the counts of some seconds; those of one alone are its own."""
    if len(rows) == 1:
        return rows[0]
    out = rows[0] + rows[1]
    for one in rows[2:]:
        out += one
    return out


@dataclass(frozen=True, slots=True, eq=False)
class KeptRows:
    """Counts of the regions that had showers, to be kept: the smallest types that hold them."""

    at: NDArray[np.int64]
    """Rows of these regions among all, ascending, shape (r,)."""

    counts: Rows
    """With a row for each of these."""

    most: tuple[int, ...]
    """What no count of each array exceeds in size: sums need not be searched for their types."""

    @classmethod
    def of(cls, rows: Rows) -> KeptRows:
        """Return what is to be kept of the counts of every region."""
        seen = rows.seen
        at = np.flatnonzero(seen)
        chosen = slice(None) if len(at) == len(seen) else at
        return cls.packed(at, *(getattr(rows, name)[chosen] for name in _NAMES))

    @classmethod
    def packed(cls, at: NDArray[np.int64], *counts: NDArray[np.int64]) -> KeptRows:
        """Return the counts of some regions, as they are kept."""
        most = tuple(packing.largest(array) for array in counts)
        each = zip(counts, most, strict=True)
        return cls(at, Rows(*(array.astype(packing.holding(size)) for array, size in each)), most)

    def __add__(self, other: KeptRows) -> KeptRows:
        at = self.at if np.array_equal(self.at, other.at) else np.union1d(self.at, other.at)
        one, two = self.rows_at(at), other.rows_at(at)
        most = tuple(a + b for a, b in zip(self.most, other.most, strict=True))
        each = (
            np.add(getattr(one, name), getattr(two, name), dtype=packing.holding(size))
            for name, size in zip(_NAMES, most, strict=True)
        )
        return KeptRows(at, Rows(*each), most)

    def rows_at(self, at: NDArray[np.int64]) -> Rows:
        """Return the counts with a row for each of some regions, ascending, these among them."""
        if len(at) == len(self.at):
            return self.counts
        rows = np.searchsorted(at, self.at)
        return Rows(*(_spread(getattr(self.counts, name), rows, len(at)) for name in _NAMES))


def _spread(array: NDArray[np.int64], rows: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return an array with n rows, of which some are given, and the others hold nothing."""
    full = np.zeros((n, *array.shape[1:]), array.dtype)
    full[rows] = array
    return full


def together(kept: Iterable[KeptRows], nothing: Rows) -> Rows:
    """Return the sum of some counts with a row for every region; `nothing` are those of no shower."""
    total, every = nothing.copy(), np.arange(len(nothing.unscored))
    for one in kept:
        total += one.rows_at(every)
    return total


def rows_of(window: Window, places: Places) -> Rows:
    """Return a window's counts with a row for every region; unknown regions are left out.

    Where the window has all of them, one after the other, the arrays are views of its own.
    """
    first = int(np.searchsorted(window.regions, places.ids[0]))
    every = slice(first, first + places.n_regions)
    if np.array_equal(window.regions[every], places.ids):
        return Rows(*(_of_window(window, name)[every] for name in _NAMES))
    order = np.argsort(places.ids)
    ids = places.ids[order]
    where = np.searchsorted(ids, window.regions)
    known = (where < len(ids)) & (ids[np.minimum(where, len(ids) - 1)] == window.regions)
    rows = order[where[known]]
    n = places.n_regions
    return Rows(*(_spread(_of_window(window, name)[known], rows, n) for name in _NAMES))


def _of_window(window: Window, name: str) -> NDArray[np.int64]:
    """Return the array of a window that an array of rows is made from."""
    array: NDArray[np.int64] = getattr(window, "z_sum" if name == "z" else name)
    return array
