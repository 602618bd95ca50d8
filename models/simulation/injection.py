"""Injection: good showers as the detector would read them with a fault, digitised again."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from models.detector.materials import MaterialError, medium
from models.showers.pool import suppressed
from models.simulation.faults import OF_NOISE, STREAM, WHOLE_LAYER, Fault, FaultError, FaultKind
from models.simulation.moving import moved

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from models.showers.batch import Showers


def check(fault: Fault, geometry: Geometry) -> None:
    """Raise `FaultError` if a fault has no place in a geometry, or can do nothing there."""
    if fault.channel:
        raise FaultError(f"{fault.kind}: channels are there in a whole detector, not in a patch")
    if fault.cells and max(fault.cells) >= geometry.n_cells:
        raise FaultError(
            f"{fault.kind}: geometry {geometry.name} has cells 0 to "
            f"{geometry.n_cells - 1}, not {max(fault.cells)}"
        )
    names = [layer.name for layer in geometry.layers]
    if fault.layer and fault.layer not in names:
        raise FaultError(
            f"{fault.kind}: layer must be one of {', '.join(names)} in geometry {geometry.name}"
        )
    if fault.kind in OF_NOISE and geometry.noise_mev == 0:
        raise FaultError(f"{fault.kind}: counts in noise, but geometry {geometry.name} has none")
    polar = [layer.name for layer in geometry.layers if layer.r_edges_mm]
    if fault.kind is FaultKind.SECOND and polar:
        raise FaultError(
            f"{fault.kind}: needs cells in rows and columns, but layer {polar[0]} of geometry "
            f"{geometry.name} is polar"
        )


def struck(fault: Fault, geometry: Geometry) -> NDArray[np.int64]:
    """Return the cells that a fault strikes.

    Those named, or those of the layer named. Else: noise, pedestal and burst strike the layer in
    the middle of the depth; gain, trip and spike all cells; dead and hot the core cell of that
    middle layer, the one that carries most of a shower.

    Raises
    ------
    FaultError
        If the fault does not fit the geometry: see `check`.
    """
    check(fault, geometry)
    if fault.cells:
        return np.array(fault.cells, np.int64)
    names = [layer.name for layer in geometry.layers]
    everything = np.arange(geometry.n_cells)
    middle = geometry.n_layers // 2
    if fault.layer or fault.kind in WHOLE_LAYER:
        return everything[geometry.slices[names.index(fault.layer) if fault.layer else middle]]
    return (
        everything
        if fault.kind not in {FaultKind.DEAD, FaultKind.HOT}
        else core_cell(geometry, middle)
    )


def core_cell(geometry: Geometry, layer: int) -> NDArray[np.int64]:
    """Return the cell of a layer that is nearest to the axis, the first of equals, shape (1,)."""
    cells = geometry.slices[layer]
    distance = np.hypot(*geometry.centres[cells, :2].T)
    return np.array([cells.start + int(np.argmin(np.round(distance, 6)))])


def quiet_cell(geometry: Geometry, layer: int) -> NDArray[np.int64]:
    """Return a cell of a layer half-way out, where good showers leave little, shape (1,)."""
    cells = geometry.slices[layer]
    order = np.argsort(np.hypot(*geometry.centres[cells, :2].T), kind="stable")
    return np.array([cells.start + int(order[len(order) // 2])])


def apply(
    fault: Fault,
    showers: Showers,
    region: NDArray[np.integer],
    geometry: Geometry,
    rng: np.random.Generator,
    donors: Showers | None = None,
) -> Showers:
    """Return the showers as the detector would read them with the fault, digitised again.

    Showers of other regions stay as they are, to the bit; incident energies always do.

    Parameters
    ----------
    region
        Region id of each shower, shape (N,).
    donors
        Good showers that a second photon is taken from; a few hundred or more make it look right.
        The batch itself if not given.

    Raises
    ------
    FaultError
        If the fault acts on the stream, or does not fit the geometry.
    """
    if fault.kind in STREAM:
        raise FaultError(f"{fault.kind} acts on the stream, not on energies")
    check(fault, geometry)
    rows = np.flatnonzero(np.isin(region, fault.region) if fault.region else np.ones(showers.n))
    rows = rows[rng.random(len(rows)) < fault.magnitudes.get("share", 1.0)]
    if not len(rows):
        return showers
    cells = showers.cells.copy()
    if fault.kind is FaultKind.SWAP:
        _swap(fault, cells, np.asarray(region), rows, geometry)
    elif fault.kind is FaultKind.SECOND:
        pool = showers if donors is None else donors
        cells[rows] = _digitise(_second(fault, showers[rows], pool, geometry, rng), geometry)
    elif fault.kind is FaultKind.PILE_UP:
        cells[rows] = _digitise(cells[rows] + _pile_up(fault, len(rows), geometry, rng), geometry)
    else:
        where = np.ix_(rows, struck(fault, geometry))
        cells[where] = _digitise(_misread(fault, cells[where], geometry, rng), geometry)
    return replace(showers, cells=cells)


def weights(fault: Fault, showers: Showers) -> NDArray[np.float64]:
    """Return the probabilities to draw each of a pool's showers with under a shift, shape (N,)."""
    e = np.asarray(np.nan_to_num(showers.e_inc, nan=1.0), np.float64)
    weight = (e / e.max()) ** fault.magnitudes["x"]
    return np.asarray(weight / weight.sum())


def _digitise(energy: NDArray[np.floating], geometry: Geometry) -> NDArray[np.float32]:
    step = geometry.least_count_mev
    read = (np.rint(energy / step) * step if step else energy).astype(np.float32)
    return suppressed(read, geometry)


