"""Expectation: what good windows hold, with the uncertainty that a finite reference leaves."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.reference.gammas import gamma_quantile
from monitor.windows.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.scoring.reference import ReferenceTable


@dataclass(frozen=True, eq=False)
class Expectation:
    """What one reference expects of good showers, per condition cell.

    Letters: K condition cells, A levels, S scores, B bins of p, D latents, V cells, L layers.
    Latents are in their own units, clipped and quantised as windows are.
    """

    showers: NDArray[np.float64]
    """Showers that counted, by condition cell, shape (K,)."""

    exceedances: NDArray[np.float64]
    """Of those, showers at or below each level of `LEVELS`, shape (K, A)."""

    p_counts: NDArray[np.float64]
    """Histogram of each score's p and, last, of the combined one, shape (S + 1, B)."""

    latent_mean: NDArray[np.float64]
    """Shape (K, D)."""

    latent_square: NDArray[np.float64]
    """Mean of the squared latent, shape (K, D), > 0."""

    square_var: NDArray[np.float64]
    """Variance of the squared latent, shape (K, D), > 0."""

    latent_showers: NDArray[np.float64]
    """Showers behind the latent moments and the lit rates, shape (K,)."""

    lit_rate: NDArray[np.float64]
    """Fraction of showers in which a cell is lit, shape (K, V)."""

    layer_energy: NDArray[np.float64]
    """Mean energy of each layer, MeV, shape (K, L)."""

    origin: str
    """certified, generated, anchored or live."""

    id: str

    def __post_init__(self) -> None:
        if not (self.showers > 0).all() or not (self.latent_showers > 0).all():
            raise ValueError("every condition cell of a reference needs showers")
        if not ((self.exceedances >= 0) & (self.exceedances <= self.showers[:, None])).all():
            raise ValueError("exceedances must lie between none and all of the showers")

    @property
    def n(self) -> int:
        """Return the number of showers that counted."""
        return int(self.showers.sum())

    @cached_property
    def rates(self) -> NDArray[np.float64]:
        """Return the share of showers at or below each level, shape (K, A)."""
        return self.exceedances / self.showers[:, None]

    @cached_property
    def latent_var(self) -> NDArray[np.float64]:
        """Return the variance of each latent, shape (K, D), > 0."""
        return np.maximum(self.latent_square - np.square(self.latent_mean), 1e-6)

    @cached_property
    def single(self) -> Expectation:
        """Return the same in single precision."""
        names = [f.name for f in fields(self) if f.name not in {"origin", "id"}]
        arrays: dict[str, Any] = {name: getattr(self, name).astype(np.float32) for name in names}
        return replace(self, **arrays)


