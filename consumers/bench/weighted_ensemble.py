"""Weighted ensemble: rare events of a random process, without waiting for them.

Copies of the process run side by side, each with a weight. Now and then those that have come far are
made many of little weight, and those that have not few of more: in whichever way they are put into
bins, weighted means stay what they are without it (Zhang, Jasnow & Zuckerman, J. Chem. Phys. 132
(2010) 054107). What happens to one of 10^12 is then seen with a few hundred.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def resampled(
    bins: NDArray[np.int64], weight: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return of which copy each of as many is made, and their weights, shape (P,) both.

    Every bin gets as many, and within a bin a copy gets them in proportion to its weight: how many,
    on average, times the weight of each is the weight that it had.

    Parameters
    ----------
    bins
        How far each copy has come, shape (P,).
    weight
        Shape (P,), positive.

    Examples
    --------
    >>> rows, weight = resampled(np.array([0, 0, 0, 1]), np.ones(4), np.random.default_rng(1))
    >>> rows.tolist(), weight.tolist()
    ([0, 2, 3, 3], [1.5, 1.5, 0.5, 0.5])
    """
    _, row = np.unique(bins, return_inverse=True)
    total = np.bincount(row, weight)
    each = total * len(total) / len(weight)  # weight of a copy, by bin
    order = np.argsort(row, kind="stable")
    ends = np.cumsum((weight / each[row])[order])
    ends[-1] = len(weight)  # as it is, but for rounding
    made = np.diff(np.floor(ends + rng.random()), prepend=0.0)
    rows = np.repeat(order, made.astype(np.int64))
    return rows, each[row[rows]]
