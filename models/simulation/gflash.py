"""GFLASH: fast parametrised electromagnetic showers for any sampling or homogeneous calorimeter.

GFLASH: Grindhammer and Peters, hep-ex/0001020. Good enough to start without a simulation of one's
own, to label streams and to train first models; not tuned to any detector.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import gammainc

from models.detector.materials import Medium, medium
from models.showers.batch import Showers
from models.showers.pool import suppressed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.geometry import Geometry, Layer

PARTICLES = ("gamma", "e-")

STEPS = 60
"""Slices of equal depth: each has its own profile and sampling fluctuation."""

SPOTS = 1000
"""Spots of a shower at most: beyond it they get heavier, not more."""

SAMPLING_TERM = 0.10
"""σ/E = c / √(E / GeV) that a sampling calorimeter is taken for if nothing better is said."""

LARGEST_BATCH = 512
"""Showers simulated at a time: memory grows with spots."""


class Profile(NamedTuple):
    """Longitudinal profile of N showers: gamma distributions in depth, and what spots need."""

    alpha: NDArray[np.float64]
    """Shape, > 1, shape (N,)."""

    beta: NDArray[np.float64]
    """Rate, 1 / X0, shape (N,)."""

    mean_alpha: NDArray[np.float64]
    """exp <ln α> of the mean profile, shape (N,)."""

    start: NDArray[np.float64]
    """Depth at which the shower begins, X0: photons convert late, shape (N,)."""

    def tau(self, depth: NDArray[np.float64], shower: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return depths, X0, of some showers as the radial profile takes them: section 3.3.

        In units of the shower's own centre of gravity, so that one that ends early is wide early.
        """
        own = self.alpha[shower] / self.beta[shower]
        tau = np.maximum(depth - self.start[shower], 0) / own
        mean = self.mean_alpha[shower]
        return np.asarray(tau * mean / np.maximum(mean - 1, 0.1))


def simulate_showers(
    geometry: Geometry,
    e_inc: NDArray[np.floating],
    rng: np.random.Generator,
    particle: str = "gamma",
    *,
    sampling_term: float | None = None,
    noise: bool = True,
    axis_mm: NDArray[np.float64] | None = None,
) -> Showers:
    """Return showers of particles that enter along the axis, as the cells read them.

    Parameters
    ----------
    e_inc
        Energy of each particle, MeV, shape (N,), >= 100 MeV.
    sampling_term
        c of σ/E = c / √(E / GeV); that of the geometry's materials if not given, `SAMPLING_TERM`
        if they have none. Not used where the calorimeter is homogeneous.
    noise
        Add electronics noise and digitise; without it cells are continuous.
    axis_mm
        Where each particle enters, from the middle of each layer, mm, shape (N, L, 2); in the
        middle if not given.

    Raises
    ------
    MaterialError
        If the geometry does not say what it is made of.
    ValueError
        If an energy is below 100 MeV, or the particle is unknown.
    """
    if particle not in PARTICLES:
        raise ValueError(f"particle {particle!r} must be one of {', '.join(PARTICLES)}")
    energy = np.asarray(e_inc, np.float64)
    if energy.ndim != 1 or not np.all(energy >= 100):
        raise ValueError("the parametrisation holds from 100 MeV on; give one energy a shower")
    if sampling_term is None:
        sampling_term = float(dict(geometry.materials).get("sampling_term", SAMPLING_TERM))
    axis = np.zeros((len(energy), geometry.n_layers, 2)) if axis_mm is None else axis_mm
    parts = [
        _visible(
            geometry,
            Particles(energy[i : i + LARGEST_BATCH], axis[i : i + LARGEST_BATCH]),
            rng,
            particle,
            sampling_term,
        )
        for i in range(0, len(energy), LARGEST_BATCH)
    ]
    cells = np.concatenate(parts) if parts else np.zeros((0, geometry.n_cells))
    if noise:
        cells = cells + rng.normal(0, geometry.noise_mev, cells.shape)
        step = geometry.least_count_mev
        cells = np.rint(cells / step) * step if step else cells
    read = cells.astype(np.float32)
    return Showers(suppressed(read, geometry) if noise else read, energy.astype(np.float32))


