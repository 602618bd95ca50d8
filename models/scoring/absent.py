"""Absent: showers that lack cells, masked or not there at all, and what is expected of the others.

Without a cell the energy is known less well and every other cell is seen from elsewhere: its latent
is no longer what it is in whole showers, nor are the scores. So a set of absent cells has an
expectation of its own, learnt from good showers from which the same cells are taken away; until it
is learnt, such showers are unknown. What is learnt puts latents and p-values back to where those of
whole showers are, so that whoever counts them need not know.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from models.scoring.left import Left, some
from models.scoring.population import Population, build
from models.scoring.scales import Z_CLIP

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from models.scoring.examiner import Examiner, Seen
    from models.scoring.reference import ReferenceTable
    from models.scoring.scores import ScoreMap
    from models.showers.batch import Showers

Cells = tuple[int, ...]
"""Indices of cells, sorted."""

LEAST_VAR = 1e-6
"""A latent whose variance without the absent cells is below this is not scaled up to 1."""


LEAST_KNOWN = 1800
"""Good showers of known incident energy that what is expected of the response is learnt from, and not
fewer than half of all: else it is as if none were known."""


@dataclass(frozen=True, slots=True, eq=False)
class Absent:
    """Which cells the showers of a batch lack."""

    sets: tuple[Cells, ...]
    """Sets of cells, none of them empty."""

    which: NDArray[np.int64]
    """Index into `sets` of each shower, -1 for whole ones, shape (N,)."""

    @classmethod
    def of_groups(cls, group: NDArray[np.int64], lacks: dict[int, Cells]) -> Absent | None:
        """Return what showers of groups (regions, patches) lack; None if all of them are whole.

        Parameters
        ----------
        group
            Of each shower, shape (N,).
        lacks
            Absent cells by group; groups that are not in it are whole.
        """
        sets = tuple(sorted({cells for cells in lacks.values() if cells}))
        which = np.full(len(group), -1, np.int64)
        for one, cells in lacks.items():
            if cells:
                which[group == one] = sets.index(cells)
        return cls(sets, which) if (which >= 0).any() else None

    @classmethod
    def none(cls, n: int) -> Absent:
        """Return what n whole showers lack."""
        return cls((), np.full(n, -1, np.int64))

    def parts(self) -> Iterator[tuple[Cells, NDArray[np.int64]]]:
        """Yield each set of cells, empty for whole showers, with the rows that lack it."""
        for index in range(-1, len(self.sets)):
            rows = np.flatnonzero(self.which == index)
            if len(rows):
                yield (self.sets[index] if index >= 0 else ()), rows

    def rows(self, rows: NDArray[np.int64]) -> Absent:
        """Return what some of the showers lack."""
        return replace(self, which=self.which[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Without:
    """What good showers are expected to be without some of their cells."""

    cells: Cells
    table: ReferenceTable
    """Of the scores of such showers, in the condition cells of whole ones."""

    centre: NDArray[np.float64]
    """Mean of each latent, shape (K, D)."""

    scale: NDArray[np.float64]
    """What a deviation from it is multiplied with, shape (K, D)."""

    target: NDArray[np.float64]
    """Mean of each latent in whole showers, shape (K, D)."""

    response: bool
    """Whether incident energies of enough of those it was learnt of were known: else nothing is
    expected of the response."""

    left: Left | None
    """What the other cells say of the response; None where it is as in whole showers, or unknown."""

    def seen(
        self, examine: Examiner, showers: Showers, hidden: NDArray[np.bool_] | None = None
    ) -> Seen:
        """Return what is seen of showers that lack the cells, before latents are restored.

        Parameters
        ----------
        hidden
            Further cells that they lack, shape (N, V): of what these do to the response nothing is known.
        """
        mask = mask_of(self.cells, examine.feature_map.n_cells)
        if hidden is not None:
            seen = examine(showers, hidden | mask, response=None if self.response else False)
        else:
            told = self.response if self.left is None else self.left.knows(showers)
            seen = examine(showers, mask, response=told)
        return seen if self.left is None else self.left(showers, seen, examine.response)

    def restored(
        self, latents: NDArray[np.float32], cell: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return latents (N, D) with the means and variances that whole showers have."""
        moved = (latents - self.centre[cell]) * self.scale[cell] + self.target[cell]
        restored: NDArray[np.float32] = moved.astype(np.float32)
        restored[:, list(self.cells)] = 0.0
        return restored


