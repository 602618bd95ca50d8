"""Population: scored good showers, made into the tables of a reference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import kolmogorov

from models.scoring import levelling
from models.scoring.condition_cells import FOLDS, SHOWERS_MIN, inner_edges
from models.scoring.levelling import NOT_LEVELLED, Levelling
from models.scoring.reference import (
    BINS,
    Origin,
    ReferenceTable,
    ReferenceTableError,
    bins,
    harmonic_mean,
    place,
    tail_p,
)
from models.scoring.scales import LEVELS, P_EDGES, P_MIN
from models.scoring.sums import Sums

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
    """Shape (M, D); (0, D) where they come as `Sums`."""

    cells: NDArray[np.float32]
    """Cell energies, MeV, shape (M, V); the same."""

    shower: NDArray[np.int64]
    """Which distinct shower a row is an image of, shape (M,)."""

    weights: NDArray[np.float64] | None = None
    """Weight of each score in the combination, then in the one for showers without a response,
    shape (2, S); equal if not given."""

    conditions: NDArray[np.float32] | None = None
    """Standardised conditions, log energy first, shape (M, C); without them nothing is levelled."""

    response: NDArray[np.bool_] | None = None
    """Rows whose response is known, shape (M,); all of them if not given."""


def build(
    population: Population,
    geometry: Geometry,
    n_cells: int,
    origin: Origin,
    inner: NDArray[np.float64] | None = None,
    sums: Sums | None = None,
) -> ReferenceTable:
    """Return the reference that a population makes, in condition cells of equal counts.

    They are fewer than `n_cells` where many showers are of one energy.

    A shower and its images (symmetries, fresh noise) stay in one fifth, and `n_cut`, `n_ref` and
    their exceedances are scaled to the number of independent showers that fluctuate as much.

    Parameters
    ----------
    inner
        Edges between the condition cells, MeV, shape (K - 1,), where they are given.
    sums
        Of latents and cells, with edges of their own, where all of them are too much to hold.
    """
    _, shower = np.unique(population.shower, return_inverse=True)
    if sums is None:
        ends = inner_edges(population.e_rec, n_cells) if inner is None else inner
        sums = Sums.empty(ends, geometry, population.latents.shape[1])
        sums.add(population.e_rec, population.latents, population.cells)
    n_cells = sums.n_cells
    cell = sums.cell(population.e_rec)
    images = len(shower) / (int(shower.max()) + 1)
    fit = partial(_Tables.fit, cell=cell, shower=shower, n_cells=n_cells, images=images)
    scores = population.scores.astype(np.float64)
    single, p = fit(scores), _of_others(fit, scores, cell, shower)
    level = partial(_levelled, conditions=population.conditions, cell=cell, images=images)
    of_single, p = level(p)
    # A shower is at its most ordinary in tables that it made itself: a combination calibrated on
    # such p-values would find too many strange ones among all others.
    weights = np.ones((2, p.shape[1])) if population.weights is None else population.weights
    combined = np.column_stack([-np.log(harmonic_mean(p, each)) for each in weights])
    last = fit(combined)
    of_last, whole = level(_of_others(fit, combined, cell, shower))
    by_own = last.p_values(combined, cell)
    if population.conditions is not None:
        by_own = of_last(by_own, population.conditions, np.arange(2))
    blind = np.zeros(len(p), np.int64)
    if population.response is not None:
        blind = (~population.response).astype(np.int64)
    rows = np.arange(len(p))
    p_all = np.column_stack([p, whole[rows, blind]])
    n_ref, count_counts = _effective_counts(p_all[:, -1], cell, shower, n_cells)
    n_cut, cut_counts = _effective_counts(by_own[rows, blind], cell, shower, n_cells)
    return ReferenceTable(
        edges=np.array([0.0, *sums.inner, np.inf]),
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
        latent_moments=sums.latent_moments,
        lit_rate=sums.lit_rate,
        layer_mean=sums.layer_mean,
        layer_var=sums.layer_var,
        showers=int(shower.max()) + 1,
        origin=origin,
        levelling=_beside(of_single, of_last),
    )


def _levelled(
    p: NDArray[np.float64],
    conditions: NDArray[np.float32] | None,
    cell: NDArray[np.int64],
    images: float,
) -> tuple[Levelling, NDArray[np.float64]]:
    """Return what levels p-values (M, s) of good showers, and the p-values levelled."""
    if conditions is None:
        return NOT_LEVELLED, p
    knots = levelling.knots_of(conditions, cell)
    found = Levelling(knots, *levelling.fit(p, conditions, knots, images))
    return found, found(p, conditions, np.arange(p.shape[1]))


def _beside(single: Levelling, last: Levelling) -> Levelling:
    """Return the levelling of the columns of two, side by side."""
    tables = [
        tuple(np.concatenate(pair, axis=1) for pair in zip(a, b, strict=True))
        for a, b in ((single.shift, last.shift), (single.log_scale, last.log_scale))
    ]
    return Levelling(single.knots, *tables)


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