def _visible(
    geometry: Geometry,
    particles: Particles,
    rng: np.random.Generator,
    particle: str,
    sampling_term: float,
) -> NDArray[np.float64]:
    """Return the visible energy of every cell without noise, MeV, shape (N, V)."""
    stuff, energy = medium(geometry), particles.energy
    shape = profile(stuff, energy, rng, particle)
    slices = deposits(shape, energy, _edges(geometry, stuff))
    if stuff.sampling_frequency is not None:
        # Each slice fluctuates as a gamma variable, so that the sum has c / √E (Geant4's form).
        unit = sampling_term**2 * 1000
        slices = np.where(slices > 0, rng.gamma(np.maximum(slices, 1e-9) / unit, unit), 0.0)
    slices *= geometry.sampling_fraction
    spots = np.minimum(_n_spots(stuff, energy, sampling_term), SPOTS)
    return _spread(geometry, stuff, shape, particles, slices, spots, rng)


def profile(
    stuff: Medium, energy: NDArray[np.float64], rng: np.random.Generator, particle: str
) -> Profile:
    """Return fluctuating longitudinal profiles; hep-ex/0001020, sections 2.3 and 3.2."""
    log_y = np.log(energy / stuff.critical_energy)
    mean_t = np.log(np.maximum(log_y - 0.812, 0.1))
    mean_a = np.log(0.81 + (0.458 + 2.26 / stuff.z) * log_y)
    if stuff.sampling_frequency is None:
        spread_t, spread_a = 1 / (-1.4 + 1.26 * log_y), 1 / (-0.58 + 0.86 * log_y)
        rho = 0.705 - 0.023 * log_y
    else:
        fs, e_hat = stuff.sampling_frequency, stuff.e_hat
        mean_t = np.log(np.maximum(np.exp(mean_t) - 0.55 / fs - 0.69 * (1 - e_hat), 0.1))
        mean_a = np.log(np.maximum(np.exp(mean_a) - 0.476 / fs, 1.05))
        spread_t, spread_a = 1 / (-2.5 + 1.25 * log_y), 1 / (-0.82 + 0.79 * log_y)
        rho = 0.784 - 0.023 * log_y
    # At low energies the fits leave their range: bounded as in Geant4's gflash.
    spread_t, spread_a = (np.where((s > 0) & (s < 0.5), s, 0.5) for s in (spread_t, spread_a))
    z1, z2 = rng.standard_normal((2, len(energy)))
    c1, c2 = np.sqrt((1 + rho) / 2), np.sqrt((1 - rho) / 2)
    t = np.maximum(np.exp(mean_t + spread_t * (c1 * z1 + c2 * z2)), 1.0)
    alpha = np.maximum(np.exp(mean_a + spread_a * (c1 * z1 - c2 * z2)), 1.1)
    mean_alpha = np.exp(mean_a)
    # A photon goes 9/7 of a radiation length before it becomes a pair.
    start = rng.exponential(9 / 7, len(energy)) if particle == "gamma" else np.zeros(len(energy))
    return Profile(alpha, (alpha - 1) / t, mean_alpha, start)


