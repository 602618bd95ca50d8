"""Symptoms: what a place shows since the onset of a fault, and which of its cells stand out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.sequential.rates import Test

CLEAR_NATS = 20.0
"""What a cell has to say in all, to stand out at once."""

LEAST_NATS = 0.5
"""And a shower: less may be the heavy tail of a cell that is seldom lit."""

CLEAR_SIGMA = 4.0
"""So many standard deviations make a shift of one cell out of hundreds clear."""

TOLERATED = 0.03
"""Shift of a mean that is none, in standard deviations: the floor of the tests."""


@dataclass(frozen=True, slots=True, eq=False)
class Symptoms:
    """What a place shows since the onset, per shower."""

    test: Test
    """The test that crossed."""

    showers: float
    shift: NDArray[np.float64]
    """Shift of each latent's mean, in its standard deviations, shape (D,)."""

    shift_error: NDArray[np.float64]
    """One standard deviation of it, shape (D,), > 0."""

    spread: NDArray[np.float64]
    """Ratio of each latent's mean square to the expected one, shape (D,)."""

    spread_error: NDArray[np.float64]
    """One standard deviation of it, were all well, shape (D,), > 0."""

    lit: NDArray[np.float64]
    """Fraction of showers in which a cell is lit, shape (V,)."""

    lit_expected: NDArray[np.float64]
    """Shape (V,)."""

    listed: NDArray[np.bool_]
    """Cells whose own evidence stands out, shape (V,); see also `standing_out`."""

    rate: float
    """Exceedances over expected ones at α = 1e-2."""

    share: float
    """Share of the detector's regions that show it, in (0, 1]."""

    n_regions: int

    unscored: float
    """Share of the showers that have no finite score, in [0, 1]."""


def information(symptoms: Symptoms) -> NDArray[np.float64]:
    """Return how much each cell has to say, nats a shower, shape (V,).

    The Kullback-Leibler distance of normals with the cell's mean and variance, and the one of its
    being lit.
    """
    v = len(symptoms.lit)
    shift, spread = symptoms.shift[:v], symptoms.spread[:v]
    variance = np.maximum(spread - shift**2, 0.01)
    normal = 0.5 * (variance + shift**2 - 1 - np.log(variance))
    lit, p = (np.clip(x, 1e-3, 1 - 1e-3) for x in (symptoms.lit, symptoms.lit_expected))
    out: NDArray[np.float64] = (
        normal + lit * np.log(lit / p) + (1 - lit) * np.log((1 - lit) / (1 - p))
    )
    return out


def raised(s: Symptoms) -> NDArray[np.float64]:
    """Return by how much each cell reads more than is tolerated, standard deviations, (V,)."""
    v = len(s.lit)
    out: NDArray[np.float64] = (s.shift[:v] - TOLERATED) / s.shift_error[:v]
    return out


def standing_out(s: Symptoms) -> NDArray[np.bool_]:
    """Return the cells that are listed, or would be if the tests had had the time, shape (V,)."""
    v = len(s.lit)
    said = information(s)
    moved = (np.abs(s.shift[:v]) - TOLERATED) / s.shift_error[:v] > CLEAR_SIGMA
    clear = (said > LEAST_NATS) & (s.showers * said > CLEAR_NATS)
    out: NDArray[np.bool_] = s.listed | clear | moved | gone_dark(s)
    return out


def gone_dark(s: Symptoms) -> NDArray[np.bool_]:
    """Return the cells that used to be lit and are not, or have lost their noise, shape (V,)."""
    v = len(s.lit)
    gone = (s.lit_expected > 0.05 + 3 / np.sqrt(max(s.showers, 1.0))) & (
        s.lit < 0.2 * s.lit_expected
    )
    out: NDArray[np.bool_] = gone | ((s.spread[:v] < 0.4) & (s.showers > 50))
    return out
