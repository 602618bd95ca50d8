"""Feature checks: whether numbers can be those of a `FeatureMap`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from models.flows.polynomials import DEGREE, basis

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MIN_BYTES = 4
"""Numbers of fewer bytes are too coarse to reconstruct an energy with."""

MAX_LOG_SCALE = 30.0
"""Of a feature: its exponential times the largest energy is finite."""


class FeatureError(ValueError):
    """Showers that features cannot be made of; the message says why."""


def check(arrays: Mapping[str, NDArray[Any]], n_context: int) -> None:
    """Raise `FeatureError` unless arrays, named as in `FeatureMap`, fit C conditions."""
    (n_layers, n_cells), powers = arrays["core"].shape, DEGREE + 1
    sparse = arrays["floor_mev"].size > 0
    shapes = {
        "unit_mev": (1,),
        "core": (n_layers, n_cells),
        "layer_unit_mev": (n_layers,),
        "calibration": (n_layers + 1,),
        "scale": (2, n_context),
        "limits": (2, n_context),
        "cell_mean": (powers, n_cells),
        "cell_log_scale": (powers, n_cells),
        "layer_mean": (powers, n_layers),
        "layer_log_scale": (powers, n_layers),
        "floor_mev": (n_layers - 1 + n_cells if sparse else 0,),
        "cell_odds": (powers, n_cells if sparse else 0),
    }
    for name, shape in shapes.items():
        array = arrays[name]
        if array.shape != shape or not np.all(np.isfinite(array)):
            raise FeatureError(f"{name} must be finite and of shape {shape}")
        if array.dtype.kind != "f" or array.dtype.itemsize < MIN_BYTES:
            raise FeatureError(f"{name} must be of float32 or float64")
    _check_values(arrays)


def _check_values(arrays: Mapping[str, NDArray[Any]]) -> None:
    core = arrays["core"]
    if not (np.isin(core, (0, 1)).all() and core.any(axis=1).all()):
        raise FeatureError("the core of a layer is one or more of the cells, each 1")
    if not (np.all(arrays["unit_mev"] > 0) and np.all(arrays["layer_unit_mev"] > 0)):
        raise FeatureError("units must be > 0 MeV")
    if not (np.all(arrays["scale"][1] > 0) and np.all(arrays["limits"][0] <= arrays["limits"][1])):
        raise FeatureError("conditions must have a deviation > 0 and limits that rise")
    at = basis(np.linspace(arrays["limits"][0, 0], arrays["limits"][1, 0], 9).astype(np.float32))
    for log_scale in (arrays["cell_log_scale"], arrays["layer_log_scale"]):
        if np.any(np.abs(at @ log_scale) > MAX_LOG_SCALE):
            raise FeatureError(f"no log deviation may be beyond {MAX_LOG_SCALE:g}")