def mix_of(showers: NDArray[np.float64], trials: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of each condition cell among showers, shape (P, K).

    Where there are none, among those of a reference, given as shape (K,).
    """
    total = showers.sum(1, keepdims=True)
    mix: NDArray[np.float64] = np.where(
        total > 0, showers / np.maximum(total, 1), trials / trials.sum()
    )
    return mix


def mixed_rate(
    mix: NDArray[np.float64], rates: NDArray[np.float64], trials: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rate that is expected of a mix, and its variance from the reference, (P, X).

    Parameters
    ----------
    mix
        From `mix_of`.
    rates, trials
        Of the reference's showers, shapes (K, X) and (K,).
    """
    return mix @ rates, np.square(mix) @ (rates / trials[:, None])


def upper_rate(
    rate: NDArray[np.float64],
    variance: NDArray[np.float64],
    largest_step: NDArray[np.float64],
    miscoverage: float,
) -> NDArray[np.float64]:
    """Return an upper confidence bound on a weighted sum of Poisson rates.

    The gamma interval for directly standardised rates, Fay & Feuer, Stat. Med. 16 (1997) 791,
    equation (4): one more count in the cell that weighs most. For one cell it is that of Garwood,
    which is exact.

    Parameters
    ----------
    rate, variance
        From `mixed_rate`.
    largest_step
        What one more reference count could add to the rate, same shape.
    miscoverage
        Probability that the true rate lies above, in (0, 1/2).

    Examples
    --------
    No count in 1,000: the bound at 5 % is three counts.

    >>> one = np.ones(1)
    >>> float(1000 * upper_rate(0 * one, 0 * one, one / 1000, 0.05)[0])
    3.0
    """
    mean = rate + largest_step
    shape = mean**2 / (variance + largest_step**2)
    return np.minimum(mean * gamma_quantile(shape, 1 - miscoverage), 1.0)


def lower_rate(
    rate: NDArray[np.float64], variance: NDArray[np.float64], miscoverage: float
) -> NDArray[np.float64]:
    """Return a lower confidence bound on a weighted sum of Poisson rates; 0 if nothing counted."""
    shape = np.square(rate) / np.maximum(variance, 1e-30)
    return np.maximum(rate * gamma_quantile(shape, miscoverage), 0.0)


def bernoulli_bounds(
    showers: NDArray[np.float64],
    share: NDArray[np.float64],
    trials: NDArray[np.float64],
    miscoverage: float,
    floor: float | NDArray[np.float64] = 0.0,
    least: float = 0.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return upper and lower confidence bounds on the share of showers that have something, (P, X).

    The smaller one of those that have it and those that have not is bounded as a Poisson rate,
    which a binomial one is narrower than: however rare it is, and however few showers there are.

    Parameters
    ----------
    showers
        Showers at hand by condition cell, shape (P, K).
    share, trials
        Of the reference's showers, shapes (K, X) and (K,).
    miscoverage
        Probability that a bound fails, of each.
    floor, least
        What is tolerated beyond: relative to the smaller share, also of shape (X,), and in any case.
    """
    mix = mix_of(showers, trials)
    step = (mix / trials).max(1, keepdims=True)
    rate, variance = mixed_rate(mix, share, trials)
    without, variance_without = mixed_rate(mix, 1 - share, trials)
    rare = rate <= 0.5
    rate = np.where(rare, rate, without)
    variance = np.where(rare, variance, variance_without)
    upper = upper_rate(rate, variance, np.broadcast_to(step, rate.shape), miscoverage)
    lower = lower_rate(rate, variance, miscoverage)
    slack = floor * rate + least
    upper, lower = np.minimum(upper + slack, 1.0), np.maximum(lower - slack, 0.0)
    return np.where(rare, upper, 1 - lower), np.where(rare, lower, 1 - upper)


def allowed(
    bounds: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return upper and lower bounds that every reference allows.

    Parameters
    ----------
    bounds
        Upper and lower bounds by each reference, the certified one first. What a later one says
        about a thing counts only if the certified one holds it to be possible: else it has learnt
        a fault, and good showers would be strange to it.

    Examples
    --------
    >>> certified, learnt = (np.array([2.0, 2.0]), np.array([0.0, 0.0])), (
    ...     np.array([1.5, 9.0]), np.array([0.5, 7.0]))
    >>> allowed([certified, learnt])
    (array([1.5, 2. ]), array([0.5, 0. ]))
    """
    upper, lower = bounds[0]
    for above, below in bounds[1:]:
        middle = (above + below) / 2
        possible = (middle <= upper) & (middle >= lower)
        upper = np.where(possible, np.minimum(upper, above), upper)
        lower = np.where(possible, np.maximum(lower, below), lower)
    return upper, lower


def no_showers(expectation: Expectation, n_regions: int) -> Rows:
    """Return the counts of a window without showers, in the shapes of an expectation."""
    of = expectation
    latents, layers = of.latent_mean.shape[1:], of.layer_energy.shape[1:]
    each = (
        of.showers.shape, of.exceedances.shape, of.p_counts.shape, (), (),
        latents, latents, of.lit_rate.shape[1:], layers,
    )  # fmt: skip
    return Rows(*(np.zeros((n_regions, *shape), np.int64) for shape in each))


def of_reference(reference: ReferenceTable) -> Expectation:
    """Return what a reference table expects.

    Images of one shower (symmetries, fresh noise) are not independent: the p histogram and the
    latent moments count with as many showers as are distinct.
    """
    n_ref = reference.n_ref.astype(np.float64)
    share = n_ref / n_ref.sum()
    distinct = min(float(reference.showers), float(reference.n_cut.sum() + n_ref.sum()))
    p_counts = reference.p_counts.astype(np.float64)
    moments = reference.latent_moments
    return Expectation(
        showers=n_ref,
        exceedances=np.minimum(reference.count_counts.astype(np.float64), n_ref[:, None]),
        p_counts=p_counts * (min(n_ref.sum(), distinct) / p_counts.sum(1, keepdims=True)),
        latent_mean=moments[0],
        latent_square=np.maximum(moments[1], 1e-6),
        square_var=np.maximum(moments[3] - np.square(moments[1]), 1e-6),
        latent_showers=np.maximum(distinct * share, 1.0),
        lit_rate=reference.lit_rate,
        layer_energy=reference.layer_mean,
        origin=reference.origin,
        id=reference.id,
    )
