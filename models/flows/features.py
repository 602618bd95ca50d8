"""Features: showers to what a flow sees, and back; the same code for training and for scoring."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from models.flows.interface import Features
from models.flows.polynomials import DEGREE, basis, polynomials
from models.showers.batch import Showers
from models.showers.hashing import keys, normal_quantile, uniform

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from models.detector.geometry import Geometry

CORE = 0.95
"""The core of a layer is the fewest cells that hold this share of its mean energy."""

FILL_STEPS = 26
"""Halvings of the range of energies: the last is some 1e-7 of it."""


LARGEST = 124.0
"""No compressed cell is larger, a million units: a wild latent must not become infinity."""

ENOUGH = 200
"""Showers that features are fitted on, and known energies that the response is: no fewer."""


MARGIN = 0.1
"""How far beyond its range in training a further condition is still known, of that range."""

ENERGY_MARGIN = 0.05
"""The same of the energy, of itself, where nobody knows how well it is reconstructed."""

DEVIATIONS = 2.0
"""Else in deviations of the response at the end of the range: a shower is reconstructed so far
beside its energy."""


class FeatureError(ValueError):
    """Showers that features cannot be made of; the message says why."""


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """The preprocessing of one model: fitted once, saved with it.

    Cell energies are compressed by a fourth root of E / unit that is linear where noise is, so that
    negative and zero energies are ordinary values (a logit or a logarithm of digitised noise has
    poles); then they are standardised by polynomials in the condition. The condition is always the energy that is
    *reconstructed* from the cores of the layers: it is there for every shower, and a model never
    meets another condition in training than at work. The incident energy, where it is known,
    is used for the response alone.
    """

    unit_mev: NDArray[np.float64]
    """Energy of a cell up to which `compress` is about linear, MeV, shape (1,)."""

    core: NDArray[np.float32]
    """1 for the cells of each layer's core, shape (L, V)."""

    layer_unit_mev: NDArray[np.float64]
    """Scale of the asinh of a layer, MeV, shape (L,)."""

    calibration: NDArray[np.float64]
    """Offset in MeV, then incident over core energy of each layer, shape (L + 1,)."""

    scale: NDArray[np.float64]
    """Mean and deviation of each condition before it is standardised, shape (2, C)."""

    limits: NDArray[np.float64]
    """Range of each standardised condition in training, shape (2, C): clamped to it."""

    cell_mean: NDArray[np.float32]
    """Coefficients of the mean of each cell, shape (P, V), P = DEGREE + 1 powers."""

    cell_log_scale: NDArray[np.float32]
    """Coefficients of the log deviation of each cell, shape (P, V)."""

    layer_mean: NDArray[np.float32]
    """Coefficients of the mean of each layer-energy coordinate, shape (P, L); those of the first,
    the response, and of its deviation are 0 if training knew no incident energies."""

    layer_log_scale: NDArray[np.float32]
    """Coefficients of their log deviation, shape (P, L)."""

    condition_names: tuple[str, ...] = ()
    """Further conditions that showers must carry, C - 1 of them."""

    def __post_init__(self) -> None:
        n_layers, n_cells = self.core.shape
        n_context, powers = 1 + len(self.condition_names), DEGREE + 1
        shapes = {
            "unit_mev": (1,),
            "layer_unit_mev": (n_layers,),
            "calibration": (n_layers + 1,),
            "scale": (2, n_context),
            "limits": (2, n_context),
            "cell_mean": (powers, n_cells),
            "cell_log_scale": (powers, n_cells),
            "layer_mean": (powers, n_layers),
            "layer_log_scale": (powers, n_layers),
        }
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array.shape != shape or not np.all(np.isfinite(array)):
                raise FeatureError(f"{name} must be finite and of shape {shape}")
        if not (np.all(self.unit_mev > 0) and np.all(self.layer_unit_mev > 0)):
            raise FeatureError("units must be > 0 MeV")

    @property
    def n_cells(self) -> int:
        """Return V."""
        return int(self.core.shape[1])

    @property
    def n_layers(self) -> int:
        """Return L."""
        return int(self.core.shape[0])

    @property
    def n_context(self) -> int:
        """Return C."""
        return 1 + len(self.condition_names)

    @property
    def knows_response(self) -> bool:
        """Return whether training knew incident energies: else those of showers are ignored."""
        return bool(self.layer_mean[:, 0].any() or self.layer_log_scale[:, 0].any())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the numbers by name, for a file; `from_arrays` is the inverse."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "condition_names"}

    def e_rec(self, cells: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the reconstructed energy of each shower, MeV, > 0, shape (N,)."""
        return self._e_rec(cells @ self.core.T)

    def _e_rec(self, core: NDArray[np.float32]) -> NDArray[np.float64]:
        energy = core @ self.calibration[1:] + self.calibration[0]
        clipped: NDArray[np.float64] = np.maximum(energy, self._floor)
        return clipped

    @property
    def _floor(self) -> float:
        """Return the least energy that is reconstructed, MeV."""
        return 0.05 * math.exp(self.scale[0, 0] - 3 * self.scale[1, 0])

    def __call__(
        self,
        showers: Showers,
        dither: NDArray[np.float32] | None = None,
        key: NDArray[np.uint64] | None = None,
    ) -> tuple[Features, NDArray[np.float64]]:
        """Return the features of a batch and its reconstructed energies, MeV, shape (N,).

        Parameters
        ----------
        dither
            Added to the cells, MeV, shape (N, V): undoes the digitisation in training.
        key
            `keys` of the showers, where they are there already.
        """
        import torch  # noqa: PLC0415  a judge has none and needs `typical` alone

        cells: NDArray[np.float32] = showers.cells if dither is None else showers.cells + dither
        core: NDArray[np.float32] = cells @ self.core.T
        e_rec = self._e_rec(core)
        c = self.standardised(e_rec, showers.conditions)
        layers = self._layers(core, e_rec, c, showers, key)
        y = compress(torch.from_numpy(cells * np.float32(1 / self.unit_mev[0])))
        powers = torch.from_numpy(basis(c[:, 0]))
        y -= powers @ torch.from_numpy(self.cell_mean)
        y *= (powers @ torch.from_numpy(self.cell_log_scale)).neg_().exp_()
        return Features(y, torch.from_numpy(layers), torch.from_numpy(c)), e_rec

    def standardised(
        self, e_rec: NDArray[np.float64], conditions: Mapping[str, NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Return the standardised conditions, clamped to the range of training, shape (N, C)."""
        missing = [name for name in self.condition_names if name not in conditions]
        if missing:
            raise FeatureError(f"showers lack the conditions {missing}")
        raw = np.column_stack([np.log(e_rec), *(conditions[name] for name in self.condition_names)])
        standard = (raw - self.scale[0]) / self.scale[1]
        clamped: NDArray[np.float32] = np.clip(standard, *self.limits).astype(np.float32)
        return clamped

    def outside(self, showers: Showers, e_rec: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which showers have a condition that training held nothing near to, shape (N,).

        The energy is the incident one where that is known: a shower of a known energy that is
        reconstructed far from it is strange.

        Parameters
        ----------
        e_rec
            Reconstructed energies, MeV, shape (N,).
        """
        energy = np.where(self.knows(showers), showers.e_inc, e_rec)
        others = (showers.conditions[name] for name in self.condition_names)
        standard = (np.column_stack([np.log(energy), *others]) - self.scale[0]) / self.scale[1]
        margin = np.tile(MARGIN * (self.limits[1] - self.limits[0]), (2, 1))
        margin[:, 0] = self._energy_margin
        within = (standard >= self.limits[0] - margin[0]) & (standard <= self.limits[1] + margin[1])
        outside: NDArray[np.bool_] = ~within.all(axis=1)
        return outside

    @cached_property
    def _energy_margin(self) -> NDArray[np.float64]:
        """Return how far beyond either end a standardised log energy is still known, (2,)."""
        margin = np.full(2, ENERGY_MARGIN)
        if self.knows_response:
            ends = basis(self.limits[:, 0].astype(np.float32))
            margin = DEVIATIONS * np.exp(ends @ self.layer_log_scale[:, 0]).astype(np.float64)
        standard: NDArray[np.float64] = margin / self.scale[1, 0]
        return standard

    def knows(self, showers: Showers) -> NDArray[np.bool_]:
        """Return which showers have a response: an incident energy, and a model that uses it."""
        known: NDArray[np.bool_] = ~np.isnan(showers.e_inc) & self.knows_response
        return known

    def _layers(
        self,
        core: NDArray[np.float32],
        e_rec: NDArray[np.float64],
        c: NDArray[np.float32],
        showers: Showers,
        key: NDArray[np.uint64] | None,
    ) -> NDArray[np.float32]:
        known = self.knows(showers)
        e_inc = np.where(known, showers.e_inc, 1.0).astype(np.float64)
        at = np.where(known, self._at(e_inc), 0.0).astype(np.float32)
        raw = np.arcsinh(core / self.layer_unit_mev).astype(np.float32)
        raw[:, 0] = np.log(e_rec / e_inc)
        powers = basis(c[:, 0])
        mean, log_scale = powers @ self.layer_mean, powers @ self.layer_log_scale
        response = basis(at)
        mean[:, 0] = response @ self.layer_mean[:, 0]
        log_scale[:, 0] = response @ self.layer_log_scale[:, 0]
        layers = (raw - mean) * np.exp(-log_scale)
        if not known.all():
            # An unknown response is drawn from its null, so that no sum of latents is special; no
            # p-value of a shower as a whole looks at it.
            u = uniform(keys(showers) if key is None else key, 1)[:, 0]
            layers[:, 0] = np.where(known, layers[:, 0], normal_quantile(u))
        standard: NDArray[np.float32] = layers.astype(np.float32)
        return standard

    def _at(self, e_inc: NDArray[np.float64]) -> NDArray[np.float64]:
        standard = (np.log(e_inc) - self.scale[0, 0]) / self.scale[1, 0]
        clamped: NDArray[np.float64] = np.clip(standard, *self.limits[:, 0])
        return clamped

    def fill(self, showers: Showers, mask: NDArray[np.bool_]) -> Showers:
        """Return showers whose masked cells, shape (N, V), hold their mean at the energy.

        The energy is reconstructed with them: it is the one at which what is filled in gives it
        again, found by bisection, since what is missing may be most of a shower.
        """
        columns = np.flatnonzero(mask.any(axis=0))
        hidden = mask[:, columns]
        cells = np.where(mask, np.float32(0), showers.cells)
        factor = self.calibration[1:] @ self.core  # incident over visible energy of each cell
        rest = cells @ factor + self.calibration[0]
        low, high = (np.full(showers.n, limit) for limit in self.limits[:, 0])
        for _ in range(FILL_STEPS):
            middle = (low + high) / 2
            mean = self._balanced_energy(middle, columns)
            filled = np.where(hidden, mean, 0.0) @ factor[columns]
            energy = np.maximum(rest + filled, self._floor)
            above = (np.log(energy) - self.scale[0, 0]) / self.scale[1, 0] > middle
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        mean = self._balanced_energy((low + high) / 2, columns)
        cells[:, columns] = np.where(hidden, mean, cells[:, columns])
        return Showers(cells, showers.e_inc, showers.conditions)

    def _balanced_energy(
        self, at: NDArray[np.float64], columns: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return the mean energy of some cells such that all cells together give the energy again.

        Where most of a shower is missing, a percent too much in its mean is half as much again in
        the energy that it is found at.
        """
        ratio = np.interp(at, *self._balance)[:, None].astype(np.float32)
        return self._mean_energy(at, columns) * ratio

    @cached_property
    def _balance(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return standardised log energies, and what means of cells are off by there."""
        low, high = (float(limit) for limit in self.limits[:, 0])
        at = np.linspace(low, high, 64)
        wanted = np.exp(at * self.scale[1, 0] + self.scale[0, 0]) - self.calibration[0]
        mean = self._mean_energy(at, np.arange(self.n_cells))
        return at, wanted / (mean @ (self.calibration[1:] @ self.core))

    def _mean_energy(
        self, at: NDArray[np.float64], columns: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return the mean energy, MeV, of some cells at standardised log energies, (N, columns).

        What is compressed has a mean and a deviation there; the mean of its fourth power, which is
        the energy, is larger than the power of the mean wherever a cell holds more than noise.
        """
        powers = basis(at.astype(np.float32))
        mean, scale = powers @ self.cell_mean[:, columns], powers @ self.cell_log_scale[:, columns]
        root, spread = np.abs(mean) / 4 + 1, np.exp(scale) / 4
        plain = root**4 - 1
        wide = plain + 6 * (root * spread) ** 2 + 3 * spread**4
        energy: NDArray[np.float32] = np.where(mean > 4 * spread, wide, np.copysign(plain, mean))
        return energy.astype(np.float32) * np.float32(self.unit_mev[0])

    def inverse(self, cells: Tensor, c: Tensor) -> NDArray[np.float32]:
        """Return the cell energies, MeV, that standardised cells stand for, shape (N, V)."""
        import torch  # noqa: PLC0415  see `__call__`

        powers = torch.from_numpy(basis(c[:, 0].cpu().numpy()))
        mean = powers @ torch.from_numpy(self.cell_mean)
        scale = (powers @ torch.from_numpy(self.cell_log_scale)).exp()
        y = mean + cells.cpu() * scale
        energy: NDArray[np.float32] = (
            expand(y.clamp(-LARGEST, LARGEST)) * float(self.unit_mev[0])
        ).numpy()
        return energy

    def typical(self, cells: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the cells, MeV, of unremarkable showers of the same energies, shape (N, V).

        Further conditions are taken at their means: this is for people to look at.
        """
        means = zip(self.condition_names, self.scale[0, 1:], strict=True)
        conditions = {name: np.full(len(cells), mean, np.float32) for name, mean in means}
        c = self.standardised(self.e_rec(cells), conditions)
        mean = np.clip(basis(c[:, 0]) @ self.cell_mean, -LARGEST, LARGEST)
        fourth = (np.abs(mean) / 4 + 1) ** 4 - 1  # `expand`, without torch
        energy: NDArray[np.float32] = np.copysign(fourth, mean).astype(np.float32)
        return energy * np.float32(self.unit_mev[0])


def compress(x: Tensor) -> Tensor:
    """Return 4 ((1 + |x|)^(1/4) - 1) with the sign of x: linear at zero, then ever slower.

    Of the powers from the logarithm (asinh) to the square root this one served all faults best:
    the logarithm hides what is added to a bright cell, the square root what is missing in one.
    """
    return (x.abs() + 1).sqrt_().sqrt_().sub_(1).mul_(4).copysign_(x)


def expand(y: Tensor) -> Tensor:
    """Return the inverse of `compress`."""
    return (y.abs() / 4 + 1).pow_(4).sub_(1).copysign_(y)


def fit(showers: Showers, geometry: Geometry, condition_names: tuple[str, ...] = ()) -> FeatureMap:
    """Return the preprocessing that a population of good showers calls for.

    Raises
    ------
    FeatureError
        If fewer than 200 showers are given or a condition is missing.
    """
    if showers.n < ENOUGH:
        raise FeatureError(
            f"{showers.n} showers are too few to fit features on; give {ENOUGH} or more"
        )
    missing = [name for name in condition_names if name not in showers.conditions]
    if missing:
        raise FeatureError(f"showers lack the conditions {missing}")
    energy = showers.cells.mean(axis=0, dtype=np.float64)
    unit = 2.0 * max(geometry.noise_mev, geometry.least_count_mev)
    if unit == 0:  # continuous cells: what a thousandth of the mean shower is lies near zero
        unit = 1e-3 * float(energy.sum())
    core = _core(energy, geometry)
    core_energy = (showers.cells @ core.T).astype(np.float64)
    layer_unit = unit * np.sqrt(core.sum(axis=1, dtype=np.float64))
    calibration = _calibration(core_energy, showers.e_inc, geometry)
    e_rec = np.maximum(core_energy @ calibration[1:] + calibration[0], 1e-3 * float(energy.sum()))
    raw = np.column_stack([np.log(e_rec), *(showers.conditions[name] for name in condition_names)])
    scale = np.stack([raw.mean(axis=0), np.maximum(raw.std(axis=0), 1e-6)])
    standard = (raw - scale[0]) / scale[1]
    limits = np.quantile(standard, [0.001, 0.999], axis=0)
    c = np.clip(standard[:, 0], *limits[:, 0])
    import torch  # noqa: PLC0415  see `__call__`

    y = compress(torch.from_numpy(showers.cells / np.float32(unit))).numpy()
    cell_mean, cell_log_scale = polynomials(y, c)
    layers = np.arcsinh(core_energy / layer_unit)
    layer_mean, layer_log_scale = polynomials(layers, c)
    layer_mean[:, 0] = layer_log_scale[:, 0] = 0
    known = ~np.isnan(showers.e_inc)
    if known.sum() >= ENOUGH:
        e_inc = showers.e_inc[known].astype(np.float64)
        at = np.clip((np.log(e_inc) - scale[0, 0]) / scale[1, 0], *limits[:, 0])
        mean, log_scale = polynomials(np.log(e_rec[known] / e_inc)[:, None], at)
        layer_mean[:, :1], layer_log_scale[:, :1] = mean, log_scale
    return FeatureMap(
        unit_mev=np.array([unit]),
        core=core,
        layer_unit_mev=layer_unit,
        calibration=calibration,
        scale=scale,
        limits=limits,
        cell_mean=cell_mean,
        cell_log_scale=cell_log_scale,
        layer_mean=layer_mean,
        layer_log_scale=layer_log_scale,
        condition_names=condition_names,
    )


def from_arrays(arrays: Mapping[str, NDArray[Any]], condition_names: tuple[str, ...]) -> FeatureMap:
    """Return the preprocessing of a file's numbers, or raise `FeatureError`."""
    expected = {f.name for f in fields(FeatureMap)} - {"condition_names"}
    if set(arrays) != expected:
        raise FeatureError(f"{sorted(set(arrays) ^ expected)} are missing or unknown")
    return FeatureMap(condition_names=condition_names, **arrays)


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
    """Return offset and factors that minimise the relative error of the energy."""
    known = ~np.isnan(e_inc)
    n_layers = geometry.n_layers
    if known.sum() < ENOUGH:  # nothing to calibrate on: the sampling fraction of the drawing
        return np.array([0.0] + [1 / geometry.sampling_fraction] * n_layers)
    e = e_inc[known].astype(np.float64)
    design = np.column_stack([np.ones_like(e), core[known]])
    weight = 1 / np.sqrt(e * e.mean())  # the error of a sampling calorimeter grows as √E
    # A weak ridge towards one common factor keeps layers that hold almost nothing in their place.
    common = float(e.sum() / core[known].sum())
    target = (e - common * core[known].sum(axis=1)) * weight
    scaled = design * weight[:, None]
    penalty = 1e-3 * np.diag([0.0] + [float((core[known] ** 2).mean())] * n_layers)
    normal = scaled.T @ scaled / len(e) * e.mean() + penalty
    solution = np.linalg.solve(normal, scaled.T @ target / len(e) * e.mean())
    factors: NDArray[np.float64] = solution + np.array([0.0] + [common] * n_layers)
    return factors
