"""Resampling: windows made of showers that are scored already, drawn at random with replacement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.scales import LEVELS, LIT_SIGMA, P_EDGES, Z_CLIP, Z_UNIT
from monitor.expectation import Expectation
from monitor.windows import Window, WindowKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.geometry import Geometry
    from models.scored import Scored
    from models.showers import Showers

LUMISECTION_S = 23
N_BINS = len(P_EDGES) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """N scored showers, as windows count them."""

    cell: NDArray[np.int64]
    """Condition cell, shape (N,)."""

    n_conditions: int
    p_bin: NDArray[np.int64]
    """Bin of each score's p and, last, of the combined one, shape (N, S + 1)."""

    p: NDArray[np.float64]
    """Combined p, shape (N,); NaN where there is none."""

    z: NDArray[np.float32]
    """Latents in units of `Z_UNIT`, whole, shape (N, D)."""

    z_square: NDArray[np.float32]
    """Shape (N, D)."""

    lit: NDArray[np.uint8]
    """Shape (N, V)."""

    energy: NDArray[np.float64]
    """Of each layer, keV, shape (N, L)."""

    @property
    def n(self) -> int:
        """Return N."""
        return len(self.p)


def pool(showers: Showers, scored: Scored, geometry: Geometry, n_conditions: int) -> Pool:
    """Return the pool of showers and what a model says of them."""
    z = np.clip(np.nan_to_num(scored.latents), -Z_CLIP, Z_CLIP).astype(np.float64)
    p = np.column_stack([scored.p, scored.p_combined])
    p_bin = np.clip(np.searchsorted(P_EDGES, p, side="left") - 1, 0, N_BINS - 1)
    threshold = LIT_SIGMA * max(geometry.noise_mev, geometry.least_count_mev)
    energy = np.stack([showers.cells[:, s].sum(1, dtype=np.float64) for s in geometry.slices], 1)
    return Pool(
        cell=scored.condition_cell,
        n_conditions=n_conditions,
        p_bin=p_bin.astype(np.int64),
        p=np.where(scored.valid, scored.p_combined, np.nan),
        z=np.rint(z / Z_UNIT).astype(np.float32),
        z_square=np.rint(z * z / Z_UNIT).astype(np.float32),
        lit=(showers.cells > threshold).astype(np.uint8),
        energy=np.rint(energy * 1000),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """What some showers of a pool add up to: one region of a window."""

    showers: NDArray[np.int64]
    exceedances: NDArray[np.int64]
    p_counts: NDArray[np.int64]
    z_sum: NDArray[np.int64]
    z_square: NDArray[np.int64]
    lit: NDArray[np.int64]
    layer_energy: NDArray[np.int64]
    unscored: int


def row(source: Pool, chosen: NDArray[np.int64]) -> Row:
    """Return the sums over chosen showers of a pool."""
    valid = ~np.isnan(source.p[chosen])
    i = chosen[valid]
    cell, p, k = source.cell[i], source.p[i], source.n_conditions
    exceedances = [np.bincount(cell[p <= level], minlength=k) for level in LEVELS]
    n_columns = source.p_bin.shape[1]
    flat = source.p_bin[i] + N_BINS * np.arange(n_columns)
    p_counts = np.bincount(flat.ravel(), minlength=N_BINS * n_columns)
    return Row(
        showers=np.bincount(cell, minlength=k),
        exceedances=np.stack(exceedances, axis=1),
        p_counts=p_counts.reshape(n_columns, N_BINS),
        z_sum=source.z[i].sum(0, dtype=np.float64).astype(np.int64),
        z_square=source.z_square[i].sum(0, dtype=np.float64).astype(np.int64),
        lit=source.lit[i].sum(0, dtype=np.int64),
        layer_energy=source.energy[i].sum(0).astype(np.int64),
        unscored=int((~valid).sum()),
    )


def window(
    rng: np.random.Generator,
    second: int,
    sources: Sequence[tuple[Pool, float]],
    mixed: Sequence[tuple[Pool, float] | None] | None = None,
    run: int = 1,
) -> Window:
    """Return a data-second of a detector.

    Parameters
    ----------
    sources
        For every region the pool that its showers come from, and their mean number.
    mixed
        For every region a second pool and a mean number, or None.
    """
    rows = []
    for region, (source, mean) in enumerate(sources):
        mine = row(source, rng.integers(0, source.n, rng.poisson(mean)))
        extra = mixed[region] if mixed is not None else None
        if extra is not None:
            mine = _add(mine, row(extra[0], rng.integers(0, extra[0].n, rng.poisson(extra[1]))))
        rows.append(mine)
    none = np.zeros(0, np.int64)
    return Window(
        key=WindowKey(run, second // LUMISECTION_S, second),
        regions=np.arange(len(rows)),
        showers=np.stack([r.showers for r in rows]),
        exceedances=np.stack([r.exceedances for r in rows]),
        p_counts=np.stack([r.p_counts for r in rows]),
        z_sum=np.stack([r.z_sum for r in rows]),
        z_square=np.stack([r.z_square for r in rows]),
        lit=np.stack([r.lit for r in rows]),
        layer_energy=np.stack([r.layer_energy for r in rows]),
        unscored=np.array([r.unscored for r in rows], np.int64),
        score_bins=none,
        score_counts=none,
    )


def _add(a: Row, b: Row) -> Row:
    return Row(
        a.showers + b.showers,
        a.exceedances + b.exceedances,
        a.p_counts + b.p_counts,
        a.z_sum + b.z_sum,
        a.z_square + b.z_square,
        a.lit + b.lit,
        a.layer_energy + b.layer_energy,
        a.unscored + b.unscored,
    )


def reference_of(source: Pool, n: int, rng: np.random.Generator) -> Expectation:
    """Return what a reference of n showers of the same population expects.

    Half of them count exceedances, as in a certified reference; all of them give the moments.
    """
    counting = rng.integers(0, source.n, n // 2)
    half = row(source, counting)
    chosen = np.concatenate([counting, rng.integers(0, source.n, n - n // 2)])
    k = source.n_conditions
    cell = source.cell[chosen]
    weight = np.stack([np.bincount(chosen[cell == c], minlength=source.n) for c in range(k)])
    weight = weight.astype(np.float32)
    each = np.maximum(weight.sum(1, keepdims=True).astype(np.float64), 1)
    square = source.z_square * np.float32(Z_UNIT)
    mean_square = (weight @ square) / each
    fourth = (weight @ np.square(square)) / each
    return Expectation(
        showers=np.maximum(half.showers, 1).astype(np.float64),
        exceedances=half.exceedances.astype(np.float64),
        p_counts=half.p_counts.astype(np.float64),
        latent_mean=(weight @ source.z) * Z_UNIT / each,
        latent_square=np.maximum(mean_square, 1e-6),
        square_var=np.maximum(fourth - mean_square**2, 1e-6),
        latent_showers=each[:, 0],
        lit_rate=(weight @ source.lit.astype(np.float32)) / each,
        layer_energy=(weight @ source.energy) / 1000 / each,
        origin="certified",
        id=f"drawn-{n}",
    )
