"""Measures: how well p-values tell strange showers from good ones, and whether they are honest."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import beta, mannwhitneyu

from models.scoring.scales import LEVELS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.scoring.scored import Scored

FPR = (1e-2, 1e-3)
"""False-positive rates at which the true-positive rate is stated."""

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of showers with its Clopper-Pearson interval at `CONFIDENCE`."""

    k: int
    n: int
    value: float
    low: float
    high: float


def rate(k: int, n: int) -> Rate:
    """Return k of n as a rate; Clopper and Pearson, Biometrika 26 (1934) 404.

    Examples
    --------
    >>> rate(0, 100).high
    0.0362
    """
    # By scipy's beta quantiles, 100 times as fast as its `binomtest`.
    tail = (1 - CONFIDENCE) / 2
    low = float(beta.ppf(tail, k, n - k + 1)) if k else 0.0
    high = float(beta.ppf(1 - tail, k + 1, n - k)) if k < n else 1.0
    return Rate(k, n, k / n if n else math.nan, low, high)


@dataclass(frozen=True, slots=True)
class Separation:
    """How well one score tells strange showers from good ones of the same energies."""

    auc: float
    tpr: Mapping[float, Rate]
    """True-positive rate at each of `FPR`, the cut taken from the good showers given."""

    sic: Mapping[float, float]
    """Significance improvement TPR / sqrt(FPR) at the same cuts."""


def separation(good: NDArray[np.float64], strange: NDArray[np.float64]) -> Separation:
    """Return how well p-values separate; small is strange.

    The cut at a false-positive rate is the largest that no more good showers pass.
    """
    tpr, sic = {}, {}
    ordered = np.sort(good)
    for level in FPR:
        allowed = int(level * len(good) + 1e-9)
        cut = ordered[allowed] if allowed < len(good) else np.inf
        k = int((strange < cut).sum())
        tpr[level] = rate(k, len(strange))
        sic[level] = k / len(strange) / float(np.sqrt(level))
    return Separation(auc(good, strange), tpr, sic)


def auc(good: NDArray[np.float64], strange: NDArray[np.float64]) -> float:
    """Return P(strange has the smaller p) + P(tie) / 2: the area under the ROC curve.

    Examples
    --------
    >>> auc(np.array([0.5, 0.9]), np.array([0.1, 0.5]))
    0.875
    """
    u = mannwhitneyu(good, strange, method="asymptotic").statistic
    return float(u / (len(good) * len(strange)))


def roc(
    good: NDArray[np.float64], strange: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return false- and true-positive rate at every cut that the good showers allow."""
    cuts = np.sort(good)
    tpr = np.searchsorted(np.sort(strange), cuts, side="right") / len(strange)
    return (np.arange(len(good)) + 1) / len(good), tpr


@dataclass(frozen=True, slots=True)
class Calibration:
    """Achieved against nominal exceedance of the combined p-value in one condition cell."""

    cell: int
    low_mev: float
    high_mev: float
    achieved: Mapping[float, Rate]


def calibration(
    scored: Scored, edges: NDArray[np.float64], shower: NDArray[np.int64] | None = None
) -> tuple[Calibration, ...]:
    """Return the exceedances of good showers in every condition cell; all cells last, as -1.

    Parameters
    ----------
    shower
        Which shower a row is an image of, shape (N,), if rows are images of fewer showers.
    """
    cells = [*range(len(edges) - 1), -1]
    rows = []
    for cell in cells:
        mine = scored.valid & ((scored.condition_cell == cell) | (cell == -1))
        p = scored.p_combined[mine]
        of = np.arange(len(p)) if shower is None else shower[mine]
        achieved = {level: image_rate(p <= level, of) for level in LEVELS}
        ends = (edges[0], edges[-1]) if cell == -1 else (edges[cell], edges[cell + 1])
        rows.append(Calibration(cell, float(ends[0]), float(ends[1]), achieved))
    return tuple(rows)


def image_rate(beyond: NDArray[np.bool_], shower: NDArray[np.int64]) -> Rate:
    """Return a rate whose interval is that of as many independent showers as fluctuate alike.

    The images of a shower are alike: counts are divided by the design effect, the variance of
    their sum over the binomial one (Kish, Survey Sampling, 1965, section 5.4).
    """
    n, value = len(beyond), float(beyond.mean()) if len(beyond) else 0.0
    binomial = n * value * (1 - value)
    sums = np.bincount(shower, weights=beyond - value) if n else np.zeros(1)
    images = n / max(len(np.unique(shower)), 1)
    # Where nothing fluctuates, every image may be the same.
    effect = max(1.0, float((sums**2).sum()) / binomial) if binomial > 0 else max(images, 1.0)
    found = rate(round(value * n / effect), round(n / effect))
    return replace(found, value=value if n else math.nan)
