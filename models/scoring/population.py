"""Population: scored good showers, made into the tables of a reference."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from models.scoring import levelling
from models.scoring.condition_cells import FOLDS, inner_edges
from models.scoring.levelling import NOT_LEVELLED, Levelling
from models.scoring.p_values import harmonic_mean
from models.scoring.reference import Origin, ReferenceTable
from models.scoring.scales import LEVELS, P_EDGES
from models.scoring.sums import Sums
from models.scoring.tails import Tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from models.detector.geometry import Geometry


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
        sums = _sums(population, geometry, ends)
    n_cells = sums.n_cells
    cell = sums.cell(population.e_rec)
    images = len(shower) / (int(shower.max()) + 1)
    fit = partial(Tables.fit, cell=cell, shower=shower, n_cells=n_cells, images=images)
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
    blind = _blind(population)
    rows = np.arange(len(p))
    p_all = np.column_stack([p, whole[rows, blind]])
    n_ref, count_counts = _effective_counts(p_all[:, -1], cell, shower, n_cells)
    n_cut, cut_counts = _effective_counts(by_own[rows, blind], cell, shower, n_cells)
    return ReferenceTable(
        edges=np.array([0.0, *sums.inner, np.inf]),
        **_joined(single, last),
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


def _blind(population: Population) -> NDArray[np.int64]:
    """Return 1 for showers whose response is not known, shape (N,)."""
    if population.response is None:
        return np.zeros(len(population.scores), np.int64)
    return (~population.response).astype(np.int64)


def _sums(population: Population, geometry: Geometry, inner: NDArray[np.float64]) -> Sums:
    sums = Sums.empty(inner, geometry, population.latents.shape[1])
    sums.add(population.e_rec, population.latents, population.cells)
    return sums


def _joined(single: Tables, combined: Tables) -> dict[str, NDArray[Any]]:
    """Return the tables of all scores, the single ones first."""
    names = ("median", "mad", "counts", "log_tail", "pooling_p")
    return {
        name: np.concatenate([getattr(each, name) for each in (single, combined)], axis=1)
        for name in names
    }


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
    fit: Callable[..., Tables],
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