def mask_of(cells: Sequence[int], n_cells: int) -> NDArray[np.bool_]:
    """Return which of V cells are absent, shape (V,)."""
    mask = np.zeros(n_cells, np.bool_)
    mask[list(cells)] = True
    return mask


def learn(
    examine: Examiner,
    score_map: ScoreMap,
    reference: ReferenceTable,
    geometry: Geometry,
    good: Showers,
    whole: Seen,
    cells: Cells,
) -> Without:
    """Return what good showers are expected to be without some cells; it takes seconds.

    Moments lean on those of the same showers with all of their cells, which the reference knows far
    better, as much as the two go together. What absent cells alone decide has next to no spread
    left, and goes with nothing: the share of a layer whose core is absent. Without bright cells a
    shower is often in another condition cell than with them.

    Parameters
    ----------
    good
        Showers as those that the reference was made of, some thousands.
    whole
        What is seen of them with all of their cells.

    Raises
    ------
    ReferenceTableError
        If they are too few for a condition cell.
    """
    mask = mask_of(cells, geometry.n_cells)
    seen, told, left = _seen_without(examine, good, whole, mask)
    known = ~(whole.outside | seen.outside)
    cell, cell_whole = (reference.condition_cell(each.e_rec[known]) for each in (seen, whole))
    before, after = (
        np.clip(each.latents[known], -Z_CLIP, Z_CLIP).astype(np.float64) for each in (whole, seen)
    )
    people = Population(
        e_rec=seen.e_rec[known],
        scores=score_map(seen.raw[known], seen.energy[known]),
        latents=seen.latents[known],
        cells=good.cells[known],
        shower=np.arange(len(cell)),
        weights=score_map.both_weights,
        conditions=seen.conditions[known],
        response=seen.response[known],
    )
    edges = reference.edges[1:-1]
    table = build(people, geometry, reference.n_cells, reference.origin, edges)
    centre, scale = np.empty_like(reference.latent_mean), np.empty_like(reference.latent_mean)
    beside = _Beside.of(before, cell_whole, reference.latent_mean)
    beside_squares = _Beside.of(before**2, cell_whole, reference.latent_moments[1])
    for k in range(reference.n_cells):
        mine = cell == k
        centre[k] = beside.mean(after[mine], mine)
        var = beside_squares.mean(after[mine] ** 2, mine) - centre[k] ** 2
        scale[k] = np.sqrt(np.maximum(reference.latent_var[k], 0) / np.maximum(var, LEAST_VAR))
    return Without(cells, table, centre, scale, reference.latent_mean, told, left)


def _seen_without(
    examine: Examiner, good: Showers, whole: Seen, mask: NDArray[np.bool_]
) -> tuple[Seen, bool, Left | None]:
    """Return what is seen of good showers without cells, and `response` and `left` of `Without`."""
    known = whole.response & ~whole.outside
    told = bool(known.sum() >= max(LEAST_KNOWN, np.sum(~whole.outside) / 2))
    seen = examine(good, mask, response=told)
    if not (told and examine.feature_map.core[:, mask].any()):
        return seen, told, None
    rows = np.flatnonzero(~(whole.outside | seen.outside) & seen.response)
    left = Left.of(good[rows], some(seen, rows), examine.feature_map, mask)
    if left is None:
        return examine(good, mask, response=False), False, None
    return left(good, seen, examine.response), True, left


@dataclass(frozen=True, slots=True, eq=False)
class _Beside:
    """Control variates: what is seen of the same showers, whose means are known."""

    off: NDArray[np.float64]
    """What each shower shows beside the known mean of its condition cell, shape (N, D)."""

    cell: NDArray[np.int64]
    """Condition cell of each shower, shape (N,)."""

    missing: NDArray[np.float64]
    """By how much the mean of those in a condition cell falls short of it, shape (K, D)."""

    @classmethod
    def of(
        cls, values: NDArray[np.float64], cell: NDArray[np.int64], known: NDArray[np.float64]
    ) -> _Beside:
        off, missing = values - known[cell], np.zeros_like(known)
        for k in np.unique(cell):
            missing[k] = -off[cell == k].mean(axis=0)
        return cls(off, cell, missing)

    def mean(self, values: NDArray[np.float64], rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the mean of each column of values, (n, D), of the showers in some rows."""
        off = self.off[rows]
        off -= off.mean(axis=0)
        slope = (values * off).sum(axis=0) / np.maximum(np.square(off).sum(axis=0), 1e-12)
        shares = np.bincount(self.cell[rows], minlength=len(self.missing)) / len(values)
        mean: NDArray[np.float64] = values.mean(axis=0) + slope * (shares @ self.missing)
        return mean
