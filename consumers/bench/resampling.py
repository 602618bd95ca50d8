"""Resampling: windows made of showers that are scored already, drawn at random with replacement."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_matrix

from models.scoring.scales import LEVELS, P_EDGES, Z_CLIP, Z_UNIT, lit_threshold
from monitor.reference.accepted import Accepted
from monitor.reference.expectation import Expectation
from monitor.windows.window import Window, WindowKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from models.scoring.scored import Scored
    from models.showers.batch import Showers

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

    lit: NDArray[np.float32]
    """Shape (N, V)."""

    energy: NDArray[np.float64]
    """Of each layer, keV, shape (N, L)."""

    unknown: NDArray[np.bool_]
    """Whether the model knows nothing of it, shape (N,)."""

    @property
    def n(self) -> int:
        """Return N."""
        return len(self.p)


_COLUMNS = tuple(f.name for f in fields(Pool) if f.name != "n_conditions")


def pool(showers: Showers, scored: Scored, geometry: Geometry, n_conditions: int) -> Pool:
    """Return the pool of showers and what a model says of them."""
    z = np.clip(np.nan_to_num(scored.latents), -Z_CLIP, Z_CLIP).astype(np.float64)
    p = np.column_stack([scored.p, scored.p_combined])
    p_bin = np.clip(np.searchsorted(P_EDGES, p, side="left") - 1, 0, N_BINS - 1)
    energy = np.stack([showers.cells[:, s].sum(1, dtype=np.float64) for s in geometry.slices], 1)
    return Pool(
        cell=scored.condition_cell,
        n_conditions=n_conditions,
        p_bin=p_bin.astype(np.int64),
        p=np.where(scored.valid, scored.p_combined, np.nan),
        z=np.rint(z / Z_UNIT).astype(np.float32),
        z_square=np.rint(z * z / Z_UNIT).astype(np.float32),
        lit=(showers.cells > lit_threshold(geometry)).astype(np.float32),
        energy=np.rint(energy * 1000),
        unknown=scored.unknown,
    )


def chosen(source: Pool, rows: NDArray[np.int64]) -> Pool:
    """Return the pool of some of the showers."""
    return replace(source, **{name: getattr(source, name)[rows] for name in _COLUMNS})


def joined(pools: Sequence[Pool]) -> Pool:
    """Return one pool of several, of the same model."""
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(one, name) for one in pools]) for name in _COLUMNS
    }
    return replace(pools[0], **columns)


def sums(
    source: Pool, chosen: NDArray[np.int64], region: NDArray[np.int64], n_regions: int
) -> dict[str, NDArray[np.int64]]:
    """Return the counts of a window, with a row for every region.

    Parameters
    ----------
    chosen
        Rows of the pool, shape (n,).
    region
        Row of the window that each belongs to, ascending, shape (n,).
    """
    valid, unknown = ~np.isnan(source.p[chosen]), source.unknown[chosen]
    i, r = chosen[valid], region[valid]
    cell, p, k = source.cell[i], source.p[i], source.n_conditions
    place = r * k + cell
    exceedances = [
        np.bincount(place[p <= level], minlength=n_regions * k).reshape(n_regions, k)
        for level in LEVELS
    ]
    # Whole numbers in single precision: a few hundred showers a region add up exactly.
    ends = np.searchsorted(r, np.arange(n_regions + 1))
    drawn = csr_matrix((np.ones(len(i), np.float32), i, ends), shape=(n_regions, source.n))
    n_columns = source.p_bin.shape[1]
    flat = source.p_bin[i] + N_BINS * np.arange(n_columns) + N_BINS * n_columns * r[:, None]
    p_counts = np.bincount(flat.ravel(), minlength=N_BINS * n_columns * n_regions)
    return {
        "showers": np.bincount(place, minlength=n_regions * k).reshape(n_regions, k),
        "exceedances": np.stack(exceedances, axis=2),
        "p_counts": p_counts.reshape(n_regions, n_columns, N_BINS),
        "z_sum": _whole(drawn @ source.z),
        "z_square": _whole(drawn @ source.z_square),
        "lit": _whole(drawn @ source.lit),
        "layer_energy": _whole(drawn @ source.energy),
        "unscored": np.bincount(region[~valid & ~unknown], minlength=n_regions),
        "unknown": np.bincount(region[unknown], minlength=n_regions),
    }


def window(
    rng: np.random.Generator,
    second: int,
    parts: Sequence[tuple[Pool, NDArray[np.float64]]],
    run: int = 1,
) -> Window:
    """Return a data-second of a detector.

    Parameters
    ----------
    parts
        Pools, and the mean number of showers that each region gets from them, shape (R,).
    """
    total: dict[str, Any] = {}
    n_regions = len(parts[0][1])
    for source, mean in parts:
        region = np.repeat(np.arange(n_regions), rng.poisson(mean))
        mine = sums(source, rng.integers(0, source.n, len(region)), region, n_regions)
        total = {name: mine[name] + total.get(name, 0) for name in mine}
    none = np.zeros(0, np.int64)
    return Window(
        key=WindowKey(run, second // LUMISECTION_S, second),
        regions=np.arange(n_regions),
        score_bins=none,
        score_counts=none,
        **total,
    )


def accepted(parts: Sequence[tuple[Pool, int]], rng: np.random.Generator) -> Accepted:
    """Return the sums over so many showers of each pool, drawn with replacement."""
    total: Accepted | None = None
    for source, n in parts:
        times = rng.multinomial(n, np.full(source.n, 1 / source.n)).astype(np.float64)
        counts = [
            np.bincount(source.cell, times * (source.p <= level), minlength=source.n_conditions)
            for level in (1.0, *LEVELS)
        ]
        columns = range(source.p_bin.shape[1])
        p_counts = [np.bincount(source.p_bin[:, c], times, minlength=N_BINS) for c in columns]
        sums_ = (source.z, source.z_square, source.lit)
        part = Accepted(
            _whole(counts[0]),
            _whole(np.stack(counts[1:], axis=1)),
            _whole(np.stack(p_counts)),
            *(_whole(times @ values.astype(np.float64)) for values in sums_),
        )
        total = part if total is None else total + part
    if total is None:
        raise ValueError("no pool to draw from")
    return total


def _whole(values: NDArray[Any]) -> NDArray[np.int64]:
    whole: NDArray[np.int64] = np.rint(values).astype(np.int64)
    return whole


def reference_of(source: Pool, n: int, rng: np.random.Generator) -> Expectation:
    """Return what a reference of n showers of the same population expects.

    All of them count, as in a certified reference, whose cuts for each fifth are set by the others.
    """
    chosen = rng.integers(0, source.n, n)
    counts = {
        name: array[0] for name, array in sums(source, chosen, np.zeros(n, np.int64), 1).items()
    }
    k = source.n_conditions
    cell = source.cell[chosen]
    weight = np.stack([np.bincount(chosen[cell == c], minlength=source.n) for c in range(k)])
    weight = weight.astype(np.float32)
    each = np.maximum(weight.sum(1, keepdims=True).astype(np.float64), 1)
    square = source.z_square * np.float32(Z_UNIT)
    mean_square = (weight @ square) / each
    fourth = (weight @ np.square(square)) / each
    return Expectation(
        showers=np.maximum(counts["showers"], 1).astype(np.float64),
        exceedances=counts["exceedances"].astype(np.float64),
        p_counts=counts["p_counts"].astype(np.float64),
        latent_mean=(weight @ source.z) * Z_UNIT / each,
        latent_square=np.maximum(mean_square, 1e-6),
        square_var=np.maximum(fourth - mean_square**2, 1e-6),
        latent_showers=each[:, 0],
        lit_rate=(weight @ source.lit) / each,
        layer_energy=(weight @ source.energy) / 1000 / each,
        origin="certified",
        id=f"drawn-{n}",
    )
