"""Cell energies: what standardised cells stand for, and what cells hold on average, in MeV."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.flows.compression import LARGEST, expand
from models.flows.polynomials import basis, values

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from models.flows.features import FeatureMap


def inverse(feature_map: FeatureMap, cells: Tensor, c: Tensor) -> NDArray[np.float32]:
    """Return the cell energies, MeV, that standardised cells at conditions `c` stand for, (N, V)."""
    import torch  # noqa: PLC0415  takes seconds

    powers = torch.from_numpy(basis(c[:, 0].cpu().numpy()))
    mean = powers @ torch.from_numpy(feature_map.cell_mean)
    scale = (powers @ torch.from_numpy(feature_map.cell_log_scale)).exp()
    y = mean + cells.cpu() * scale
    energy: NDArray[np.float32] = (
        expand(y.clamp(-LARGEST, LARGEST)) * float(feature_map.unit_mev[0])
    ).numpy()
    return energy


def mean_energy(
    feature_map: FeatureMap, at: NDArray[np.float64], columns: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the mean energy, MeV, of some cells at standardised log energies, (N, columns).

    What is compressed has a mean and a deviation there; the mean of its fourth power, which is
    the energy, is larger than the power of the mean wherever a cell holds more than noise.
    """
    powers = basis(at.astype(np.float32))
    mean = values(powers, feature_map.cell_mean[:, columns])
    scale = values(powers, feature_map.cell_log_scale[:, columns])
    root, spread = np.abs(mean) / 4 + 1, np.exp(scale) / 4
    plain = root**4 - 1
    wide = plain + 6 * (root * spread) ** 2 + 3 * spread**4
    energy: NDArray[np.float32] = np.where(mean > 4 * spread, wide, np.copysign(plain, mean))
    energy = np.where(_dark(feature_map, powers, columns), np.float32(0), energy)
    return energy.astype(np.float32) * np.float32(feature_map.unit_mev[0])


def typical(feature_map: FeatureMap, cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cells, MeV, of unremarkable showers of the same energies, shape (N, V).

    Further conditions are taken at their means: this is for people to look at.
    """
    means = zip(feature_map.condition_names, feature_map.scale[0, 1:], strict=True)
    conditions = {name: np.full(len(cells), mean, np.float32) for name, mean in means}
    c = feature_map.standardised(feature_map.e_rec(cells), conditions)
    powers = basis(c[:, 0])
    mean = np.clip(powers @ feature_map.cell_mean, -LARGEST, LARGEST)
    mean = np.where(_dark(feature_map, powers), np.float32(0), mean)
    fourth = (np.abs(mean) / 4 + 1) ** 4 - 1  # `expand`, without torch
    energy: NDArray[np.float32] = np.copysign(fourth, mean).astype(np.float32)
    return energy * np.float32(feature_map.unit_mev[0])


def _dark(
    feature_map: FeatureMap,
    powers: NDArray[np.float32],
    columns: NDArray[np.int64] | slice = slice(None),
) -> NDArray[np.bool_] | bool:
    """Return which cells are rather unlit than lit at some conditions."""
    if not feature_map.sparse:
        return False
    dark: NDArray[np.bool_] = values(powers, feature_map.cell_odds[:, columns]) < 0
    return dark
