"""Polynomials of a standardised condition: how means and spreads change with the energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEGREE = 3
"""Degree of the polynomials in the energy condition that standardise every feature."""


def basis(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the powers 0 to `DEGREE` of a standardised condition, shape (N, P)."""
    return np.stack([x**power for power in range(DEGREE + 1)], axis=1).astype(np.float32)


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
