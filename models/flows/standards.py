"""Standards: the preprocessing that a population of good showers calls for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from models.flows.compression import compress
from models.flows.feature_checks import FeatureError
from models.flows.features import FeatureMap
from models.flows.floors import ALWAYS_LIT
from models.flows.polynomials import DEGREE, censored_polynomials, log_odds, polynomials

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from models.showers.batch import Showers

CORE = 0.95
"""The core of a layer is the fewest cells that hold this share of its mean energy."""

ENOUGH = 200
"""Showers that features are fitted on, and known energies that the response is: no fewer."""

FACTOR_SPREAD = 0.5
"""How far, as a share, the energy calibration of a layer may be from the common one: a prior."""

SPECTRUM = 0.1
"""Energies that spread by less than this share tell no offset from a factor."""

EMPTY = 0.02
"""Cells of which one is exactly zero more often than this, beyond what digitised noise explains, are
those of a detector with cells that may be unlit."""

EMPTY_THERE = 0.002
"""In such a detector, a cell that is zero more often than this may be unlit."""

SIGNIFICANT = 4.0
"""Deviations of a count by which zeros must stand out."""


def fit(showers: Showers, geometry: Geometry, condition_names: tuple[str, ...] = ()) -> FeatureMap:
    """Return the preprocessing that a population of good showers calls for.

    Raises
    ------
    FeatureError
        If fewer than 200 showers are given or a condition is missing.
    """
    _check(showers, condition_names)
    energy = showers.cells.mean(axis=0, dtype=np.float64)
    empty = zeros(showers.cells, geometry)
    unit = _unit(showers.cells, energy, empty, geometry)
    core = _core(energy, geometry)
    core_energy = (showers.cells @ core.T).astype(np.float64)
    cores = _Cores(core, core_energy, unit * np.sqrt(core.sum(axis=1, dtype=np.float64)))
    calibration = _calibration(core_energy, showers.e_inc, geometry)
    e_rec = np.maximum(core_energy @ calibration[1:] + calibration[0], 1e-3 * float(energy.sum()))
    raw = np.column_stack([np.log(e_rec), *(showers.conditions[name] for name in condition_names)])
    scale = np.stack([raw.mean(axis=0), np.maximum(raw.std(axis=0), 1e-6)])
    standard = (raw - scale[0]) / scale[1]
    limits = np.quantile(standard, [0.001, 0.999], axis=0)
    c = np.clip(standard[:, 0], *limits[:, 0])
    if empty.any():
        curves = _censored_curves(showers.cells, cores, empty, unit, c, geometry)
    else:
        curves = _curves(showers.cells, cores, unit, c)
    mean, log_scale = _response(showers.e_inc, e_rec, scale, limits)
    curves["layer_mean"][:, :1], curves["layer_log_scale"][:, :1] = mean, log_scale
    return FeatureMap(
        unit_mev=np.array([unit]),
        core=core,
        layer_unit_mev=cores.unit_mev,
        calibration=calibration,
        scale=scale,
        limits=limits,
        condition_names=condition_names,
        **curves,
    )


class _Cores(NamedTuple):
    """The cores of L layers, in N showers."""

    cells: NDArray[np.float32]
    """1 for the cells of a core, shape (L, V)."""

    energy: NDArray[np.float64]
    """MeV, shape (N, L)."""

    unit_mev: NDArray[np.float64]
    """Shape (L,)."""


def _check(showers: Showers, condition_names: tuple[str, ...]) -> None:
    if showers.n < ENOUGH:
        raise FeatureError(
            f"{showers.n} showers are too few to fit features on; give {ENOUGH} or more"
        )
    missing = [name for name in condition_names if name not in showers.conditions]
    if missing:
        raise FeatureError(f"showers lack the conditions {missing}")


def _unit(
    cells: NDArray[np.float32],
    energy: NDArray[np.float64],
    empty: NDArray[np.bool_],
    geometry: Geometry,
) -> float:
    """Return the energy, MeV, from which on a cell is compressed."""
    unit = 2.0 * max(geometry.noise_mev, geometry.least_count_mev)
    if unit == 0 and empty.any():  # all that is lit is signal, over decades
        unit = 0.1 * float(np.median(cells[cells != 0]))
    if unit <= 0:  # continuous cells: what a thousandth of the mean shower is lies near zero
        unit = 1e-3 * float(energy.sum())
    return unit


def _compressed(values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    import torch  # noqa: PLC0415  a judge has none

    found: NDArray[np.floating[Any]] = compress(torch.from_numpy(values)).numpy()
    return found


def _curves(
    cells: NDArray[np.float32], cores: _Cores, unit: float, c: NDArray[np.float64]
) -> dict[str, Any]:
    """Return means and scales of cells and layers that are always lit, as polynomials of `c`."""
    cell_mean, cell_log_scale = polynomials(_compressed(cells / np.float32(unit)), c)
    layer_mean, layer_log_scale = polynomials(np.arcsinh(cores.energy / cores.unit_mev), c)
    return {
        "cell_mean": cell_mean,
        "cell_log_scale": cell_log_scale,
        "layer_mean": layer_mean,
        "layer_log_scale": layer_log_scale,
    }


def _censored_curves(
    cells: NDArray[np.float32],
    cores: _Cores,
    empty: NDArray[np.bool_],
    unit: float,
    c: NDArray[np.float64],
    geometry: Geometry,
) -> dict[str, Any]:
    """Return the same where cells may be unlit, with their floors and the odds that they are lit."""
    lit = (cells != 0) | ~empty
    dark = cores.energy == 0
    # Cells that are never empty may add up to nothing, but that is a number like any other.
    dark &= (dark.mean(axis=0) > EMPTY_THERE) & (cores.cells @ ~empty == 0)
    floor = _floors(cells, empty, dark.any(axis=0), geometry)
    known = np.where(floor > ALWAYS_LIT, floor, -np.inf)
    of_cells = known[geometry.n_layers - 1 :] / unit
    of_cells = np.where(np.isfinite(of_cells), _compressed(of_cells), -np.inf)
    cell_mean, cell_log_scale = censored_polynomials(
        _compressed(cells / np.float32(unit)), lit, of_cells, c, geometry.layer_of_cell
    )
    of_layers = np.concatenate([[-np.inf], known[: geometry.n_layers - 1] / cores.unit_mev[1:]])
    layers = np.arcsinh(cores.energy / cores.unit_mev)
    layer_mean, layer_log_scale = censored_polynomials(
        layers, ~dark, np.arcsinh(of_layers), c, np.arange(geometry.n_layers)
    )
    return {
        "cell_mean": cell_mean,
        "cell_log_scale": cell_log_scale,
        "layer_mean": layer_mean,
        "layer_log_scale": layer_log_scale,
        "floor_mev": floor,
        "cell_odds": log_odds(lit, c),
    }


def _response(
    e_inc: NDArray[np.float32],
    e_rec: NDArray[np.float64],
    scale: NDArray[np.float64],
    limits: NDArray[np.float64],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and log scale of the response, which is what layer 0 has, each of shape (P, 1).

    The energy of layer 0 is a condition. Nothing is taken off where too few true energies are known.
    """
    known = ~np.isnan(e_inc)
    if known.sum() < ENOUGH:
        nothing = np.zeros((DEGREE + 1, 1), np.float32)
        return nothing, nothing
    true = e_inc[known].astype(np.float64)
    at = np.clip((np.log(true) - scale[0, 0]) / scale[1, 0], *limits[:, 0])
    return polynomials(np.log(e_rec[known] / true)[:, None], at)


