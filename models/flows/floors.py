"""Floors: what is unlit of a shower, where cells may be, and what stands in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from models.flows.compression import compress
from models.flows.interface import Features, Sparse
from models.showers.hashing import uniform

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

ALWAYS_LIT = -1e9
"""Least energy of what is never empty, MeV: no cell has less."""

NO_FLOOR = -50.0
"""Least standardised value of what is never empty: a normal one is as good as never below."""

DRAWN_ELSEWHERE = 8
"""Numbers of a shower that are used up for other things than unlit cells."""


class Floored(Protocol):
    """What is needed of a `FeatureMap`."""

    @property
    def n_layers(self) -> int:
        """Return L."""

    @property
    def sparse(self) -> tuple[int, ...]:
        """Return which of layers 1 to L - 1, then cells, may be unlit."""

    @property
    def floor_mev(self) -> NDArray[np.float64]:
        """Return the least energy of each where it is lit, MeV, shape (H,)."""

    @property
    def unit_mev(self) -> NDArray[np.float64]:
        """Return the unit of compressed cells, MeV, shape (1,)."""

    @property
    def layer_unit_mev(self) -> NDArray[np.float64]:
        """Return the units of the layers, MeV, shape (L,)."""

    @property
    def layer_mean(self) -> NDArray[Any]:
        """Return coefficients of the mean of each layer, shape (P, L)."""

    @property
    def layer_log_scale(self) -> NDArray[Any]:
        """Return coefficients of its log deviation, shape (P, L)."""


def lit(feature_map: Floored, cells: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which cells are lit, or of the kind that always is, shape (N, V)."""
    always = feature_map.floor_mev[feature_map.n_layers - 1 :] == ALWAYS_LIT
    found: NDArray[np.bool_] = (cells != 0) | always
    return found


def standard(feature_map: Floored, mean: Tensor, slope: Tensor, powers: Tensor) -> Tensor:
    """Return the standardised floors at some conditions, shape (N, H), in memory showers last.

    Parameters
    ----------
    mean, slope
        Of the cells' standard form there, shape (N, V).
    powers
        Of the condition, shape (N, P).
    """
    import torch  # noqa: PLC0415  a judge has none

    head, of = feature_map.n_layers - 1, feature_map
    cells = torch.from_numpy((of.floor_mev[head:] / of.unit_mev[0]).astype(np.float32))
    layers = np.arcsinh(of.floor_mev[:head] / of.layer_unit_mev[1:]).astype(np.float32)
    of_cells = (compress(cells) - mean) * slope
    of_layers = torch.from_numpy(layers) - powers @ torch.from_numpy(of.layer_mean[:, 1:])
    of_layers *= (powers @ torch.from_numpy(of.layer_log_scale[:, 1:])).neg_().exp_()
    floor = torch.cat([of_layers.t(), of_cells.t()])
    floor[torch.from_numpy(of.floor_mev == ALWAYS_LIT)] = NO_FLOOR
    return floor.t()


def hurdled(
    feature_map: Floored,
    features: Features,
    floor: Tensor,
    lit: NDArray[np.bool_],
    key: NDArray[np.uint64],
) -> Features:
    """Return features with what is unlit at its floor, and a number of the shower's own for each.

    Parameters
    ----------
    lit
        Which of layers 1 to L - 1, then cells, are lit, shape (N, H).
    key
        What the numbers are drawn from, shape (N,).
    """
    import torch  # noqa: PLC0415  see `standard`

    head, at = feature_map.n_layers - 1, list(feature_map.sparse)
    # Showers last, as all that comes after wants it.
    is_lit = torch.from_numpy(lit | (feature_map.floor_mev == ALWAYS_LIT)).t().contiguous()
    # Not too near to 0 or 1: float32 must know them from both.
    own = np.clip(uniform(key, len(at), first=DRAWN_ELSEWHERE), 1e-6, 1 - 1e-6)
    drawn = torch.from_numpy(own.astype(np.float32)).t().contiguous()
    draws = torch.ones(is_lit.shape)
    draws[at] = torch.where(is_lit[at], 1.0, drawn)
    least = floor.t()
    seen = torch.cat([features.layers[:, 1:].t(), features.cells.t()])
    seen = torch.where(is_lit, torch.maximum(seen, least), least).t()
    layers = torch.cat([features.layers[:, :1], seen[:, :head]], 1)
    return Features(seen[:, head:], layers, features.conditions, Sparse(floor, draws.t()))
