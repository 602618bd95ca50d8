"""Polynomials of a standardised condition: how means and spreads change with the energy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEGREE = 3
"""Degree of the polynomials in the energy condition that standardise every feature."""


def basis(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the powers 0 to `DEGREE` of a standardised condition, shape (N, P)."""
    return np.stack([x**power for power in range(DEGREE + 1)], axis=1).astype(np.float32)


def values(powers: NDArray[np.float32], coefficients: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return powers (N, P) @ coefficients (P, X) by plain sums.

    A product rounds otherwise for one shower alone.
    """
    total: NDArray[np.float32] = powers[:, :1] * coefficients[0]
    for power in range(1, len(coefficients)):
        total += powers[:, power : power + 1] * coefficients[power]
    return total


def polynomials(
    y: NDArray[np.floating[Any]], c: NDArray[np.float64], n_bins: int = 24
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return polynomials of mean and log deviation of y against c, each of shape (P, ...)."""
    order = np.array_split(np.argsort(c, kind="stable"), min(n_bins, len(c) // 25))
    at = np.array([c[index].mean() for index in order], np.float32)
    weight = np.sqrt([len(index) for index in order])[:, None]
    means = np.stack([y[index].mean(axis=0, dtype=np.float64) for index in order])
    design = basis(at).astype(np.float64)
    mean, *_ = np.linalg.lstsq(design * weight, means * weight, rcond=None)
    residual = y - basis(c.astype(np.float32)) @ mean.astype(np.float32)
    spread = np.stack([np.sqrt((residual[index] ** 2).mean(axis=0)) for index in order])
    log_scale, *_ = np.linalg.lstsq(
        design * weight, np.log(np.maximum(spread, 1e-4)) * weight, rcond=None
    )
    return mean.astype(np.float32), log_scale.astype(np.float32)


PRIOR = 20.0
"""Showers that what a whole layer says of a cell counts as, in every bin of the condition."""

KNOWN = 500
"""Showers in which a cell is lit from which on its own showers say it, and the layer ever less."""

OFTEN = (0.5, 0.9)
"""Shares of lit showers between which standards go over from those of a censored variable to those of
what is lit."""


def censored_polynomials(
    y: NDArray[np.floating[Any]],
    lit: NDArray[np.bool_],
    floor: NDArray[np.float64],
    c: NDArray[np.float64],
    group: NDArray[np.int64],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return polynomials of mean and log deviation, shape (P, V), where V may be unlit.

    They are those of a normal variable that is beyond the floor as often as a column is lit, and
    then by as much on average: next to noise that is suppressed, those of the noise. What a column
    is lit by in a few showers is drawn to what its group is lit by: their spread is none.

    Parameters
    ----------
    y, lit
        Values, and which of them count, shape (N, V).
    floor
        Least value where lit, shape (V,); -inf where always lit.
    c
        The condition, shape (N,).
    group
        Which group (layer) each column belongs to, shape (V,).
    """
    bins = _Bins(lit, c, group)
    mean = bins.shrunk(np.where(lit, y, 0.0))
    off = y - mean[bins.of_shower]
    spread = np.sqrt(np.maximum(bins.shrunk(np.where(lit, off**2, 0.0)), 1e-8))
    cut = -ndtri(bins.share)
    beyond = np.exp(-0.5 * cut**2) / math.sqrt(2 * math.pi) / bins.share - cut
    known = np.where(np.isfinite(floor), floor, 0.0)
    scale = np.maximum(mean - known, 1e-4) / beyond
    often = np.clip((bins.share - OFTEN[0]) / (OFTEN[1] - OFTEN[0]), 0, 1)
    often = np.where(np.isfinite(floor), often, 1.0)
    located = often * mean + (1 - often) * (known - cut * scale)
    log_scale = often * np.log(spread) + (1 - often) * np.log(scale)
    return bins.fit(located), bins.fit(np.maximum(log_scale, math.log(1e-4)))


class _Bins:
    """Showers in bins of a condition, and how often they light each of V columns."""

    def __init__(
        self,
        lit: NDArray[np.bool_],
        c: NDArray[np.float64],
        group: NDArray[np.int64],
        n_bins: int = 24,
    ) -> None:
        self.rows = np.array_split(np.argsort(c, kind="stable"), min(n_bins, len(c) // 25))
        self.of_shower = np.empty(len(c), np.int64)
        for index, rows in enumerate(self.rows):
            self.of_shower[rows] = index
        at = np.array([c[rows].mean() for rows in self.rows], np.float32)
        self.showers = np.array([len(rows) for rows in self.rows], np.float64)
        self.design = basis(at).astype(np.float64)
        self.n = np.stack([lit[rows].sum(axis=0) for rows in self.rows]).astype(np.float64)
        self.prior = PRIOR * np.minimum(1.0, KNOWN / np.maximum(self.n.sum(axis=0), 1.0))
        self.group = group

    @property
    def share(self) -> NDArray[np.float64]:
        """Return how often each column is lit, drawn to how often it is on the whole, in (0, 1)."""
        whole = (self.n.sum(axis=0) + 0.5) / (self.showers.sum() + 1)
        share = (self.n + PRIOR * whole) / (self.showers[:, None] + PRIOR)
        found: NDArray[np.float64] = np.minimum(share, 1 - 1e-6)
        return found

    def shrunk(self, values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return the mean of each column where lit, drawn to its group's; shape (B, V)."""
        sums = np.stack([values[rows].sum(axis=0, dtype=np.float64) for rows in self.rows])
        weight = np.minimum(self.n, PRIOR)  # no column counts for much in its group
        there = sums / np.maximum(self.n, 1.0) * weight
        overall = there.sum() / max(float(weight.sum()), 1e-12)
        of_group = np.empty_like(there)
        for one in np.unique(self.group):
            mine = self.group == one
            here, held = weight[:, mine].sum(axis=1), there[:, mine].sum(axis=1)
            # Bins without any light hold what the group does elsewhere, or else what all hold.
            elsewhere = (held.sum() + overall) / (here.sum() + 1.0)
            of_group[:, mine] = ((held + elsewhere) / (here + 1.0))[:, None]
        found: NDArray[np.float64] = (sums + self.prior * of_group) / (self.n + self.prior)
        return found

    def fit(self, values: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return polynomials of values (B, V), bins weighted by their showers, shape (P, V)."""
        weight = np.sqrt(self.showers)[:, None]
        found, *_ = np.linalg.lstsq(self.design * weight, values * weight, rcond=None)
        return np.asarray(found, np.float32)


def log_odds(
    lit: NDArray[np.bool_], c: NDArray[np.float64], n_bins: int = 24
) -> NDArray[np.float32]:
    """Return polynomials of the log odds of being lit against c, shape (P, V)."""
    rows = np.array_split(np.argsort(c, kind="stable"), min(n_bins, len(c) // 25))
    at = np.array([c[index].mean() for index in rows], np.float32)
    share = np.stack([(lit[index].sum(axis=0) + 0.5) / (len(index) + 1) for index in rows])
    weight = np.sqrt([len(index) for index in rows])[:, None]
    odds = np.log(share / (1 - share))
    found, *_ = np.linalg.lstsq(basis(at).astype(np.float64) * weight, odds * weight, rcond=None)
    return np.asarray(found, np.float32)