def zeros(cells: NDArray[np.float32], geometry: Geometry) -> NDArray[np.bool_]:
    """Return which cells may be unlit: zero more often than digitised noise explains, shape (V,).

    Parameters
    ----------
    cells
        Of good showers, MeV, shape (N, V).
    """
    share = np.mean(cells == 0, axis=0)
    step = np.float32(geometry.least_count_mev)
    near = np.maximum(*(np.mean(cells == s * step, axis=0) for s in (-1, 1))) if step else 0.0
    beyond = share - near - SIGNIFICANT * np.sqrt(share / len(cells))
    found: NDArray[np.bool_] = beyond > (EMPTY_THERE if np.any(beyond > EMPTY) else np.inf)
    return found


def _floors(
    cells: NDArray[np.float32],
    empty: NDArray[np.bool_],
    dark: NDArray[np.bool_],
    geometry: Geometry,
) -> NDArray[np.float64]:
    """Return the least energy of lit layers 1 to L - 1 and cells, MeV, shape (H,)."""
    floors = np.full(geometry.n_layers + geometry.n_cells, ALWAYS_LIT)
    for layer, where in enumerate(geometry.slices):
        lit = cells[:, where][cells[:, where] != 0]
        # A layer without any light: what lights up there some day is more than nothing.
        least = float(lit.min()) - geometry.least_count_mev / 2 if len(lit) else 0.0
        floors[geometry.n_layers + np.flatnonzero(empty[where]) + where.start] = least
        floors[layer] = least if dark[layer] else ALWAYS_LIT
    return floors[1:]


def _core(energy: NDArray[np.float64], geometry: Geometry) -> NDArray[np.float32]:
    core = np.zeros((geometry.n_layers, geometry.n_cells), np.float32)
    for index, cells in enumerate(geometry.slices):
        mean = np.maximum(energy[cells], 0.0)
        order = np.argsort(-mean, kind="stable")
        share = np.cumsum(mean[order]) / max(float(mean.sum()), 1e-12)
        core[index, cells.start + order[: int(np.searchsorted(share, CORE)) + 1]] = 1
    return core


def _calibration(
    core: NDArray[np.float64], e_inc: NDArray[np.float32], geometry: Geometry
) -> NDArray[np.float64]:
    """Return offset and factors that minimise the error of the energy, which grows as √E.

    The factor of a layer is taken to be that of all layers together within `FACTOR_SPREAD` of it:
    showers soon know better of a layer that holds energy, and never of one that holds noise. With
    energies in another unit, factors are the same and the offset is in that unit.
    """
    known = ~np.isnan(e_inc)
    n_layers = geometry.n_layers
    if known.sum() < ENOUGH:  # nothing to calibrate on: the sampling fraction of the drawing
        return np.array([0.0] + [1 / geometry.sampling_fraction] * n_layers)
    e, seen = e_inc[known].astype(np.float64), core[known]
    weight = 1 / np.sqrt(e)
    common = float(e.sum() / seen.sum())
    design = common * seen * weight[:, None]
    target = (e - common * seen.sum(axis=1)) * weight
    prior = float(np.mean(target**2)) / FACTOR_SPREAD**2
    normal = design.T @ design + prior * np.eye(n_layers)
    factors = common * (1 + np.linalg.solve(normal, design.T @ target))
    # Energies are exact and sums are not: the line is that of sums against energies. The other way
    # round, showers of one energy would be told that energy, whatever their cells hold.
    total = seen @ factors
    if e.std() < SPECTRUM * e.mean():
        return np.array([0.0, *(factors * e.mean() / total.mean())])
    slope, at_zero = np.polyfit(e, total, 1, w=weight)
    return np.array([-at_zero / slope, *(factors / slope)])
