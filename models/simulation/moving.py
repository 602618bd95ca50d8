"""Moving: what cells would read of showers that enter elsewhere, by the mean lateral profile."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from models.detector.materials import MaterialError, lateral_cumulative, medium

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from models.detector.geometry import Geometry, Layer

ALONG_X, ALONG_Y = 0, 1


def moved(
    energy: NDArray[np.float64], layer: Layer, mm: float, geometry: Geometry, axis: int = ALONG_Y
) -> NDArray[np.float64]:
    """Return the energy of a layer (N, cells) of showers that enter `mm` further along an axis.

    What is moved beyond the layer's edge is lost.
    """
    count, size = layer.shape[axis], layer.cell_mm[axis]
    edges = (np.arange(count + 1) - count / 2) * size
    low = np.maximum(edges[:-1, None], edges[None, :-1] - mm)
    high = np.minimum(edges[1:, None], edges[None, 1:] - mm)
    below = _cumulative(layer, geometry)
    # Share of what lies in a cell that the move brings into another, by the mean profile.
    share = np.clip(below(np.asarray(np.maximum(low, high))) - below(low), 0, None)
    share /= (below(edges[1:]) - below(edges[:-1]))[:, None]
    grid = energy.reshape(len(energy), *layer.shape)
    there = grid @ share if axis == ALONG_Y else (grid.swapaxes(1, 2) @ share).swapaxes(1, 2)
    return np.asarray(there.reshape(len(energy), -1))


def _cumulative(layer: Layer, geometry: Geometry) -> Callable[[NDArray[Any]], NDArray[np.float64]]:
    try:
        return partial(lateral_cumulative, medium=medium(geometry), depth_mm=layer.depth_mm[0])
    except MaterialError:
        return lambda y: y  # without materials: even within a cell
