"""Tally: scored showers of one data-second to the counts of a window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from models.scoring.scales import LEVELS, P_EDGES, Z_CLIP, Z_UNIT, lit_threshold
from monitor.windows.window import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from models.scoring.scored import Scored
    from models.showers.batch import Showers
    from monitor.windows.window import WindowKey

TALLIED_AT_ONCE = 256
"""Showers summed at a time."""

ADDED_AT_ONCE = 64
"""Showers of a region that are added in single precision: their squares are at most 2**18 each."""


def score_bin(
    region: NDArray[np.int64],
    condition_cell: NDArray[np.int64],
    bins: NDArray[np.int64],
    shape: tuple[int, int, int],
) -> NDArray[np.int64]:
    """Return the flat index ((region K + cell) S + score) H + bin of every score, shape (N S,).

    Parameters
    ----------
    region, condition_cell
        Of each shower, shape (N,).
    bins
        Bin of each score in the reference's histogram, shape (N, S).
    shape
        K condition cells, S scores, H bins.
    """
    n_cells, n_scores, n_bins = shape
    row = (region * n_cells + condition_cell) * n_scores
    flat: NDArray[np.int64] = (row[:, None] + np.arange(n_scores)) * n_bins + bins
    return flat.ravel()


def tally(
    key: WindowKey,
    showers: Showers,
    scored: Scored,
    region: NDArray[np.int64],
    *,
    geometry: Geometry,
    shape: tuple[int, int, int],
    rows: NDArray[np.int64] | None = None,
) -> Window:
    """Return the window of showers that share run, lumisection and data-second.

    Parameters
    ----------
    region
        Region id of each shower, shape (N,).
    shape
        K condition cells, S scores, H bins of the reference's histogram.
    rows
        Which of the N showers they are; all of them if not given.
    """
    rows = np.arange(scored.n) if rows is None else rows
    regions, row = np.unique(region[rows], return_inverse=True)
    r, ok, unknown = len(regions), scored.valid[rows], scored.unknown[rows]
    row_ok, at = row[ok], rows[ok]
    cell = scored.condition_cell[at]
    n_cells = shape[0]
    place = row_ok * n_cells + cell
    p_all = np.column_stack([scored.p[at], scored.p_combined[at]])
    exceedances = [
        np.bincount(place[p_all[:, -1] <= alpha], minlength=r * n_cells).reshape(r, n_cells)
        for alpha in LEVELS
    ]
    flat = score_bin(region[at], cell, scored.bins[at], shape)
    bins, counts = np.unique(flat, return_counts=True)
    sums = region_sums(at, row_ok, r, scored.latents, showers.cells, geometry)
    return Window(
        key=key,
        regions=regions.astype(np.int64, copy=False),
        showers=np.bincount(place, minlength=r * n_cells).reshape(r, n_cells),
        exceedances=np.stack(exceedances, axis=2),
        p_counts=_p_histograms(row_ok, p_all, r),
        z_sum=sums.z,
        z_square=sums.z_square,
        lit=sums.lit,
        layer_energy=sums.layer_energy,
        unscored=np.bincount(row[~ok & ~unknown], minlength=r),
        unknown=np.bincount(row[unknown], minlength=r),
        score_bins=bins.astype(np.int64, copy=False),
        score_counts=counts.astype(np.int64, copy=False),
    )


class _Sums(NamedTuple):
    """Sums over the showers of each region, int64."""

    z: NDArray[np.int64]
    z_square: NDArray[np.int64]
    lit: NDArray[np.int64]
    layer_energy: NDArray[np.int64]


def region_sums(
    at: NDArray[np.int64],
    row: NDArray[np.int64],
    r: int,
    latents: NDArray[np.float32],
    cells: NDArray[np.float32],
    geometry: Geometry,
) -> _Sums:
    """Return sums of latents, lit cells and energies of some showers in the rows of r regions.

    A sparse matrix adds every shower to its region alone, so that the cost follows showers, however
    many regions there are; a chunk at a time, all of it stays in the cache of a core. Sums of whole
    numbers below 2**24 are exact in single precision: no more than `ADDED_AT_ONCE` are added so.

    Parameters
    ----------
    at, row
        Which of the N showers, and the row of each, shape (n,) both.
    latents, cells
        Of all of them, shapes (N, D) and (N, V).
    """
    starts = [cut.start for cut in geometry.slices]
    widths = (latents.shape[1], latents.shape[1], geometry.n_cells, geometry.n_layers)
    sums = _Sums(*(np.zeros((r, width), np.int64) for width in widths))
    threshold = lit_threshold(geometry)
    order = np.argsort(row, kind="stable")
    for begin in range(0, len(row), TALLIED_AT_ONCE):
        chosen = order[begin : begin + TALLIED_AT_ONCE]
        adding = _Adding.of(row[chosen])
        of_chosen = cells[at[chosen]]
        layers = np.add.reduceat(of_chosen, starts, axis=1, dtype=np.float64)
        lit = (of_chosen > threshold).astype(np.float32)
        for total, values in zip(
            sums, (*_quantised(latents[at[chosen]]), lit, np.rint(layers * 1000)), strict=True
        ):
            adding.into(total, values)
    return sums


class _Adding(NamedTuple):
    """Adds the showers of a chunk, which are sorted by region, to the rows of their regions."""

    member: csr_array
    """Showers of each group, shape (G, n)."""

    first: NDArray[np.int64]
    """First group of each row, shape (R,)."""

    rows: NDArray[np.int64]
    """Rows, rising, shape (R,)."""

    @classmethod
    def of(cls, row: NDArray[np.int64]) -> _Adding:
        """Return what adds showers whose rows are these, sorted."""
        n = len(row)
        begins = np.flatnonzero(np.append(True, row[1:] != row[:-1]))
        place = np.arange(n) - np.repeat(begins, np.diff(np.append(begins, n)))
        groups = np.flatnonzero(place % ADDED_AT_ONCE == 0)
        member = csr_array(
            (np.ones(n, np.float32), np.arange(n), np.append(groups, n)), shape=(len(groups), n)
        )
        return cls(member, np.searchsorted(groups, begins), row[begins])

    def into(self, total: NDArray[np.int64], values: NDArray[np.floating[Any]]) -> None:
        """Add the values of each shower, whole numbers of shape (n, X), to their rows of a total.

        Showers come sorted: of all rows only the first can hold something already.
        """
        sums = self.member @ values
        if len(self.first) < len(sums):  # beyond 2**24 single precision is not exact
            sums = np.add.reduceat(sums, self.first, axis=0, dtype=np.int64)
        head, rows = self.rows[0], self.rows[1:]
        total[head] += sums[0].astype(np.int64)
        if len(rows) == self.rows[-1] - head:  # one after the other: no index is looked at
            total[head + 1 : self.rows[-1] + 1] = sums[1:]
        else:
            total[rows] = sums[1:]


def _quantised(
    latents: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return latents and their squares in units of `Z_UNIT`, as whole numbers, shape (N, D) each.

    Rounding in single precision takes an eighth of the time, and both are below 2**24.
    """
    root = np.float32(Z_UNIT**-0.5)
    z = np.clip(latents, -Z_CLIP, Z_CLIP)
    z *= root
    square = z * z
    z *= root
    return np.rint(z, out=z), np.rint(square, out=square)


def _p_histograms(
    row: NDArray[np.int64], p: NDArray[np.float64], n_regions: int
) -> NDArray[np.int64]:
    n_columns, n_bins = p.shape[1], len(P_EDGES) - 1
    bins = np.clip(np.searchsorted(P_EDGES, p, side="left") - 1, 0, n_bins - 1)
    flat = (row[:, None] * n_columns + np.arange(n_columns)) * n_bins + bins
    counts = np.bincount(flat.ravel(), minlength=n_regions * n_columns * n_bins)
    return counts.reshape(n_regions, n_columns, n_bins).astype(np.int64, copy=False)
