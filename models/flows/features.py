"""Features: showers to what a flow sees, and back; the same code for training and for scoring."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from models.flows import floors
from models.flows.compression import LARGEST, compress, expand
from models.flows.interface import Features
from models.flows.polynomials import DEGREE, basis, values
from models.showers.hashing import keys, normal_quantile, uniform

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from models.showers.batch import Showers


FILL_STEPS = 26
"""Halvings of the range of energies: the last is some 1e-7 of it."""


OF_SPARSE = frozenset({"floor_mev", "cell_odds"})
"""Arrays that maps without cells that may be unlit lack."""

MIN_BYTES = 4
"""Numbers of fewer bytes are too coarse to reconstruct an energy with."""

MAX_LOG_SCALE = 30.0
"""Of a feature: its exponential times the largest energy is finite."""


MARGIN = 0.1
"""How far beyond its range in training a further condition is still known, of that range."""

ENERGY_MARGIN = 0.05
"""The same of the energy, of itself, where nobody knows how well it is reconstructed."""

DEVIATIONS = 2.0
"""Else in deviations of the response at the end of the range: a shower is reconstructed so far
beside its energy."""


class FeatureError(ValueError):
    """Showers that features cannot be made of; the message says why."""


class Glance(NamedTuple):
    """What the sums over the cores of N showers say, before any cell is looked at."""

    core: NDArray[np.float32]
    """Energy in the core of each layer, MeV, shape (N, L)."""

    e_rec: NDArray[np.float64]
    """Reconstructed energy, MeV, shape (N,)."""

    conditions: NDArray[np.float32]
    """Standardised and clamped, shape (N, C)."""

    layers: NDArray[np.float32]
    """Layer-energy coordinates as in `Features`, shape (N, L)."""

    def rows(self, index: slice | NDArray[np.int64]) -> Glance:
        """Return those of some of the showers."""
        core, e_rec, conditions, layers = self
        return Glance(core[index], e_rec[index], conditions[index], layers[index])


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

    floor_mev: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """Least energy of each of layers 1 to L - 1 and of each cell where it is lit, MeV, shape (H,);
    `ALWAYS_LIT` for what is never empty; shape (0,) if that is so of everything."""

    cell_odds: NDArray[np.float32] = field(
        default_factory=lambda: np.zeros((DEGREE + 1, 0), np.float32)
    )
    """Coefficients of the log odds that a cell is lit, shape (P, V); (P, 0) where all always are."""

    def __post_init__(self) -> None:
        n_layers, n_cells = self.core.shape
        n_context, powers = 1 + len(self.condition_names), DEGREE + 1
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
            "floor_mev": (n_layers - 1 + n_cells if self.floor_mev.size else 0,),
            "cell_odds": (powers, n_cells if self.floor_mev.size else 0),
        }
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array.shape != shape or not np.all(np.isfinite(array)):
                raise FeatureError(f"{name} must be finite and of shape {shape}")
            if array.dtype.kind != "f" or array.dtype.itemsize < MIN_BYTES:
                raise FeatureError(f"{name} must be of float32 or float64")
        if not (np.all(self.unit_mev > 0) and np.all(self.layer_unit_mev > 0)):
            raise FeatureError("units must be > 0 MeV")
        if not (np.all(self.scale[1] > 0) and np.all(self.limits[0] <= self.limits[1])):
            raise FeatureError("conditions must have a deviation > 0 and limits that rise")
        at = basis(np.linspace(self.limits[0, 0], self.limits[1, 0], 9).astype(np.float32))
        for log_scale in (self.cell_log_scale, self.layer_log_scale):
            if np.any(np.abs(at @ log_scale) > MAX_LOG_SCALE):
                raise FeatureError(f"no log deviation may be beyond {MAX_LOG_SCALE:g}")

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

    @cached_property
    def knows_response(self) -> bool:
        """Return whether training knew incident energies: else those of showers are ignored."""
        return bool(self.layer_mean[:, 0].any() or self.layer_log_scale[:, 0].any())

    @cached_property
    def sparse(self) -> tuple[int, ...]:
        """Return which of layers 1 to L - 1, then cells, may be unlit."""
        return tuple(np.flatnonzero(self.floor_mev > floors.ALWAYS_LIT).tolist())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the numbers by name, for a file; `from_arrays` is the inverse."""
        empty = OF_SPARSE if not self.sparse else frozenset()
        names = [f.name for f in fields(self) if f.name not in {"condition_names", *empty}]
        return {name: getattr(self, name) for name in names}

    def e_rec(self, cells: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the reconstructed energy of each shower, MeV, > 0, shape (N,)."""
        return self._e_rec(self.core_energy(cells))

    def _e_rec(self, core: NDArray[np.float32]) -> NDArray[np.float64]:
        # By plain sums: a product rounds otherwise for one shower alone.
        energy = np.full(len(core), self.calibration[0])
        for layer, factor in enumerate(self.calibration[1:]):
            energy += core[:, layer] * factor
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

        The cells lie in memory with the showers last.

        Parameters
        ----------
        dither
            Added to the cells, MeV, shape (N, V): undoes the digitisation in training.
        key
            What a shower's own numbers are drawn from; `keys` of the showers if not given.
        """
        cells: NDArray[np.float32] = showers.cells
        lit = None
        if self.sparse:
            key = keys(showers) if key is None else key
            lit = floors.lit(self, cells)
            dither = None if dither is None else dither * lit
        cells = cells if dither is None else cells + dither
        glance = self.glance(self.core_energy(cells), showers, key)
        return self.of_cells(cells, glance, key, lit), glance.e_rec

    def core_energy(self, cells: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the energy in each layer's core, MeV, shape (N, L)."""
        energy: NDArray[np.float32] = cells @ self.core.T
        return energy

    def glance(
        self, core: NDArray[np.float32], showers: Showers, key: NDArray[np.uint64] | None
    ) -> Glance:
        """Return what the energies in the cores, (N, L), say of showers: the same in any batch."""
        e_rec = self._e_rec(core)
        c = self.standardised(e_rec, showers.conditions)
        return Glance(core, e_rec, c, self._layers(core, e_rec, c, showers, key))

    def of_cells(
        self,
        cells: NDArray[np.float32],
        glance: Glance,
        key: NDArray[np.uint64] | None = None,
        lit: NDArray[np.bool_] | None = None,
    ) -> Features:
        """Return the features of showers of which a glance is taken already.

        Parameters
        ----------
        cells
            MeV, shape (N, V).
        key, lit
            Of the showers, where cells may be unlit.
        """
        import torch  # noqa: PLC0415  see `__call__`

        # With the showers last, what comes after is a plain sweep of memory.
        scale = np.float32(1 / self.unit_mev[0])
        y = compress(torch.from_numpy(np.multiply(cells.T, scale, order="C")))
        c = torch.from_numpy(glance.conditions)
        powers = torch.from_numpy(basis(glance.conditions[:, 0])).t()
        mean, slope = self._standards(powers)
        y.sub_(mean).mul_(slope)
        found = Features(y.t(), torch.from_numpy(glance.layers), c)
        if not self.sparse or key is None:
            return found
        lit = floors.lit(self, cells) if lit is None else lit
        lit = np.column_stack([glance.core[:, 1:] != 0, lit])
        floor = floors.standard(self, mean.t(), slope.t(), powers.t())
        return floors.hurdled(self, found, floor, lit, key)

    def _standards(self, powers: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and inverse deviation of each cell at powers (P, N) of the condition, (V, N)."""
        import torch  # noqa: PLC0415  see `__call__`

        mean = torch.from_numpy(self.cell_mean).t() @ powers
        return mean, (torch.from_numpy(self.cell_log_scale).t() @ powers).neg_().exp_()

    def floor(self, c: Tensor) -> Tensor | None:
        """Return the standardised floors at some conditions, shape (N, H); None if all are lit."""
        import torch  # noqa: PLC0415  see `__call__`

        if not self.sparse:
            return None
        powers = torch.from_numpy(basis(c[:, 0].cpu().numpy()))
        mean, slope = self._standards(powers.t())
        return floors.standard(self, mean.t(), slope.t(), powers)

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

    def outside(
        self,
        e_inc: NDArray[np.float32],
        conditions: Mapping[str, NDArray[np.float32]],
        e_rec: NDArray[np.float64],
    ) -> NDArray[np.bool_]:
        """Return which showers have a condition that training held nothing near to, shape (N,).

        The energy is the incident one where that is known: a shower of a known energy that is
        reconstructed far from it is strange.

        Parameters
        ----------
        e_inc
            Incident energies, MeV, shape (N,); NaN where unknown.
        conditions
            Further conditions of the showers, by name.
        e_rec
            Reconstructed energies, MeV, shape (N,).
        """
        energy = np.where(self.knows(e_inc), e_inc, e_rec)
        others = (conditions[name] for name in self.condition_names)
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

    def knows(self, e_inc: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which showers have a response: an incident energy, and a model that uses it."""
        known: NDArray[np.bool_] = ~np.isnan(e_inc) & self.knows_response
        return known

    def _layers(
        self,
        core: NDArray[np.float32],
        e_rec: NDArray[np.float64],
        c: NDArray[np.float32],
        showers: Showers,
        key: NDArray[np.uint64] | None,
    ) -> NDArray[np.float32]:
        known = self.knows(showers.e_inc)
        e_inc = np.where(known, showers.e_inc, 1.0).astype(np.float64)
        at = np.where(known, self._at(e_inc), 0.0).astype(np.float32)
        raw = np.arcsinh(core / self.layer_unit_mev).astype(np.float32)
        raw[:, 0] = np.log(e_rec / e_inc)
        powers = basis(c[:, 0])
        mean, log_scale = values(powers, self.layer_mean), values(powers, self.layer_log_scale)
        response = basis(at)
        mean[:, :1] = values(response, self.layer_mean[:, :1])
        log_scale[:, :1] = values(response, self.layer_log_scale[:, :1])
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
        return replace(showers, cells=cells)

    def _dark(
        self, powers: NDArray[np.float32], columns: NDArray[np.int64] | slice = slice(None)
    ) -> NDArray[np.bool_] | bool:
        """Return which cells are rather unlit than lit at some conditions."""
        if not self.sparse:
            return False
        dark: NDArray[np.bool_] = powers @ self.cell_odds[:, columns] < 0
        return dark

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
        energy = np.where(self._dark(powers, columns), np.float32(0), energy)
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
        powers = basis(c[:, 0])
        mean = np.clip(powers @ self.cell_mean, -LARGEST, LARGEST)
        mean = np.where(self._dark(powers), np.float32(0), mean)
        fourth = (np.abs(mean) / 4 + 1) ** 4 - 1  # `expand`, without torch
        energy: NDArray[np.float32] = np.copysign(fourth, mean).astype(np.float32)
        return energy * np.float32(self.unit_mev[0])


def from_arrays(arrays: Mapping[str, NDArray[Any]], condition_names: tuple[str, ...]) -> FeatureMap:
    """Return the preprocessing of a file's numbers, or raise `FeatureError`."""
    expected = {f.name for f in fields(FeatureMap)} - {"condition_names"}
    if set(arrays) not in (expected, expected - OF_SPARSE):
        raise FeatureError(f"{sorted(set(arrays) ^ expected)} are missing or unknown")
    return FeatureMap(condition_names=condition_names, **arrays)
