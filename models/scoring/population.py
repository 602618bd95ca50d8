"""Population: scored good showers, made into the tables of a reference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import kolmogorov

from models.scoring.condition_cells import FOLDS, SHOWERS_MIN, inner_edges
from models.scoring.reference import (
    BINS,
    P_MIN,
    Origin,
    ReferenceTable,
    ReferenceTableError,
    bins,
    harmonic_mean,
    place,
    tail_p,
)
from models.scoring.scales import LEVELS, P_EDGES, Z_CLIP, Z_UNIT, lit_threshold

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from models.detector.geometry import Geometry

POOL_FROM, POOL_BELOW = 0.10, 60
"""A tail is the pooled one beyond the score that so many distinct showers of a condition cell
exceed, this share of them at most: what a cell can tell by itself it does not borrow."""

POOL_TEST = 1e-3
"""A cell whose tail differs from the pooled one at this level keeps its own."""

TAIL_ROWS = 12
"""Beyond the score that this many rows exceed, the tail is continued as a power law."""


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Scored showers that a reference is made of; rows may be images of one shower."""

    e_rec: NDArray[np.float64]
    """Reconstructed energy, MeV, shape (M,)."""

    scores: NDArray[np.float32]
    """Shape (M, S)."""

    latents: NDArray[np.float32]
    """Shape (M, D)."""

    cells: NDArray[np.float32]
    """Cell energies, MeV, shape (M, V)."""

    shower: NDArray[np.int64]
    """Which distinct shower a row is an image of, shape (M,)."""

    weights: NDArray[np.float64] | None = None
    """Weight of each score in the combination, shape (S,); equal if not given."""


def build(
    population: Population, geometry: Geometry, n_cells: int, origin: Origin
) -> ReferenceTable:
    """Return the reference that a population makes, in condition cells of equal counts.

    They are fewer than `n_cells` where many showers are of one energy.

    A shower and its images (symmetries, fresh noise) stay in one fifth, and `n_cut`, `n_ref` and
    their exceedances are scaled to the number of independent showers that fluctuate as much.
    """
    _, shower = np.unique(population.shower, return_inverse=True)
    inner = inner_edges(population.e_rec, n_cells)
    n_cells = len(inner) + 1
    cell = np.searchsorted(inner, population.e_rec, side="right")
    images = len(shower) / (int(shower.max()) + 1)
    fit = partial(_Tables.fit, cell=cell, shower=shower, n_cells=n_cells, images=images)
    scores = population.scores.astype(np.float64)
    single, p = fit(scores), _of_others(fit, scores, cell, shower)
    # A shower is at its most ordinary in tables that it made itself: a combination calibrated on
    # such p-values would find too many strange ones among all others.
    combined = -np.log(harmonic_mean(p, population.weights))[:, None]
    last = fit(combined)
    p_all = np.column_stack([p, _of_others(fit, combined, cell, shower)])
    n_ref, count_counts = _effective_counts(p_all[:, -1], cell, shower, n_cells)
    n_cut, cut_counts = _effective_counts(
        last.p_values(combined, cell)[:, 0], cell, shower, n_cells
    )
    layers = np.stack(
        [population.cells[:, s].sum(1, dtype=np.float64) for s in geometry.slices], axis=1
    )
    lit = population.cells > lit_threshold(geometry)
    layer_mean = _mean(layers, cell, n_cells)
    return ReferenceTable(
        edges=np.array([0.0, *inner, np.inf]),
        median=np.concatenate([single.median, last.median], axis=1),
        mad=np.concatenate([single.mad, last.mad], axis=1),
        counts=np.concatenate([single.counts, last.counts], axis=1),
        log_tail=np.concatenate([single.log_tail, last.log_tail], axis=1),
        pooling_p=np.concatenate([single.pooling_p, last.pooling_p], axis=1),
        n_cut=n_cut,
        cut_counts=cut_counts,
        n_ref=n_ref,
        count_counts=count_counts,
        p_counts=_p_counts(p_all),
        latent_moments=_moments(population.latents, cell, n_cells),
        lit_rate=_mean(lit, cell, n_cells),
        layer_mean=layer_mean,
        layer_var=np.maximum(_mean(layers**2, cell, n_cells) - layer_mean**2, 0.0),
        showers=int(shower.max()) + 1,
        origin=origin,
    )


def _of_others(
    fit: Callable[..., _Tables],
    scores: NDArray[np.float64],
    cell: NDArray[np.int64],
    shower: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return p-values (M, S), each from tables of the other fifths of the showers."""
    p = np.empty_like(scores)
    for fold in range(FOLDS):
        mine = shower % FOLDS == fold
        p[mine] = fit(scores, rows=~mine).p_values(scores[mine], cell[mine])
    return p


@dataclass(frozen=True, slots=True)
class _Tables:
    """Median, MAD, histograms and tails of some scores."""

    median: NDArray[np.float64]
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
    ) -> _Tables:
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


def _effective_counts(
    p: NDArray[np.float64], cell: NDArray[np.int64], shower: NDArray[np.int64], n_cells: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return showers (K,) and exceedances of combined p-values (K, A), as if independent.

    The design effect is the variance of the exceedances summed over the images of a shower, over
    the binomial one (Kish, Survey Sampling, 1965, section 5.4). It is taken over all cells, where
    it is known best, and as the largest over the levels.
    """
    beyond = p[:, None] <= np.array(LEVELS)
    n = np.bincount(cell, minlength=n_cells).astype(np.float64)
    k = np.stack([np.bincount(cell, weights=b, minlength=n_cells) for b in beyond.T], axis=1)
    rate = k / n[:, None]
    excess = beyond - rate[cell]
    sums = np.stack([np.bincount(shower, weights=column) for column in excess.T], axis=1)
    binomial = np.maximum((n[:, None] * rate * (1 - rate)).sum(axis=0), 1.0)
    effect = max(1.0, float(((sums**2).sum(axis=0) / binomial).max()))
    effective = np.maximum(np.rint(n / effect), 1.0)
    exceedances = np.rint(rate * effective[:, None])
    return effective.astype(np.int64), exceedances.astype(np.int64)


def _p_counts(p: NDArray[np.float64]) -> NDArray[np.int64]:
    n_bins = len(P_EDGES) - 1
    where = np.clip(np.searchsorted(P_EDGES, p, side="left") - 1, 0, n_bins - 1)
    return np.stack([np.bincount(column, minlength=n_bins) for column in where.T]).astype(np.int64)


def _mean(values: NDArray[Any], cell: NDArray[np.int64], n_cells: int) -> NDArray[np.float64]:
    return np.stack([values[cell == k].mean(axis=0, dtype=np.float64) for k in range(n_cells)])


def _moments(
    latents: NDArray[np.float32], cell: NDArray[np.int64], n_cells: int
) -> NDArray[np.float64]:
    moments = np.zeros((4, n_cells, latents.shape[1]))
    for k in range(n_cells):
        z = np.clip(latents[cell == k], -Z_CLIP, Z_CLIP).astype(np.float64)
        quantised = np.rint(z / Z_UNIT) * Z_UNIT
        square = np.rint(z * z / Z_UNIT) * Z_UNIT
        powers = (quantised, square, quantised * square, square * square)
        moments[:, k] = [power.mean(axis=0) for power in powers]
    return moments
