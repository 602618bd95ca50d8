"""Reference: the population that "good" is measured against, as tables; `population` makes them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from models.scoring.levelling import NOT_LEVELLED, Levelling
from models.scoring.levelling import from_arrays as levelling_of
from models.scoring.p_values import BINS, harmonic_mean, place, tail_p
from models.scoring.scales import LEVELS, P_EDGES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


Origin = Literal["certified", "generated", "live"]


_NO_TABLES = frozenset({"showers", "origin", "levelling"})
"""Fields of a `ReferenceTable` that are no arrays."""


class ReferenceTableError(ValueError):
    """Arrays that cannot be a reference; the message says why."""


@dataclass(frozen=True, eq=False)
class ReferenceTable:
    """A reference population of showers in K condition cells of reconstructed energy.

    Letters as in the windows: S scores, H histogram bins, A levels, V cells, L layers, D latents,
    B bins of p. All showers set the cuts (p-values). A population that counts how many of itself
    are beyond a cut that it has set finds what it was told to find; so exceedances are counted
    on each fifth of the showers with the cuts of the other four.
    """

    edges: NDArray[np.float64]
    """Edges of the condition cells in reconstructed energy, MeV, shape (K + 1,); from 0 to inf."""

    median: NDArray[np.float64]
    """Median of each score, then of the combined one, then of the one that is combined without the
    response, shape (K, T), T = S + 2; S + 1 where a reference has no such combination."""

    mad: NDArray[np.float64]
    """Median absolute deviation of each of them, > 0, shape (K, T)."""

    counts: NDArray[np.int64]
    """Histograms in asinh((score - median) / MAD), shape (K, T, H)."""

    log_tail: NDArray[np.float64]
    """log P(score beyond the lower edge of a bin), from half 0, shape (K, T, H + 1)."""

    pooling_p: NDArray[np.float64]
    """P-value of the test that a cell's tail is that of all cells together (Kolmogorov-Smirnov,
    beyond the `POOL_FROM` quantile), shape (K, T); below `POOL_TEST` the cell keeps its own."""

    n_cut: NDArray[np.int64]
    """Effective showers that set the cuts, shape (K,)."""

    cut_counts: NDArray[np.int64]
    """Of them, with combined p <= α by their own cuts, for the α of `LEVELS`, shape (K, A)."""

    n_ref: NDArray[np.int64]
    """Effective showers that were counted: as many independent ones would fluctuate alike; (K,)."""

    count_counts: NDArray[np.int64]
    """Of them, with combined p <= α by cuts that they had no part in, shape (K, A)."""

    p_counts: NDArray[np.int64]
    """Histogram of each p-value by the cuts of others, the combined one last, shape (S + 1, B)."""

    latent_moments: NDArray[np.float64]
    """Mean of z, z², z³, z⁴ of the latents as windows quantise them, shape (4, K, D)."""

    lit_rate: NDArray[np.float64]
    """Share of showers in which a cell is lit, shape (K, V)."""

    layer_mean: NDArray[np.float64]
    """Mean visible energy of each layer, MeV, shape (K, L)."""

    layer_var: NDArray[np.float64]
    """Variance of it, MeV², shape (K, L)."""

    showers: int
    """Distinct showers of the population, before symmetries and fresh noise."""

    origin: Origin

    levelling: Levelling = NOT_LEVELLED
    """What makes the p-values those of a shower's own conditions, within a condition cell too."""

    def __post_init__(self) -> None:
        k, s, d = self.n_cells, self.n_scores, self.latent_moments.shape[-1]
        v, n_levels, n_bins = self.lit_rate.shape[-1], len(LEVELS), len(P_EDGES) - 1
        columns = s + 2 if self.combines_without_response else s + 1
        shapes = {
            "edges": (k + 1,),
            "median": (k, columns),
            "mad": (k, columns),
            "counts": (k, columns, BINS),
            "log_tail": (k, columns, BINS + 1),
            "pooling_p": (k, columns),
            "n_cut": (k,),
            "cut_counts": (k, n_levels),
            "n_ref": (k,),
            "count_counts": (k, n_levels),
            "p_counts": (s + 1, n_bins),
            "latent_moments": (4, k, d),
            "lit_rate": (k, v),
            "layer_mean": (k, d - v),
            "layer_var": (k, d - v),
        }
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array.shape != shape:
                raise ReferenceTableError(f"{name} has shape {array.shape}, not {shape}")
            if name != "edges" and not np.all(np.isfinite(array)):
                raise ReferenceTableError(f"{name} holds values that are not finite")
        if self.levelling.n_columns not in {0, columns}:
            raise ReferenceTableError(f"levels {self.levelling.n_columns} columns, not {columns}")
        self._check_values()

    def _check_values(self) -> None:
        if not (self.n_cells >= 1 and np.all(np.diff(self.edges) > 0)):
            raise ReferenceTableError("edges must rise")
        if not np.all(self.mad > 0):
            raise ReferenceTableError("MAD must be > 0")
        if not (np.all(self.log_tail <= 0) and np.all(np.diff(self.log_tail) <= 0)):
            raise ReferenceTableError("log_tail must fall from 0")
        self._check_counts()
        if self.origin not in {"certified", "generated", "live"}:
            raise ReferenceTableError(f"unknown origin {self.origin!r}")

    def _check_counts(self) -> None:
        """Raise `ReferenceTableError` unless the numbers can be those of a population."""
        counted = (self.counts, self.n_cut, self.cut_counts, self.n_ref, self.count_counts)
        if any(array.dtype.kind not in "iu" for array in (*counted, self.p_counts)):
            raise ReferenceTableError("counts must be whole numbers")
        for showers, beyond in ((self.n_cut, self.cut_counts), (self.n_ref, self.count_counts)):
            rising = np.column_stack([showers, beyond, np.zeros_like(showers)])
            if not (np.all(showers >= 1) and np.all(np.diff(rising) <= 0)):
                raise ReferenceTableError("exceedances must be >= 0, fewer the smaller the level")
        if not (np.all(self.p_counts >= 0) and np.all(self.p_counts.sum(axis=1) >= 1)):
            raise ReferenceTableError("p-values must be counted, and counts >= 0")
        if not (np.all(self.counts >= 0) and np.all(self.counts.sum(axis=2) >= 1)):
            raise ReferenceTableError("scores must be counted, and counts >= 0")
        if not (
            np.all((self.lit_rate >= 0) & (self.lit_rate <= 1)) and np.all(self.layer_var >= 0)
        ):
            raise ReferenceTableError("lit_rate must lie in [0, 1] and layer_var be >= 0")
        z, square, _, fourth = self.latent_moments
        rounding = 1e-2 * (1 + square)  # windows quantise them
        if np.any(square < z**2 - rounding) or np.any(fourth < square**2 - rounding * (1 + square)):
            raise ReferenceTableError("latent_moments are those of no population")

    @property
    def n_cells(self) -> int:
        """Return K."""
        return len(self.edges) - 1

    @property
    def n_scores(self) -> int:
        """Return S, the combined ones not counted."""
        return len(self.p_counts) - 1

    @property
    def combines_without_response(self) -> bool:
        """Return whether there is a combination for showers of unknown incident energy."""
        return int(self.median.shape[-1]) == self.n_scores + 2

    @property
    def id(self) -> str:
        """Return a short name that changes with every number in it."""
        digest = hashlib.sha256()
        for name, array in sorted(self.arrays().items()):
            digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:12]

    @property
    def latent_mean(self) -> NDArray[np.float64]:
        """Return the mean of each latent, shape (K, D)."""
        mean: NDArray[np.float64] = self.latent_moments[0]
        return mean

    @property
    def latent_var(self) -> NDArray[np.float64]:
        """Return the variance of each latent, shape (K, D)."""
        variance: NDArray[np.float64] = self.latent_moments[1] - self.latent_moments[0] ** 2
        return variance

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the tables by name, for a file."""
        tables = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NO_TABLES}
        return tables | {f"levelling.{n}": a for n, a in self.levelling.arrays().items()}

    def condition_cell(self, e_rec: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
        """Return the condition cell of each reconstructed energy in MeV, shape (N,)."""
        return np.searchsorted(self.edges[1:-1], e_rec, side="right").astype(np.int64)

    def position(
        self, scores: NDArray[np.floating[Any]], cell: NDArray[np.int64], first: int = 0
    ) -> NDArray[np.float64]:
        """Return where scores fall on the histogram axis, in bins from 0 to H, shape (N, s).

        Parameters
        ----------
        scores
            Columns `first`, `first` + 1, ... of the family, shape (N, s).
        cell
            Condition cell of each shower, shape (N,).
        """
        columns = slice(first, first + scores.shape[1])
        return place(scores, self.median[:, columns][cell], self.mad[:, columns][cell])

    def p_values(
        self,
        position: NDArray[np.float64],
        cell: NDArray[np.int64],
        conditions: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float64]:
        """Return P(score at least this strange | good, conditions), in (0, 1], shape (N, S).

        Parameters
        ----------
        position
            Of each score, shape (N, S).
        conditions
            Standardised, shape (N, C); without them, given the condition cell alone.
        """
        columns = np.arange(position.shape[1])
        p = tail_p(self.log_tail, position, cell, columns)
        return p if conditions is None else self.levelling(p, conditions, columns)

    def combined(
        self,
        p: NDArray[np.float64],
        cell: NDArray[np.int64],
        weights: NDArray[np.float64],
        response: NDArray[np.bool_] | None = None,
        conditions: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float64]:
        """Return the p-value of each shower as a whole, in (0, 1], shape (N,).

        Parameters
        ----------
        p
            Of each score, shape (N, S).
        weights
            Of the scores with the response and of those without, shape (2, S).
        response
            Showers whose response is known, shape (N,); all of them if not given.
        conditions
            As of `p_values`.
        """
        n = len(p)
        blind = np.zeros(n, np.int64)
        if response is not None and self.combines_without_response:
            blind = (~response).astype(np.int64)
        statistic = -np.log(harmonic_mean(p, weights[blind]))[:, None]
        column = (self.n_scores + blind)[:, None]
        position = place(
            statistic, self.median[cell[:, None], column], self.mad[cell[:, None], column]
        )
        whole = tail_p(self.log_tail, position, cell, column)
        return (whole if conditions is None else self.levelling(whole, conditions, column))[:, 0]


def from_arrays(arrays: Mapping[str, NDArray[Any]], *, showers: int, origin: str) -> ReferenceTable:
    """Return the reference of a file's tables, or raise `ReferenceTableError`."""
    level = {n.removeprefix("levelling."): a for n, a in arrays.items() if "." in n}
    tables = {name: array for name, array in arrays.items() if "." not in name}
    expected = {f.name for f in fields(ReferenceTable)} - _NO_TABLES
    if set(tables) != expected:
        raise ReferenceTableError(f"tables {sorted(set(tables) ^ expected)} are missing or unknown")
    if origin not in {"certified", "generated", "live"}:
        raise ReferenceTableError(f"unknown origin {origin!r}")
    levelling = levelling_of(level)
    return ReferenceTable(showers=showers, origin=origin, levelling=levelling, **tables)  # type: ignore[arg-type]
