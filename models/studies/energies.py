"""Energies: how well a model reconstructs them, and how well the fast simulation makes showers of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.simulation.gflash import simulate_showers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from models.flows.features import FeatureMap
    from models.showers.batch import Showers

RANGES = 5
"""Ranges of energy, of equal numbers of showers."""

FEWEST = 100
"""Showers of known energy in a range, on average, below which there are fewer ranges."""


@dataclass(frozen=True, slots=True)
class Linearity:
    """Reconstructed over incident energy in a range of incident energies."""

    low_mev: float
    high_mev: float
    showers: int
    response: float
    """Median, by the calibration of the layers."""

    spread: float
    """Half the range that holds the middle 68 %, over the median."""

    plain_response: float
    """The same of the plain sum of all cells, calibrated by one factor."""

    plain_spread: float


def linearity(feature_map: FeatureMap, showers: Showers) -> tuple[Linearity, ...]:
    """Return resolution and linearity over the energy, beside those of the plain sum."""
    known = showers[~np.isnan(showers.e_inc)]
    if known.n < FEWEST:
        return ()
    ratio = feature_map.e_rec(known.cells) / known.e_inc
    total = known.cells.sum(axis=1, dtype=np.float64)
    plain = total / known.e_inc * (known.e_inc.sum(dtype=np.float64) / total.sum())
    found = []
    for rows in _ranges(known):
        energy = known.e_inc[rows]
        ends = float(energy.min()), float(energy.max())
        found.append(Linearity(*ends, len(rows), *_width(ratio[rows]), *_width(plain[rows])))
    return tuple(found)


def _ranges(known: Showers) -> list[NDArray[np.int64]]:
    return np.array_split(np.argsort(known.e_inc), max(1, min(RANGES, known.n // FEWEST)))


def _width(ratio: NDArray[np.floating]) -> tuple[float, float]:
    low, middle, high = np.quantile(ratio, [0.1587, 0.5, 0.8413])
    return float(middle), float((high - low) / 2 / middle)


@dataclass(frozen=True, slots=True)
class Likeness:
    """One layer of showers and of the fast simulation of the same energies."""

    layer: str
    low_mev: float
    high_mev: float
    showers: int
    share: float
    """Mean share of the visible energy in the layer."""

    share_spread: float
    """Its standard deviation from shower to shower."""

    width_mm: float
    """Mean distance of its energy from the axis."""

    width_spread_mm: float
    fast_share: float
    fast_share_spread: float
    fast_width_mm: float
    fast_width_spread_mm: float


def likeness(
    showers: Showers, geometry: Geometry, rng: np.random.Generator, particle: str = "gamma"
) -> tuple[Likeness, ...]:
    """Return longitudinal and radial profiles, and how they fluctuate, beside those of GFLASH.

    Raises
    ------
    MaterialError
        If the geometry does not say what it is made of.
    ValueError
        If an energy is too low for the parametrisation.
    """
    known = showers[~np.isnan(showers.e_inc)]
    fast = simulate_showers(geometry, known.e_inc, rng, particle)
    shares = [_shares(batch, geometry) for batch in (known, fast)]
    widths = [_widths(batch, geometry) for batch in (known, fast)]
    found = []
    for rows in _ranges(known):
        energy = known.e_inc[rows]
        for index, layer in enumerate(geometry.layers):
            told = [
                number
                for share, width in zip(shares, widths, strict=True)
                for number in (*_moments(share[rows, index]), *_moments(width[rows, index]))
            ]
            ends = float(energy.min()), float(energy.max())
            found.append(Likeness(layer.name, *ends, len(rows), *told))
    return tuple(found)


def _moments(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(np.nanmean(values)), float(np.nanstd(values))


def _shares(showers: Showers, geometry: Geometry) -> NDArray[np.float64]:
    """Return the share of the visible energy in each layer, shape (N, L)."""
    layers = [showers.cells[:, cells].sum(axis=1, dtype=np.float64) for cells in geometry.slices]
    energy = np.stack(layers, axis=1)
    return np.asarray(energy / energy.sum(axis=1, keepdims=True))


def _widths(showers: Showers, geometry: Geometry) -> NDArray[np.float64]:
    """Return the mean distance from the axis of each layer's energy, mm; NaN of next to none."""
    noise = 3 * max(geometry.noise_mev, geometry.least_count_mev)
    lit = np.where(showers.cells > noise, showers.cells, 0.0)  # noise lies far out, and adds up
    radius = np.hypot(*geometry.centres[:, :2].T)
    found = np.full((showers.n, geometry.n_layers), np.nan)
    for index, cells in enumerate(geometry.slices):
        total = lit[:, cells].sum(axis=1)
        rows = total > 0
        found[rows, index] = (lit[rows, cells] @ radius[cells]) / total[rows]
    return found
