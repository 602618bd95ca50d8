"""Levelling: p-values that hold at a shower's own conditions, not only on the mean of its cell.

A condition cell holds a range of energies, of angles, of pile-up. P-values that are uniform over
the cell need not be so in a part of it: where the energies of the stream are others than those of
the reference, good showers look strange. So the normal deviate of every p-value is shifted and
scaled by smooth functions of the conditions, fitted to good showers: a regression of location and
scale (Rigby & Stasinopoulos, Appl. Statist. 54 (2005) 507, section 2) with linear splines.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr, ndtri

from models.scoring.scales import P_MIN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

KNOTS = 6
"""Knots of a further condition, from the least to the largest of the reference."""

CELL_KNOTS = 3
"""Knots of the energy in each condition cell, both its ends included: at the edge of a cell the
tables change, and so may what levels them."""

STIFFNESS = 40.0
"""A bend between knots is paid for like so many showers that are off by it."""

RIDGE = 4.0
"""The same of a function that is not zero: what few showers say is hardly said."""

ROUNDS = 6
"""Steps of the fit; each solves for shift and scale in turn."""

DEVIATE = 5.0
"""Deviates beyond this are taken as this in the fit: one shower must not bend a function."""


@dataclass(frozen=True, slots=True, eq=False)
class Levelling:
    """Smooth functions of C conditions, for T columns of p-values; those of conditions add up."""

    knots: tuple[NDArray[np.float64], ...] = ()
    """Standardised values of each condition between which functions are straight, rising, (J,)."""

    shift: tuple[NDArray[np.float64], ...] = ()
    """Shift of the normal deviate at each knot of each condition, shape (J, T)."""

    log_scale: tuple[NDArray[np.float64], ...] = field(default=())
    """Log of its scale, shape (J, T)."""

    def __post_init__(self) -> None:
        if not len(self.knots) == len(self.shift) == len(self.log_scale):
            raise ValueError("levelling needs knots, shift and log_scale of each condition")
        for knots, *tables in zip(self.knots, self.shift, self.log_scale, strict=True):
            if knots.ndim != 1 or len(knots) < 2 or not np.all(np.diff(knots) >= 0):
                raise ValueError("knots of a condition must be two or more, and rise")
            for table in tables:
                if table.shape != (len(knots), self.n_columns) or not np.all(np.abs(table) < 50):
                    raise ValueError("levelling must be finite, a row a knot, a column a p-value")

    @property
    def n_columns(self) -> int:
        """Return T; 0 if nothing is levelled."""
        return int(self.shift[0].shape[-1]) if self.shift else 0

    def __call__(
        self, p: NDArray[np.float64], conditions: NDArray[np.float32], columns: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return p-values (N, s) given the standardised conditions (N, C) of their showers.

        Parameters
        ----------
        columns
            Which p-values they are, shape (s,), or (N, s) where that differs.
        """
        if not self.knots:
            return p
        shift, log_scale = np.zeros(p.shape), np.zeros(p.shape)
        for c, knots in enumerate(self.knots):
            lower, share = _between(knots, conditions[:, c])
            shift += _straight(self.shift[c], lower, share, columns)
            log_scale += _straight(self.log_scale[c], lower, share, columns)
        level: NDArray[np.float64] = ndtr((ndtri(p) - shift) * np.exp(-log_scale))
        return np.clip(level, P_MIN, 1.0, out=level)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the numbers by name, for a file; `from_arrays` is the inverse."""
        out: dict[str, NDArray[Any]] = {}
        for name in ("knots", "shift", "log_scale"):
            out |= {f"{name}.{c}": array for c, array in enumerate(getattr(self, name))}
        return out


NOT_LEVELLED = Levelling()


def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Levelling:
    """Return the levelling of a file's numbers, or raise ValueError; of none, one that does nothing."""
    n = len(arrays) // 3
    names = [[f"{name}.{c}" for c in range(n)] for name in ("knots", "shift", "log_scale")]
    if {name for each in names for name in each} != set(arrays):
        raise ValueError(f"levelling has {sorted(arrays)}")
    return Levelling(*(tuple(arrays[name] for name in each) for each in names))


