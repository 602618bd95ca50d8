"""Features: showers to what a flow sees, and back; the same code for training and for scoring."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from models.flows import floors
from models.flows.compression import compress
from models.flows.feature_checks import FeatureError, check
from models.flows.glance import Glance
from models.flows.interface import Features
from models.flows.polynomials import DEGREE, basis, values
from models.showers.hashing import keys, normal_quantile, uniform

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from models.showers.batch import Showers


OF_SPARSE = frozenset({"floor_mev", "cell_odds"})
"""Arrays that maps without cells that may be unlit lack."""


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
        names = [f.name for f in fields(self) if f.name != "condition_names"]
        check({name: getattr(self, name) for name in names}, self.n_context)

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
    def response_spread(self) -> NDArray[np.float64]:
        """Return the deviation of the log response at either end of the energies, shape (2,)."""
        ends = basis(self.limits[:, 0].astype(np.float32))
        spread: NDArray[np.float64] = np.exp(ends @ self.layer_log_scale[:, 0]).astype(np.float64)
        return spread

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
        clipped: NDArray[np.float64] = np.maximum(energy, self.least_mev)
        return clipped

    @property
    def least_mev(self) -> float:
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
        # By plain sums: a product rounds otherwise with other showers beside.
        layer, cell = self._in_core
        energy: NDArray[np.float32] = np.add.reduceat(cells[:, cell], layer, axis=1)
        return energy

    @cached_property
    def _in_core(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where the cells of each layer begin, and the cells of all cores, layer by layer."""
        layer, cell = np.nonzero(self.core)
        return np.searchsorted(layer, np.arange(self.n_layers)), cell

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
        at = np.where(known, self.at_energy(e_inc), 0.0).astype(np.float32)
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

    def at_energy(self, e_inc: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return standardised log incident energies, clamped to the range of training, shape (N,)."""
        standard: NDArray[np.float64] = (np.log(e_inc) - self.scale[0, 0]) / self.scale[1, 0]
        return np.clip(standard, *self.limits[:, 0])


def from_arrays(arrays: Mapping[str, NDArray[Any]], condition_names: tuple[str, ...]) -> FeatureMap:
    """Return the preprocessing of a file's numbers, or raise `FeatureError`."""
    expected = {f.name for f in fields(FeatureMap)} - {"condition_names"}
    if set(arrays) not in (expected, expected - OF_SPARSE):
        raise FeatureError(f"{sorted(set(arrays) ^ expected)} are missing or unknown")
    return FeatureMap(condition_names=condition_names, **arrays)
