"""What is tallied are the sums over the showers of each region, exactly, in any order."""

from __future__ import annotations

import time
import timeit
from functools import partial

import numpy as np
import pytest

from models.detector.files import SHIPPED, load
from models.detector.geometry import Geometry, Layer
from models.scoring.scales import Z_CLIP, Z_UNIT, lit_threshold
from models.scoring.scored import Scored
from models.showers.batch import Showers
from monitor.windows.tally import region_sums, tally
from monitor.windows.window import WindowKey, merge

K, KEY = 2, WindowKey(1, 2, 3)


@pytest.mark.slow
def test_sums_are_those_of_every_shower_whatever_the_regions_and_their_order():
    """By one shower at a time, with showers that have no score and regions that have none."""
    rng = np.random.default_rng(3)
    geometry = load(SHIPPED / "crystals-121.json")
    n, d = 700, geometry.n_cells + geometry.n_layers
    valid, unknown = rng.random(n) > 0.1, rng.random(n) < 0.02
    latents = rng.normal(0, 20, (n, d)).astype(np.float32)
    p = rng.random((n, 2))
    scored = Scored(
        np.zeros((n, 2), np.float32), p, p[:, 0], latents, rng.integers(0, K, n),
        valid & ~unknown, unknown, rng.integers(0, 40, (n, 2)),
    )  # fmt: skip
    cells = rng.normal(2, 30, (n, geometry.n_cells)).astype(np.float32)
    showers = Showers(cells, np.full(n, 1e3, np.float32))
    region = rng.choice([3, 5, 6, 900, 40_000, *range(1000, 1400)], n)
    shape = (K, 2, 40)
    whole = tally(KEY, showers, scored, region, geometry=geometry, shape=shape)
    rows = [np.array([i]) for i in range(n)]
    alone = [
        tally(KEY, showers[i], scored.rows(i), region[i], geometry=geometry, shape=shape)
        for i in rows
    ]
    assert whole.same_counts(merge(alone))
    assert whole.n == n
    assert whole.unknown.sum() == unknown.sum()
    assert whole.unscored.sum() == (~valid & ~unknown).sum()


@pytest.mark.parametrize(("regions", "showers"), [(1, 700), (3, 300), (900, 1000), (4, 0)])
def test_what_is_tallied_are_the_sums_over_the_showers_of_each_region_exactly(regions, showers):
    rng = np.random.default_rng(regions)
    layers = (
        Layer("a", (2, 3), (1.0, 1.0), (0.0, 1.0)),
        Layer("b", (1, 4), (1.0, 1.0), (1.0, 2.0)),
    )
    geometry = Geometry("tiny", layers, 1.0)
    latents = np.clip(rng.normal(0, 30, (showers, 12)), -40, 40).astype(np.float32)
    cells = rng.exponential(1e5, (showers, 10)).astype(np.float32)
    scored = Scored(
        scores=np.zeros((showers, 1), np.float32),
        p=np.full((showers, 1), 0.5),
        p_combined=np.full(showers, 0.5),
        latents=latents,
        condition_cell=np.zeros(showers, np.int64),
        valid=np.ones(showers, bool),
        unknown=np.zeros(showers, bool),
        bins=np.zeros((showers, 1), np.int64),
    )
    region = rng.integers(0, regions, showers)
    batch = Showers(cells, np.full(showers, 1e4, np.float32))
    found = tally(KEY, batch, scored, region, geometry=geometry, shape=(1, 1, 4))
    for row, name in enumerate(found.regions):
        mine = region == name
        z = np.clip(latents[mine], -Z_CLIP, Z_CLIP) / np.float32(Z_UNIT**0.5)
        assert (found.z_square[row] == np.rint(z * z).astype(np.int64).sum(0)).all()
        z = np.rint(z / np.float32(Z_UNIT**0.5)).astype(np.int64)
        assert (found.z_sum[row] == z.sum(0)).all()
        energy = float(cells[mine].astype(np.float64).sum()) * 1000  # keV, each layer rounded
        assert found.layer_energy[row].sum() == pytest.approx(energy, abs=float(mine.sum() + 1))
        assert (found.lit[row] == (cells[mine] > lit_threshold(geometry)).sum(0)).all()


@pytest.mark.slow
def test_a_shower_costs_no_more_where_there_are_many_regions():
    rng = np.random.default_rng(1)
    layers = (Layer("a", (10, 30), (1.0, 1.0), (0.0, 1.0)),)
    geometry, n = Geometry("tiny", layers, 1.0), 2048
    latents = rng.normal(size=(n, 301)).astype(np.float32)
    cells = rng.exponential(1.0, (n, 300)).astype(np.float32)

    def cost(regions):
        _, row = np.unique(rng.integers(0, regions, n), return_inverse=True)
        every = np.arange(n)
        one = partial(region_sums, every, row, int(row.max()) + 1, latents, cells, geometry)
        return min(timeit.repeat(one, timer=time.process_time, number=3, repeat=5))

    assert cost(4096) < 5 * cost(16)
