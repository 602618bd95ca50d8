"""Windows are a commutative group: what is added in any order can be taken out again exactly."""

from __future__ import annotations

import time
import timeit
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.detector.files import SHIPPED, load
from models.detector.geometry import Geometry, Layer
from models.scoring.scales import LEVELS, P_EDGES, Z_CLIP, Z_UNIT, lit_threshold
from models.scoring.scored import Scored
from models.showers.batch import Showers
from monitor.windows.window import Window, WindowKey, merge, region_sums, tally

K, S, B, D, V, L = 2, 2, len(P_EDGES) - 1, 3, 2, 1
KEY = WindowKey(1, 2, 3)


def window(regions: list[int], seed: int) -> Window:
    rng = np.random.default_rng(seed)
    r = len(regions)

    def some(*shape):
        return rng.integers(-5, 50, (r, *shape))

    bins = np.unique(rng.integers(0, 40, rng.integers(0, 8)))
    return Window(
        KEY, np.array(sorted(regions), np.int64), some(K), some(K, len(LEVELS)), some(S + 1, B),
        some(D), some(D), some(V), some(L), some(), some(), bins, rng.integers(1, 9, len(bins)),
    )  # fmt: skip


windows = st.builds(
    window, st.lists(st.integers(0, 6), max_size=4, unique=True), st.integers(0, 1000)
)


@given(windows, windows, windows)
@settings(max_examples=40)
def test_adding_is_associative_and_commutative(a, b, c):
    assert ((a + b) + c).same_counts(a + (b + c))
    assert (a + b).same_counts(b + a)


@given(windows, windows)
@settings(max_examples=40)
def test_subtracting_takes_out_exactly_what_was_added(a, b):
    assert ((a + b) - b).same_counts(a)
    assert ((a - b) + b).same_counts(a)


@given(windows, windows)
@settings(max_examples=40)
def test_a_window_differs_from_itself_with_something_more(a, b):
    something = any(getattr(b, name).any() for name in ("showers", "z_sum", "score_counts", "lit"))
    assert (a + b).same_counts(a) is not something or not something


@given(st.lists(windows, min_size=1, max_size=6), st.randoms())
@settings(max_examples=30)
def test_a_sum_does_not_depend_on_the_order(parts, random):
    shuffled = list(parts)
    random.shuffle(shuffled)
    assert merge(shuffled).same_counts(merge(parts))


def test_a_sum_over_nothing_keeps_empty_histograms_empty():
    a = window([1], 3)
    nothing = a - a
    assert len(nothing.score_bins) == 0
    assert nothing.n == 0


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
