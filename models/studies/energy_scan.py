"""Energy scan: the calibrated sum against the maximum of a likelihood.

A spline flow learns p(layer energies | incident energy); each shower is then given the energy at
which its layer energies are likeliest, as in arXiv:2404.18992. It is a measurement of what the
condition of the models could gain, not a part of scoring: 60 evaluations of a flow a shower.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
import zuko
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from models.flows.features import FeatureMap
    from models.showers.batch import Showers

EPOCHS = 30
BATCH = 256
LEARNING_RATE = 2e-3

GRID = np.linspace(-0.3, 0.3, 61)
"""Log of the energies tried over the calibrated sum."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Spread of reconstructed over incident energy in a range of incident energies."""

    low_mev: float
    high_mev: float
    showers: int
    spread: Mapping[str, float]
    """Half of the central 68 % of E_rec / E over its median, by way of reconstruction."""


def compare(
    feature_map: FeatureMap,
    geometry: Geometry,
    known: Showers,
    showers: Showers,
    edges_mev: tuple[float, ...],
    seed: int,
) -> tuple[Resolution, ...]:
    """Return the resolutions of sum, calibrated sum and likelihood in ranges of energy.

    Parameters
    ----------
    known
        Showers of known incident energy that the density is fitted to.
    showers
        Others, of known energies too, to measure on.
    """
    scan = Scan.fit(feature_map, known, seed)
    energies = {
        "sum of the cells": showers.cells.sum(1, dtype=np.float64) / geometry.sampling_fraction,
        "calibrated layers": feature_map.e_rec(showers.cells),
        "maximum of the likelihood": scan(showers),
    }
    rows = []
    for low, high in pairwise(edges_mev):
        mine = (showers.e_inc >= low) & (showers.e_inc < high)
        e = showers.e_inc[mine].astype(np.float64)
        spread = {name: _spread(values[mine] / e) for name, values in energies.items()}
        rows.append(Resolution(low, high, int(mine.sum()), spread))
    return tuple(rows)


def _spread(ratio: NDArray[np.float64]) -> float:
    low, middle, high = np.quantile(ratio, [0.1587, 0.5, 0.8413])
    return float((high - low) / (2 * middle))


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """The density of layer energies at each incident energy, and its maximum."""

    feature_map: FeatureMap
    flow: zuko.flows.Flow
    scale: NDArray[np.float64]
    """Mean and deviation of log energy, then of the compressed layers, shape (2, 1 + L)."""

    @classmethod
    def fit(cls, feature_map: FeatureMap, known: Showers, seed: int) -> Scan:
        """Return the density of some showers of known energy."""
        torch.manual_seed(seed)
        raw = np.column_stack([np.log(known.e_inc), _layers(feature_map, known)])
        scale = np.stack([raw.mean(axis=0), raw.std(axis=0)])
        data = torch.from_numpy((raw - scale[0]) / scale[1]).float()
        flow = zuko.flows.NSF(raw.shape[1] - 1, 1, transforms=3, hidden_features=(64, 64))
        optimiser = torch.optim.Adam(flow.parameters(), lr=LEARNING_RATE)
        for epoch in range(EPOCHS):
            rate = 0.5 * (1 + math.cos(math.pi * epoch / EPOCHS))
            optimiser.param_groups[0]["lr"] = LEARNING_RATE * rate
            for rows in torch.split(torch.randperm(len(data)), BATCH):
                loss = -flow(data[rows, :1]).log_prob(data[rows, 1:]).mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        return cls(feature_map, flow, scale)

    @torch.no_grad()
    def __call__(self, showers: Showers) -> NDArray[np.float64]:
        """Return the likeliest energy of each shower, MeV, shape (N,)."""
        start = np.log(self.feature_map.e_rec(showers.cells))
        layers = (_layers(self.feature_map, showers) - self.scale[0, 1:]) / self.scale[1, 1:]
        x = torch.from_numpy(layers).float()
        columns = [self._log_p(x, start + step) for step in GRID]
        log_p = torch.stack(columns, 1).double().numpy()
        best = np.clip(log_p.argmax(axis=1), 1, len(GRID) - 2)
        left, top, right = (log_p[np.arange(len(best)), best + d] for d in (-1, 0, 1))
        curvature = np.maximum(2 * top - left - right, 1e-9)
        shift = np.clip(0.5 * (right - left) / curvature, -1, 1)  # the vertex of a parabola
        energy: NDArray[np.float64] = np.exp(start + GRID[best] + shift * (GRID[1] - GRID[0]))
        return energy

    def _log_p(self, layers: Tensor, log_e: NDArray[np.float64]) -> Tensor:
        c = torch.from_numpy((log_e - self.scale[0, 0]) / self.scale[1, 0]).float()[:, None]
        log_p: Tensor = self.flow(c).log_prob(layers)
        return log_p


def _layers(feature_map: FeatureMap, showers: Showers) -> NDArray[np.float64]:
    """Return the compressed core energy of every layer, shape (N, L)."""
    core = (showers.cells @ feature_map.core.T).astype(np.float64)
    compressed: NDArray[np.float64] = np.arcsinh(core / feature_map.layer_unit_mev)
    return compressed
