"""Rows: a window's counts with a row for every region of the detector, or those that had showers."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from monitor.windows import packing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from monitor.detector.places import Places
    from monitor.windows.window import Window


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Counts of every region of the detector, present in a window or not; int64 unless kept."""

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
        return Rows(
            *(
                np.add(getattr(self, f.name), getattr(other, f.name), dtype=np.int64)
                for f in fields(self)
            )
        )


@dataclass(frozen=True, slots=True, eq=False)
class KeptRows:
    """Counts of the regions that had showers, to be kept: the smallest types that hold them."""

    at: NDArray[np.int64]
    """Rows of these regions among all, ascending, shape (r,)."""

    counts: Rows
    """With a row for each of these."""

    @classmethod
    def of(cls, rows: Rows) -> KeptRows:
        """Return what is to be kept of the counts of every region."""
        at = np.flatnonzero(rows.seen)
        return cls(at, Rows(*(packing.small(getattr(rows, f.name)[at]) for f in fields(Rows))))

    def __add__(self, other: KeptRows) -> KeptRows:
        at = np.union1d(self.at, other.at)
        total = Rows(*(_zeros(len(at), getattr(self.counts, f.name)) for f in fields(Rows)))
        for one in (self, other):
            _add(total, np.searchsorted(at, one.at), one.counts)
        return KeptRows(at, Rows(*(packing.small(getattr(total, f.name)) for f in fields(Rows))))


def _zeros(n: int, like: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.zeros((n, *like.shape[1:]), np.int64)


def _add(total: Rows, at: NDArray[np.int64], counts: Rows) -> None:
    """Add counts to some rows of a total, given ascending: where it is all, without picking them."""
    whole = len(at) == len(total.unscored)
    for f in fields(Rows):
        into = getattr(total, f.name)
        if whole:
            into += getattr(counts, f.name)
        else:
            into[at] += getattr(counts, f.name)


def together(kept: Iterable[KeptRows], nothing: Rows) -> Rows:
    """Return the sum of some counts with a row for every region; `nothing` are those of no shower."""
    total = Rows(*(np.zeros_like(getattr(nothing, f.name)) for f in fields(Rows)))
    for one in kept:
        _add(total, one.at, one.counts)
    return total


def rows_of(window: Window, places: Places) -> Rows:
    """Return a window's counts with a row for every region; unknown regions are left out."""
    order = np.argsort(places.ids)
    ids = places.ids[order]
    where = np.searchsorted(ids, window.regions)
    known = (where < len(ids)) & (ids[np.minimum(where, len(ids) - 1)] == window.regions)
    rows = order[where[known]]

    whole = np.array_equal(rows, np.arange(places.n_regions)) and bool(known.all())

    def spread(array: NDArray[np.int64]) -> NDArray[np.int64]:
        if whole:
            return array.astype(np.int64)
        full = np.zeros((places.n_regions, *array.shape[1:]), np.int64)
        full[rows] = array[known]
        return full

    return Rows(
        showers=spread(window.showers),
        exceedances=spread(window.exceedances),
        p_counts=spread(window.p_counts),
        unscored=spread(window.unscored),
        unknown=spread(window.unknown),
        z=spread(window.z_sum),
        z_square=spread(window.z_square),
        lit=spread(window.lit),
        layer_energy=spread(window.layer_energy),
    )
