"""Batch: a validated batch of calorimeter objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

E_MAX = 1e9
"""No cell and no particle has more than this, MeV: beyond it bytes are garbage, not physics."""


class ShowersError(ValueError):
    """Arrays that cannot be showers; the message says which bound is broken."""


@dataclass(frozen=True, slots=True, eq=False)
class Showers:
    """A batch of N showers in a calorimeter of V cells.

    Examples
    --------
    >>> Showers(np.zeros((2, 504), np.float32), np.array([1e3, np.nan], np.float32)).n
    2
    """

    cells: NDArray[np.float32]
    """Energy of each cell, MeV, shape (N, V), finite, |E| <= E_MAX; negative where noise is."""

    e_inc: NDArray[np.float32]
    """Incident or reference energy, MeV, shape (N,), in (0, E_MAX]; NaN where unknown."""

    conditions: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """Further conditions by name, each of shape (N,), finite."""

    seeds: NDArray[np.uint32] | None = None
    """Channel of the detector that the cells of each shower are centred on, shape (N,); None in a
    test beam, where all are in one place."""

    def __post_init__(self) -> None:
        if self.cells.ndim != 2 or self.e_inc.shape != self.cells.shape[:1]:
            raise ShowersError(f"cells {self.cells.shape} and e_inc {self.e_inc.shape} disagree")
        if not (self.cells.dtype == np.float32 and self.e_inc.dtype == np.float32):
            raise ShowersError(f"cells {self.cells.dtype}, e_inc {self.e_inc.dtype}: not float32")
        # min and max propagate NaN, so each bound is written as what is allowed.
        if self.cells.size and not (self.cells.min() >= -E_MAX and self.cells.max() <= E_MAX):
            raise ShowersError(f"cell energies must be finite and within {E_MAX:g} MeV")
        known = ~np.isnan(self.e_inc)
        if not np.all((self.e_inc[known] > 0) & (self.e_inc[known] <= E_MAX)):
            raise ShowersError(f"e_inc must lie in (0, {E_MAX:g}] MeV or be NaN")
        for name, values in self.conditions.items():
            if values.shape != self.e_inc.shape or not np.all(np.isfinite(values)):
                raise ShowersError(f"condition {name!r} must be {len(self.e_inc)} finite values")
        seeds = self.seeds
        if seeds is not None and (seeds.shape != self.e_inc.shape or seeds.dtype != np.uint32):
            raise ShowersError(f"seeds must be {len(self.e_inc)} uint32, not {seeds.shape}")

    @property
    def n(self) -> int:
        """Return the number of showers N."""
        return len(self.e_inc)

    def __getitem__(self, index: slice | NDArray[np.int64] | NDArray[np.bool_]) -> Showers:
        """Return a selection of the showers, as a batch."""
        conditions = {name: values[index] for name, values in self.conditions.items()}
        seeds = None if self.seeds is None else self.seeds[index]
        return _valid(self.cells[index], self.e_inc[index], conditions, seeds)

    def only(self, names: Iterable[str]) -> Showers:
        """Return the showers with these conditions and no others."""
        conditions = {name: self.conditions[name] for name in names}
        return _valid(self.cells, self.e_inc, conditions, self.seeds)


def _valid(
    cells: NDArray[np.float32],
    e_inc: NDArray[np.float32],
    conditions: Mapping[str, NDArray[np.float32]],
    seeds: NDArray[np.uint32] | None,
) -> Showers:
    """Return showers of parts of valid ones: to look at every cell again costs as much as to copy."""
    showers = object.__new__(Showers)
    for name, value in zip(Showers.__slots__, (cells, e_inc, conditions, seeds), strict=True):
        object.__setattr__(showers, name, value)
    return showers


def concatenate(batches: list[Showers]) -> Showers:
    """Return one batch with the showers of several, which must share their cells.

    Its conditions, and seeds, are those that all of them have: who needs another one misses it.
    """
    names = [n for n in batches[0].conditions if all(n in batch.conditions for batch in batches)]
    seeds = [batch.seeds for batch in batches if batch.seeds is not None]
    return _valid(
        np.concatenate([batch.cells for batch in batches]),
        np.concatenate([batch.e_inc for batch in batches]),
        {name: np.concatenate([batch.conditions[name] for batch in batches]) for name in names},
        np.concatenate(seeds) if len(seeds) == len(batches) else None,
    )
