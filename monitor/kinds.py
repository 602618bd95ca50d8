"""Kinds: which fault explains best what the cells of a place show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms import Kind
from monitor.rates import Test

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.geometry import Geometry


@dataclass(frozen=True, slots=True, eq=False)
class Symptoms:
    """What a place shows since the onset, per shower."""

    test: Test
    """The test that crossed."""

    showers: float
    shift: NDArray[np.float64]
    """Shift of each latent's mean, in its standard deviations, shape (D,)."""

    spread: NDArray[np.float64]
    """Ratio of each latent's mean square to the expected one, shape (D,)."""

    lit: NDArray[np.float64]
    """Change of the fraction of showers in which a cell is lit, shape (V,)."""

    rate: float
    """Exceedances over expected ones at α = 1e-2."""

    energy: NDArray[np.float64]
    """Energy of each layer over the expected one, shape (L,)."""

    share: float
    """Share of the detector's regions that show it, in (0, 1]."""

    n_regions: int


def likely(symptoms: Symptoms, geometry: Geometry) -> tuple[Kind, float]:
    """Return the likely kind of fault, and the log10 odds over the next likely one."""
    if symptoms.test is Test.SILENT:
        return Kind.SILENT, 3.0
    if symptoms.test is Test.UNSCORED:
        return Kind.TRANSPORT, 3.0
    scores = log_odds(symptoms, geometry)
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    return ranked[0][0], float(ranked[0][1] - ranked[1][1])


def log_odds(symptoms: Symptoms, geometry: Geometry) -> dict[Kind, float]:
    """Return how well each kind explains the symptoms, log10, up to a constant."""
    s = symptoms
    n_cells = geometry.n_cells
    error = 1 / np.sqrt(max(s.showers, 1.0))
    shift, spread = s.shift[:n_cells], s.spread[:n_cells]
    moved = np.abs(shift) > 0.15 + 5 * error
    wider = spread > 1.15 + 8 * error
    narrow = spread < 0.8 - 3 * error
    gone = (s.lit < -0.02 - 5 * error) | narrow
    odd = moved | wider | narrow
    few = 1.0 if 0 < odd.sum() <= 12 else -1.0
    layers = s.shift[n_cells:]
    layer_moved = float(np.abs(layers).max(initial=0.0))
    response = float(s.energy.mean()) - 1.0
    everywhere = 1.0 if s.share > 0.6 else -1.0
    strongest = int(np.argmax(np.abs(shift) + np.maximum(spread - 1, 0)))
    hot = s.lit[strongest] > 0 or spread[strongest] > 1.15
    return {
        Kind.DEAD: few + (1.5 if gone.any() else -1.5) - (0.5 if hot and not gone.any() else 0.0),
        Kind.HOT: few + (1.0 if hot else -1.0) - (1.0 if gone.any() else 0.0),
        Kind.NOISE: (1.2 if wider.sum() > 12 else -1.5) - abs(response) * 5,
        Kind.GAIN: (1.0 if layer_moved > 0.1 else -1.0)
        + min(abs(response) * 40, 1.0)
        - (1.0 if 0 < odd.sum() <= 4 else 0.0),
        Kind.SECOND: min(np.log10(max(s.rate, 0.1)), 1.0) - (0.5 if response > 0.2 else 0.0) - 0.2,
        Kind.CONDITIONS: everywhere + (0.5 if layer_moved > 0.1 else -0.5),
        Kind.UNKNOWN: 0.0,
    }
