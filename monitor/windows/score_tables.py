"""Score tables: the score histograms of windows, summed over regions, and what they say of cuts.

The bins are those of the reference in force, the same for every worker and second, so that tables
add, subtract and fade exactly. Sketches do not: what a sketch has once merged cannot leave again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.scoring.p_values import BINS, SPAN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.scoring.reference import ReferenceTable
    from monitor.windows.window import Window

FADE_FROM = 200_000
"""Showers at which the scores of the last data are halved."""

WAITING = 200_000
"""Occupied bins of windows that are counted together."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoreTable:
    """Counts of scores by condition cell, score and bin; a group under addition."""

    counts: NDArray[np.int64]
    """Shape (K, S, H)."""

    def __add__(self, other: ScoreTable) -> ScoreTable:
        return ScoreTable(self.counts + other.counts)

    def __sub__(self, other: ScoreTable) -> ScoreTable:
        return ScoreTable(self.counts - other.counts)

    def faded(self) -> ScoreTable:
        """Return half of it, in whole showers: the oldest data weigh least."""
        return ScoreTable(self.counts // 2)

    def quantile(self, q: float, reference: ReferenceTable) -> NDArray[np.float64]:
        """Return the scores at a quantile, shape (K, S); NaN where a cell cannot resolve it.

        Within a bin the quantile is interpolated. A cell resolves it if one shower lies beyond.
        """
        below = np.cumsum(self.counts, axis=2)
        total = below[..., -1:]
        rank = q * total[..., 0]
        edge = np.argmax(below >= np.maximum(rank, 1e-9)[..., None], axis=2)
        inside = np.take_along_axis(self.counts, edge[..., None], 2)[..., 0]
        before = np.take_along_axis(below, edge[..., None], 2)[..., 0] - inside
        position = edge + (rank - before) / np.maximum(inside, 1)
        standard = np.sinh((position / (BINS / 2) - 1) * SPAN)
        scores = self.counts.shape[1]
        value = reference.median[:, :scores] + standard * reference.mad[:, :scores]
        resolved = total[..., 0] * min(q, 1 - q) >= 1
        return np.where(resolved, value, np.nan)

    def moved(self, reference: ReferenceTable) -> NDArray[np.float64]:
        """Return how far the medians are from the reference's, in its MADs, shape (K, S).

        Beyond 2 the bins no longer lie where the scores are: the reference has to be made anew.
        """
        scores = self.counts.shape[1]
        shift = self.quantile(0.5, reference) - reference.median[:, :scores]
        moved: NDArray[np.float64] = shift / reference.mad[:, :scores]
        return moved


def of_bins(
    bins: NDArray[np.int64], counts: NDArray[np.int64], shape: tuple[int, int, int]
) -> ScoreTable:
    """Return the scores of windows, of all their regions together: see `Window.score_bins`."""
    size = int(np.prod(shape))
    # Weights are doubles, which hold whole numbers of showers exactly.
    counted = np.bincount(bins % size, counts, minlength=size)
    return ScoreTable(counted.astype(np.int64).reshape(shape))


class RecentScores:
    """The scores of the last data, against a reference table, or nothing without one.

    Windows are counted many at once: the table has more bins than a second has scores.
    """

    def __init__(self, reference: ReferenceTable | None) -> None:
        self._reference = reference
        self._table: ScoreTable | None = None
        self._waiting: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        self._showers = 0
        """Of the table and of what waits: as many as any one score has been counted for."""

    def add(self, window: Window) -> None:
        """Add a window; what came long ago fades."""
        if self._reference is None:
            return
        self._waiting.append((window.score_bins, window.score_counts))
        self._showers += int(window.showers.sum())
        fades = self._showers > FADE_FROM
        if fades or sum(len(bins) for bins, _ in self._waiting) > WAITING:
            self._count()
        if fades and self._table is not None:
            self.table = self._table.faded()

    def _count(self) -> None:
        if self._reference is None or not self._waiting:
            return
        bins, counts = (np.concatenate(arrays) for arrays in zip(*self._waiting, strict=True))
        mine = of_bins(bins, counts, (self._reference.n_cells, self._reference.n_scores, BINS))
        self._table = mine if self._table is None else self._table + mine
        self._waiting.clear()

    @property
    def table(self) -> ScoreTable | None:
        """Return what has been counted; None before the first window."""
        self._count()
        return self._table

    @table.setter
    def table(self, table: ScoreTable) -> None:
        self.forget()
        self._table, self._showers = table, int(table.counts[:, 0].sum())

    def forget(self) -> None:
        """Begin anew."""
        self._table, self._showers = None, 0
        self._waiting.clear()

    def moved(self) -> float:
        """Return the largest move of a score's median, in MADs of the reference; 0 if unknown."""
        table = self.table
        if self._reference is None or table is None:
            return 0.0
        return float(np.nanmax(np.abs(table.moved(self._reference)), initial=0.0))
