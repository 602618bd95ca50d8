"""Tails: scores of good showers to medians, histograms, and how seldom a score is exceeded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import kolmogorov

from models.scoring.condition_cells import SHOWERS_MIN
from models.scoring.p_values import BINS, bins, place, tail_p
from models.scoring.reference import ReferenceTableError
from models.scoring.scales import P_MIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

POOL_FROM, POOL_BELOW = 0.10, 60
"""A tail is the pooled one beyond the score that so many distinct showers of a condition cell
exceed, this share of them at most: what a cell can tell by itself it does not borrow."""

POOL_TEST = 1e-3
"""A cell whose tail differs from the pooled one at this level keeps its own."""

TAIL_ROWS = 12
"""Beyond the score that this many rows exceed, the tail is continued as a power law."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Median, MAD, histograms and tails of some scores."""

    median: NDArray[np.float64]
    """Shape (K, s), as the others: see `ReferenceTable`."""

    mad: NDArray[np.float64]
    counts: NDArray[np.int64]
    log_tail: NDArray[np.float64]
    pooling_p: NDArray[np.float64]

    @classmethod
    def fit(
        cls,
        scores: NDArray[np.float64],
        *,
        cell: NDArray[np.int64],
        shower: NDArray[np.int64],
        n_cells: int,
        images: float,
        rows: NDArray[np.bool_] | slice = slice(None),
    ) -> Tables:
        """Return the tables of scores (M, s) in K condition cells, of some rows.

        Parameters
        ----------
        cell, shower
            Condition cell of each row, and which distinct shower it is an image of, shape (M,).
        images
            Rows to each distinct shower.

        Raises
        ------
        ReferenceTableError
            If a condition cell has too few distinct showers.
        """
        scores, cell, shower = scores[rows], cell[rows], shower[rows]
        n_scores = scores.shape[1]
        median, mad = np.zeros((n_cells, n_scores)), np.ones((n_cells, n_scores))
        for k in range(n_cells):
            mine = scores[cell == k]
            distinct = len(np.unique(shower[cell == k]))
            if distinct < SHOWERS_MIN:
                raise ReferenceTableError(
                    f"condition cell {k} has {distinct} distinct showers to set cuts on; "
                    f"at least {SHOWERS_MIN} are needed: give more showers or fewer cells"
                )
            median[k] = np.median(mine, axis=0)
            mad[k] = np.maximum(np.median(np.abs(mine - median[k]), axis=0), 1e-6)
        position = place(scores, median[cell], mad[cell])
        flat = (cell[:, None] * n_scores + np.arange(n_scores)) * BINS + bins(position)
        counts = np.bincount(flat.ravel(), minlength=n_cells * n_scores * BINS)
        counts = counts.reshape(n_cells, n_scores, BINS)
        return cls(median, mad, counts, *_log_tail(counts, images))

    def p_values(self, scores: NDArray[np.float64], cell: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the p-values of scores (N, s) in condition cells (N,)."""
        position = place(scores, self.median[cell], self.mad[cell])
        return tail_p(self.log_tail, position, cell, np.arange(scores.shape[1]))


def _log_tail(
    counts: NDArray[np.int64], images: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return log P(beyond each bin edge), shape (K, S, H + 1), and the tests of pooling (K, S).

    Parameters
    ----------
    counts
        Histograms, shape (K, S, H).
    images
        Rows to each distinct shower: so many fewer are independent, at worst.
    """
    n_cells, n_scores, _ = counts.shape
    above = np.zeros((n_cells, n_scores, BINS + 1))
    above[..., :-1] = np.cumsum(counts[..., ::-1], axis=-1)[..., ::-1]
    own = np.log((above + 0.5) / (above[..., :1] + 0.5))
    tail = np.zeros_like(own)
    test = np.ones((n_cells, n_scores))
    for s in range(n_scores):
        total = above[:, s].sum(axis=0)
        pooled = _continued(total)
        for k in range(n_cells):
            n = above[k, s, 0]
            enough = min(POOL_FROM * n, POOL_BELOW * images)
            start = int(np.nonzero(above[k, s] >= enough)[0][-1])
            test[k, s] = _same_tail(above[k, s, start:], (total - above[k, s])[start:], images)
            tail[k, s] = own[k, s]
            if test[k, s] >= POOL_TEST:
                tail[k, s, start:] = own[k, s, start] + pooled[start:] - pooled[start]
            else:
                tail[k, s] = _continued(above[k, s])
    # Where pieces meet, rounding may lift a tail by its last bit.
    falling = np.minimum.accumulate(tail, axis=-1)
    return np.clip(falling, math.log(P_MIN), 0.0), test


def _continued(above: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log P(beyond each edge): counted, then a power law beyond the last `TAIL_ROWS` rows.

    It is linear on the asinh axis, with the mean excess over the 98 % quantile as its scale: a
    guess, for the order of the strangest, that claims less than an exponential would.
    """
    tail: NDArray[np.float64] = np.log((above + 0.5) / (above[0] + 0.5))
    start = int(np.nonzero(above >= 0.02 * above[0])[0][-1])
    inside = -np.diff(above[start:])
    scale = max(float(np.average(np.arange(len(inside)) + 0.5, weights=inside + 1e-12)), 0.5)
    last = int(np.nonzero(above >= min(TAIL_ROWS, above[0]))[0][-1])
    tail[last + 1 :] = tail[last] - np.arange(1, len(tail) - last) / scale
    return tail


def _same_tail(mine: NDArray[np.float64], others: NDArray[np.float64], images: float) -> float:
    """Return the p-value of two tails (rows beyond each edge) to be of one shape."""
    if others[0] <= 0 or mine[0] <= 0:
        return 1.0
    distance = float(np.abs(mine / mine[0] - others / others[0]).max())
    n = 1 / (images / mine[0] + images / others[0])
    return float(kolmogorov(math.sqrt(n) * distance))