def knots_of(
    conditions: NDArray[np.float32], cell: NDArray[np.int64]
) -> tuple[NDArray[np.float64], ...]:
    """Return the knots that a population of good showers calls for, by condition.

    Parameters
    ----------
    conditions
        Standardised, shape (M, C): log energy first.
    cell
        Condition cell of each shower, shape (M,).
    """
    energy = conditions[:, 0].astype(np.float64)
    found = []
    for k in range(int(cell.max()) + 1):
        mine = energy[cell == k]
        # Evenly in the log energy, not in showers: spectra are steep.
        found.append(np.linspace(mine.min(), mine.max(), CELL_KNOTS))
    knots = [np.concatenate(found)]
    for c in range(1, conditions.shape[1]):
        values = conditions[:, c].astype(np.float64)
        knots.append(np.linspace(values.min(), values.max(), KNOTS))
    return tuple(knots)


def fit(
    p: NDArray[np.float64],
    conditions: NDArray[np.float32],
    knots: tuple[NDArray[np.float64], ...],
    images: float,
) -> tuple[tuple[NDArray[np.float64], ...], tuple[NDArray[np.float64], ...]]:
    """Return shift and log scale at the knots of each condition, for T columns of p-values.

    Parameters
    ----------
    p
        P-values of good showers, by tables that they had no part in, shape (M, T).
    conditions
        Standardised, shape (M, C).
    images
        Rows to each distinct shower: so many fewer are independent.
    """
    design = _design(knots, conditions)
    penalty = _penalty(knots) * images
    deviate = np.clip(ndtri(p), -DEVIATE, DEVIATE)
    shift = np.zeros((design.shape[1], p.shape[1]))
    log_scale = np.zeros_like(shift)
    for t in range(p.shape[1]):
        for _ in range(ROUNDS):
            weight = np.exp(-2 * (design @ log_scale[:, t]))
            weighted = design * weight[:, None]
            shift[:, t] = np.linalg.solve(weighted.T @ design + penalty, weighted.T @ deviate[:, t])
            residual = deviate[:, t] - design @ shift[:, t]
            # Fisher scoring of the log scale: its information is 2 a shower.
            score = design.T @ (residual**2 * weight - 1) - penalty @ log_scale[:, t]
            step = np.linalg.solve(2 * design.T @ design + penalty, score)
            log_scale[:, t] += np.clip(step, -0.5, 0.5)
    ends = np.cumsum([0, *(len(each) for each in knots)])
    cuts = [slice(a, b) for a, b in pairwise(ends)]
    return tuple(shift[cut] for cut in cuts), tuple(log_scale[cut] for cut in cuts)


def _straight(
    table: NDArray[np.float64],
    lower: NDArray[np.int64],
    share: NDArray[np.float64],
    columns: NDArray[np.int64],
) -> NDArray[np.float64]:
    if columns.ndim == 1:  # whole rows are taken many times faster than what lies in them
        rows = table[:, columns]
        below, above = rows[lower], rows[lower + 1]
    else:
        below, above = table[lower[:, None], columns], table[lower[:, None] + 1, columns]
    value: NDArray[np.float64] = below + share[:, None] * (above - below)
    return value


def _between(
    knots: NDArray[np.float64], x: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the knot below each value, and how far it is to the next one, in [0, 1]."""
    lower = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)
    width = knots[lower + 1] - knots[lower]
    share = np.where(width > 0, (x - knots[lower]) / np.where(width > 0, width, 1.0), 0.0)
    return lower, np.clip(share, 0.0, 1.0)


def _design(
    knots: tuple[NDArray[np.float64], ...], conditions: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the value of every linear spline at each shower, shape (M, sum of J)."""
    parts = []
    rows = np.arange(len(conditions))
    for c, each in enumerate(knots):
        lower, share = _between(each, conditions[:, c])
        part = np.zeros((len(conditions), len(each)))
        part[rows, lower] = 1 - share
        part[rows, lower + 1] += share
        parts.append(part)
    return np.concatenate(parts, axis=1)


def _penalty(knots: tuple[NDArray[np.float64], ...]) -> NDArray[np.float64]:
    """Return what bends and sizes of the functions cost, as a matrix of the coefficients."""
    total = sum(len(each) for each in knots)
    penalty = RIDGE * np.eye(total)
    first = 0
    for each in knots:
        for j in range(first + 1, first + len(each) - 1):
            middle = j - first
            if each[middle - 1] < each[middle] < each[middle + 1]:  # not over the edge of a cell
                bend = np.zeros(total)
                bend[j - 1 : j + 2] = (1, -2, 1)
                penalty += STIFFNESS * np.outer(bend, bend)
        first += len(each)
    return penalty
