"""P-values: where a score falls among good ones, what tail lies beyond, and several as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 1024
"""Bins H of a score histogram."""

SPAN = 9.0
"""The histograms reach from -SPAN to SPAN in asinh((score - median) / MAD): 4,000 MAD."""


def bins(position: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the histogram bin of positions, in [0, H)."""
    return np.minimum(position.astype(np.int64), BINS - 1)


def harmonic_mean(
    p: NDArray[np.float64], weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return the weighted harmonic mean of S p-values, shape (N,); small if any of them is small.

    Valid under any dependence up to calibration: Wilson, PNAS 116 (2019) 1195, equation 1.

    Parameters
    ----------
    weights
        Shape (S,) or (N, S), >= 0; equal if not given.
    """
    w = np.ones(p.shape[1]) if weights is None else weights
    mean: NDArray[np.float64] = w.sum(axis=-1) / (w / p).sum(axis=1)
    return mean


def place(
    scores: NDArray[np.floating[Any]], median: NDArray[np.float64], mad: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return where scores (N, s) with their medians and MADs fall on the histogram axis."""
    standard = (scores - median) / mad
    return np.clip((np.arcsinh(standard) / SPAN + 1) * (BINS / 2), 0, BINS)


def tail_p(
    log_tail: NDArray[np.float64],
    position: NDArray[np.float64],
    cell: NDArray[np.int64],
    column: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the tails at positions (N, s) of some columns, (s,) or (N, s), log-linear in a bin."""
    lower = bins(position)
    row = (cell[:, None] * log_tail.shape[1] + column) * (BINS + 1) + lower
    table = log_tail.ravel()
    below, above = table[row], table[row + 1]
    p: NDArray[np.float64] = np.exp(below + (position - lower) * (above - below))
    return p