def _misread(
    fault: Fault, energy: NDArray[np.float32], geometry: Geometry, rng: np.random.Generator
) -> NDArray[np.floating]:
    """Return what struck cells read instead of `energy` (rows, cells)."""
    sigma, x = geometry.noise_mev, fault.magnitudes.get("x", 0.0)
    if fault.kind is FaultKind.SPIKE:
        spiked = energy.copy()
        hit = rng.integers(energy.shape[1], size=len(energy))
        spiked[np.arange(len(energy)), hit] += fault.magnitudes["mev"]
        return spiked
    if fault.kind is FaultKind.BURST:
        return energy + rng.normal(0, x * sigma, (len(energy), 1))
    if fault.kind in {FaultKind.HOT, FaultKind.PEDESTAL}:
        return energy + x * sigma
    scale = {FaultKind.DEAD: 0.0, FaultKind.GAIN: 1 + x, FaultKind.TRIP: x}.get(fault.kind, 1.0)
    # Lost high voltage takes the signal down, and with it a part of the noise that stays.
    spread = (
        sigma * math.sqrt(abs(x * x - 1))
        if fault.kind in {FaultKind.NOISE, FaultKind.TRIP}
        else 0.0
    )
    return energy * scale + (rng.normal(0, spread, energy.shape) if spread else 0.0)


def _swap(
    fault: Fault,
    cells: NDArray[np.float32],
    region: NDArray[np.integer],
    rows: NDArray[np.int64],
    geometry: Geometry,
) -> None:
    """Exchange two cells of the struck rows, or the cells of two regions, pair by pair, in place.

    Incident energies stay where they are: they come from elsewhere than the swapped cables.
    """
    if len(fault.cells) == 2:
        a, b = struck(fault, geometry)
        cells[np.ix_(rows, [a, b])] = cells[np.ix_(rows, [b, a])]
        return
    first, second = (np.flatnonzero(region == one) for one in fault.region)
    n = min(len(first), len(second))
    pair = np.concatenate([first[:n], second[:n]])
    cells[pair] = cells[np.roll(pair, n)]


def _second(
    fault: Fault, showers: Showers, donors: Showers, geometry: Geometry, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return cells of two photons `mm` apart that share the energy of each shower, (N, V).

    Both are donors of about the energy needed, scaled to it. The second one gives only what
    stands out of the noise: two full sets of noise would give the fault away.
    """
    share, wanted = fault.magnitudes["x"], _energy(showers, geometry)
    there = _energy(donors, geometry)
    chosen, scale = partner(wanted * (1 - share), there, rng)
    total: NDArray[np.float64] = donors.cells[chosen] * scale
    missing = geometry.noise_mev * np.sqrt(np.clip(1 - scale**2, 0, None))
    total += rng.standard_normal(total.shape) * missing
    chosen, scale = partner(wanted * share, there, rng)
    other = _quiet(donors, there, geometry)[chosen] * scale
    for layer, cells in zip(geometry.layers, geometry.slices, strict=True):
        total[:, cells] += moved(other[:, cells], layer, fault.magnitudes["mm"], geometry)
    return total


def partner(
    wanted: NDArray[np.float64], there: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return a donor near each wanted energy, shape (N,), and the factor to it, shape (N, 1)."""
    order = np.argsort(there)
    near = min(len(order), max(8, len(order) // 100))  # enough that no donor comes over and over
    first = np.searchsorted(there[order], wanted) - near // 2
    place = np.clip(first, 0, len(order) - near) + rng.integers(near, size=len(wanted))
    chosen = order[place]
    return chosen, (wanted / there[chosen])[:, None]


def _quiet(
    showers: Showers, energy: NDArray[np.float64], geometry: Geometry
) -> NDArray[np.float64]:
    """Return cells above 3 times the noise and 0 elsewhere, with the mean of each layer kept.

    The factor that keeps it is that of all showers of about the same energy: a factor for each
    shower would carry the noise of all its cells.
    """
    quiet = np.where(showers.cells > 3 * geometry.noise_mev, showers.cells, 0.0)
    groups = np.array_split(np.argsort(energy), max(1, min(32, showers.n // 64)))
    for rows, cells in product(groups, geometry.slices):
        kept = quiet[rows, cells].sum()
        if kept > 0:
            quiet[rows, cells] *= np.clip(showers.cells[rows, cells].sum() / kept, 0, 2)
    return quiet


def _energy(showers: Showers, geometry: Geometry) -> NDArray[np.float64]:
    """Return the incident energy, or what the cells say of it where it is unknown, MeV, (N,)."""
    seen = showers.cells.sum(1, dtype=np.float64) / geometry.sampling_fraction
    return np.where(np.isnan(showers.e_inc), np.maximum(seen, 1.0), showers.e_inc)


def _pile_up(
    fault: Fault, n: int, geometry: Geometry, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the energy of soft photons anywhere, mostly in front, shape (n, V)."""
    count = rng.poisson(fault.magnitudes["x"], n)
    row = np.repeat(np.arange(n), count)
    # A photon of some ten MeV ends within a few radiation lengths.
    back = np.array([layer.depth_mm[1] for layer in geometry.layers])
    try:
        mean_depth = 4 * medium(geometry).x0_mm
    except MaterialError:
        mean_depth = back[-1] / 4
    depth = rng.exponential(mean_depth, len(row))
    layer = np.minimum(np.searchsorted(back, depth), geometry.n_layers - 1)
    first = np.array([cells.start for cells in geometry.slices])
    size = np.array([one.n_cells for one in geometry.layers])
    cell = first[layer] + rng.integers(size[layer])
    energy = np.zeros((n, geometry.n_cells))
    np.add.at(energy, (row, cell), rng.exponential(fault.magnitudes["mev"], len(row)))
    return energy
