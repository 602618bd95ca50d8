"""Outside: showers whose energy or conditions training held nothing near to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.flows.features import FeatureMap

MARGIN = 0.1
"""How far beyond its range in training a further condition is still known, of that range."""

ENERGY_MARGIN = 0.05
"""The same of the energy, of itself, where nobody knows how well it is reconstructed."""

DEVIATIONS = 2.0
"""Else in deviations of the response at the end of the range: a shower is reconstructed so far
beside its energy."""


def outside(
    feature_map: FeatureMap,
    e_inc: NDArray[np.float32],
    conditions: Mapping[str, NDArray[np.float32]],
    e_rec: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Return which showers have a condition that training held nothing near to, shape (N,).

    The energy is the incident one where that is known: a shower of a known energy that is
    reconstructed far from it is strange.

    Parameters
    ----------
    feature_map
        Of the model.
    e_inc
        Incident energies, MeV, shape (N,); NaN where unknown.
    conditions
        Further conditions of the showers, by name.
    e_rec
        Reconstructed energies, MeV, shape (N,).
    """
    energy = np.where(feature_map.knows(e_inc), e_inc, e_rec)
    others = (conditions[name] for name in feature_map.condition_names)
    standard = (
        np.column_stack([np.log(energy), *others]) - feature_map.scale[0]
    ) / feature_map.scale[1]
    margin = np.tile(MARGIN * (feature_map.limits[1] - feature_map.limits[0]), (2, 1))
    margin[:, 0] = _energy_margin(feature_map)
    within = (standard >= feature_map.limits[0] - margin[0]) & (
        standard <= feature_map.limits[1] + margin[1]
    )
    outside: NDArray[np.bool_] = ~within.all(axis=1)
    return outside


def _energy_margin(feature_map: FeatureMap) -> NDArray[np.float64]:
    """Return how far beyond either end a standardised log energy is still known, (2,)."""
    margin = np.full(2, ENERGY_MARGIN)
    if feature_map.knows_response:
        margin = DEVIATIONS * feature_map.response_spread
    standard: NDArray[np.float64] = margin / feature_map.scale[1, 0]
    return standard
