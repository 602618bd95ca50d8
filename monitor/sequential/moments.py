"""Moments: what sums of latents come to if all is well, and how well a reference knows that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.reference.expectation import Expectation


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Expected sums over the showers of each place, shape (P, D), and errors per shower."""

    mean: NDArray[np.float64]
    sigma: NDArray[np.float64]
    """Standard deviation of the latent of one shower."""
    square: NDArray[np.float64]
    square_var: NDArray[np.float64]
    mean_error: NDArray[np.float64]
    square_error: NDArray[np.float64]
    behind: NDArray[np.float64]
    """Showers of the reference that know a mean as well, for this mix, shape (P, 1)."""


def moments_of(showers: NDArray[np.float64], reference: Expectation) -> Moments:
    """Return what a reference expects of showers by place and condition cell, (P, K)."""
    n = np.maximum(showers.sum(1, keepdims=True), 1)
    # Variance of the expectation per shower, for this mix of condition cells.
    weight = np.square(showers / n) / reference.latent_showers
    return Moments(
        mean=showers @ reference.latent_mean,
        sigma=np.sqrt(np.maximum(showers @ reference.latent_var, 1e-9) / n),
        square=np.maximum(showers @ reference.latent_square, 1e-9),
        square_var=np.maximum(showers @ reference.square_var, 1e-9),
        mean_error=np.sqrt(weight @ reference.latent_var),
        square_error=np.sqrt(weight @ reference.square_var),
        behind=1 / np.maximum(weight.sum(1, keepdims=True), 1e-12),
    )


def each_of(miscoverage: float, bounds: int) -> float:
    """Return what each of so many bounds, in each of three families, may fail with."""
    return miscoverage / (3 * bounds)