def deposits(
    shape: Profile, energy: NDArray[np.float64], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the energy in each slice of depth, MeV, shape (N, slices); what leaks is missing.

    Parameters
    ----------
    edges
        Edges of the slices, X0.
    """
    t = np.maximum(edges[None] - shape.start[:, None], 0.0)
    below = gammainc(shape.alpha[:, None], shape.beta[:, None] * t)
    return np.asarray(energy[:, None] * np.diff(below, axis=1))


class Particles(NamedTuple):
    """What enters: N particles."""

    energy: NDArray[np.float64]
    """MeV, shape (N,)."""

    axis_mm: NDArray[np.float64]
    """Where, from the middle of each layer, shape (N, L, 2)."""


class Radii(NamedTuple):
    """Radial profile at some depth, in Molière radii: core, tail and the share of the core."""

    core: NDArray[np.float64]
    tail: NDArray[np.float64]
    share: NDArray[np.float64]


def radii(stuff: Medium, tau: NDArray[np.float64], energy: NDArray[np.float64]) -> Radii:
    """Return the radial profile at depth `tau` (of the mean depth); sections 2.4 and 3.3.

    Parameters
    ----------
    energy
        MeV, of the same shape as `tau`.
    """
    z, log_e = stuff.z, np.log(energy / 1000)
    core = 0.0251 + 0.00319 * log_e + (0.1162 - 0.000381 * z) * tau
    k1, k2, k3, k4 = 0.659 - 0.00309 * z, 0.645, -2.59, 0.3585 + 0.0421 * log_e
    tail = k1 * (np.exp(k3 * (tau - k2)) + np.exp(k4 * (tau - k2)))
    p1, p2, p3 = 2.632 - 0.00094 * z, 0.401 + 0.00187 * z, 1.313 - 0.0686 * log_e
    lag = (p2 - tau) / p3
    share = p1 * np.exp(lag - np.exp(lag))
    if stuff.sampling_frequency is not None:
        fs, less = stuff.sampling_frequency, 1 - stuff.e_hat
        core += -0.0203 * less + 0.0397 / fs * np.exp(-tau)
        tail += -0.14 * less - 0.495 / fs * np.exp(-tau)
        share += less * (0.348 - 0.642 / fs * np.exp(-((tau - 1) ** 2)))
    return Radii(np.maximum(core, 0.01), np.maximum(tail, 0.05), np.clip(share, 0, 1))


def _edges(geometry: Geometry, stuff: Medium) -> NDArray[np.float64]:
    """Return the edges of the slices, X0, shape (STEPS + 1,)."""
    return np.linspace(0, geometry.layers[-1].depth_mm[1] / stuff.x0_mm, STEPS + 1)


def _spread(
    geometry: Geometry,
    stuff: Medium,
    shape: Profile,
    particles: Particles,
    slices: NDArray[np.float64],
    spots: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return the energy of slices (N, slices) put into cells as spots around the axis, (N, V)."""
    energy, axis = particles
    n, edges = len(energy), _edges(geometry, stuff)
    # Spots of a shower go where its energy is, one at least to every slice with energy.
    share = slices / np.maximum(slices.sum(axis=1, keepdims=True), 1e-12)
    count = np.maximum(rng.poisson(spots[:, None] * share), slices > 1e-3)
    shower, slice_ = (
        np.repeat(index, count.ravel()) for index in np.indices(count.shape).reshape(2, -1)
    )
    weight = slices[shower, slice_] / count[shower, slice_]
    depth = edges[slice_] + (edges[slice_ + 1] - edges[slice_]) * rng.random(len(shower))
    core, tail, core_share = radii(stuff, shape.tau(depth, shower), energy[shower])
    size = np.where(rng.random(len(shower)) < core_share, core, tail) * stuff.moliere_mm
    u = rng.random(len(shower))
    r, phi = size * np.sqrt(u / (1 - u)), rng.uniform(0, 2 * math.pi, len(shower))
    x, y, z = r * np.cos(phi), r * np.sin(phi), depth * stuff.x0_mm
    cells = np.zeros((n, geometry.n_cells))
    for index, (layer, where) in enumerate(zip(geometry.layers, geometry.slices, strict=True)):
        here = (z >= layer.depth_mm[0]) & (z < layer.depth_mm[1])
        x0, y0 = axis[shower[here], index].T
        cell = _cell(layer, x[here] + x0, y[here] + y0)
        inside = cell >= 0
        place = shower[here][inside] * layer.n_cells + cell[inside]
        total = np.bincount(place, weight[here][inside], minlength=n * layer.n_cells)
        cells[:, where] = total.reshape(n, layer.n_cells)
    return cells


def _n_spots(
    stuff: Medium, energy: NDArray[np.float64], sampling_term: float
) -> NDArray[np.float64]:
    """Return the number of spots of a shower; hep-ex/0001020, section 4."""
    gev = energy / 1000
    if stuff.sampling_frequency is None:
        return np.asarray(93 * math.log(stuff.z) * gev**0.876)
    return np.asarray(10.3 / sampling_term * gev**0.959)


def _cell(layer: Layer, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the cell of a layer that a point is in, -1 if none."""
    rows, columns = layer.shape
    if layer.r_edges_mm:
        row = ((np.arctan2(y, x) + math.pi) / math.tau * rows).astype(np.int64) % rows
        column = np.searchsorted(layer.r_edges_mm, np.hypot(x, y), side="right") - 1
    else:
        row, column = (
            np.floor(v / size + n / 2).astype(np.int64)
            for v, size, n in zip((x, y), layer.cell_mm, layer.shape, strict=True)
        )
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    return np.where(inside, row * columns + column, -1)
