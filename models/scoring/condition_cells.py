"""Condition cells: where the energies of a population are cut, so that each part has enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDS = 5
"""Parts of the population that are counted with the cuts of the others."""

SHOWERS_MIN = 48
"""Cuts are set on at least so many distinct showers: images of one are no new ones."""

IN_A_CELL = SHOWERS_MIN * FOLDS / (FOLDS - 1)
"""So many showers make a condition cell, if the fifths share them evenly."""

COMFORT = 1.1
"""With so many times as many, uneven fifths matter no more."""


def inner_edges(energy: NDArray[np.float64], n_cells: int) -> NDArray[np.float64]:
    """Return the edges between condition cells of about equal counts, MeV, rising, at most n - 1.

    Showers of one energy stay together: empty triggers all have the lowest. They fill a cell of
    their own where they are many, and the rest is shared out among the others.
    """
    ordered = np.sort(energy)
    edges: list[float] = []
    start, n = 0, len(ordered)
    for left in range(n_cells, 1, -1):
        stop = start + round((n - start) / left)
        if stop >= n:
            break
        # Where the cut falls among equals, it moves to the end of them that is nearer.
        low = int(np.searchsorted(ordered, ordered[stop], side="left"))
        high = int(np.searchsorted(ordered, ordered[stop], side="right"))
        stop = low if low > start and stop - low <= high - stop else high
        if stop >= n:
            break
        edges.append(float((ordered[stop - 1] + ordered[stop]) / 2))
        start = stop
    return np.array(edges)


def check(energy: NDArray[np.float64], shower: NDArray[np.int64], n_cells: int) -> None:
    """Raise ValueError unless every condition cell has enough showers in any four fifths of them.

    Parameters
    ----------
    shower
        Which distinct shower a row is an image of, shape (M,): whole numbers from 0.
    """
    inner = inner_edges(energy, n_cells)
    cell = np.searchsorted(inner, energy, side="right")
    bounds = np.array([0.0, *inner, np.inf])
    for k in range(len(inner) + 1):
        distinct = np.unique(shower[cell == k])
        by_fold = np.bincount(distinct % FOLDS, minlength=FOLDS)
        least = int(len(distinct) - by_fold.max())
        if least < SHOWERS_MIN:
            raise ValueError(
                f"condition cell {k} ({bounds[k]:.4g} to {bounds[k + 1]:.4g} MeV) has "
                f"{len(distinct)} distinct showers, in four fifths of them {least} to set cuts on; "
                f"at least {SHOWERS_MIN} are needed: give about "
                f"{round(COMFORT * IN_A_CELL * n_cells, -1):.0f} in all, or fewer condition cells"
            )
