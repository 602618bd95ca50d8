"""Histograms of scores agree with an independent sketch, add up exactly, and forget exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.detector import geometry
from models.scoring.p_values import BINS, bins
from models.scoring.population import Population, build
from models.scoring.scales import LEVELS, P_EDGES
from monitor.windows import score_tables
from monitor.windows.score_tables import RecentScores, ScoreTable, of_bins
from monitor.windows.tally import score_bin
from monitor.windows.window import Window, WindowKey

GEOMETRY = geometry.Geometry(
    "two", (geometry.Layer("a", (1, 2), (1.0, 1.0), (0.0, 1.0)),), noise_mev=1.0
)
K, S = 2, 2
SHAPE = (K, S, BINS)


def scores(n: int, seed: int) -> np.ndarray:
    """Return scores as flows give them: far from zero, skew, with a heavy tail."""
    rng = np.random.default_rng(seed)
    bulk = rng.gamma(50, 0.5, (n, S)) + np.array([-800.0, 1500.0])
    return np.where(rng.random((n, S)) < 0.01, bulk + rng.pareto(1.1, (n, S)) * 5, bulk)


@pytest.fixture(scope="module")
def table():
    n = 8000
    rng = np.random.default_rng(1)
    people = Population(
        rng.uniform(1e3, 2e4, n),
        scores(n, 2).astype(np.float32),
        rng.normal(size=(n, 3)).astype(np.float32),
        rng.exponential(2, (n, 2)).astype(np.float32),
        np.arange(n),
    )
    return build(people, GEOMETRY, K, "certified")


def windowed(table, values: np.ndarray, cell: np.ndarray) -> Window:
    """Return a window with nothing but score histograms, of two regions."""
    where = bins(table.position(values, cell))
    region = np.arange(len(values)) % 2
    flat, counts = np.unique(score_bin(region, cell, where, SHAPE), return_counts=True)
    two = np.arange(2)
    zeros = lambda *shape: np.zeros((2, *shape), np.int64)
    return Window(
        WindowKey(1, 1, 1), two, zeros(K), zeros(K, len(LEVELS)), zeros(S + 1, len(P_EDGES) - 1),
        zeros(3), zeros(3), zeros(2), zeros(1), zeros(), zeros(), flat, counts,
    )  # fmt: skip


def of_window(window: Window, shape: tuple[int, int, int]) -> ScoreTable:
    return of_bins(window.score_bins, window.score_counts, shape)


@pytest.mark.parametrize("q", [0.5, 0.9, 0.99, 0.999])
def test_quantiles_agree_with_a_relative_error_sketch(table, q):
    datasketches = pytest.importorskip("datasketches", reason="no wheel for this Python")
    values = scores(200_000, 3)
    cell = np.zeros(len(values), np.int64)
    ours = of_window(windowed(table, values, cell), SHAPE).quantile(q, table)[0]
    for s in range(S):
        # High rank accuracy, k = 50: a few 1e-6 in rank at 99.9 %.
        sketch = datasketches.req_floats_sketch(50, True)
        sketch.update((values[:, s] - values[:, s].mean()).astype(np.float32))
        rank = sketch.get_rank(float(ours[s] - values[:, s].mean()), False)
        assert 1 - rank == pytest.approx(1 - q, rel=0.03)
        assert np.mean(values[:, s] > ours[s]) == pytest.approx(1 - q, rel=0.03)


def test_a_histogram_about_zero_would_not_agree(table):
    """The counterpart: the same bins, not moved to median and MAD, hold the bulk in one or two."""
    values = scores(50_000, 3)
    naive = np.floor((np.arcsinh(values) / 9.0 + 1) * (BINS / 2))
    ours = bins(table.position(values, np.zeros(len(values), np.int64)))
    low, high = np.quantile(naive[:, 1], [0.05, 0.95])
    assert high - low <= 1
    low, high = np.quantile(ours[:, 1], [0.05, 0.95])
    assert high - low > 50


def test_parts_add_up_to_the_whole_and_leave_again(table):
    values = scores(20_000, 4)
    cell = np.arange(len(values)) % K
    whole = windowed(table, values, cell)
    parts = [windowed(table, values[i::3], cell[i::3]) for i in range(3)]
    total = of_window(parts[0], SHAPE) + of_window(parts[1], SHAPE) + of_window(parts[2], SHAPE)
    assert (total.counts == of_window(whole, SHAPE).counts).all()
    left = total - of_window(parts[2], SHAPE)
    again = of_window(parts[0] + parts[1], SHAPE)
    assert (left.counts == again.counts).all()
    assert (of_window(whole - parts[2], SHAPE).counts == again.counts).all()


def test_fading_halves_whole_showers():
    counts = np.zeros(SHAPE, np.int64)
    counts[0, 0, 5], counts[1, 1, 7] = 9, 1
    faded = ScoreTable(counts).faded().counts
    assert (faded[0, 0, 5], faded[1, 1, 7]) == (4, 0)


def test_a_cell_that_cannot_resolve_a_quantile_says_so(table):
    values = scores(500, 5)
    few = of_window(windowed(table, values, np.zeros(500, np.int64)), SHAPE)
    assert np.isfinite(few.quantile(0.99, table)[0]).all()
    assert np.isnan(few.quantile(0.999, table)[0]).all()
    assert np.isnan(few.quantile(0.5, table)[1]).all()


def test_a_median_that_has_moved_is_seen_in_units_of_the_reference(table):
    values = scores(20_000, 6)
    cell = np.zeros(len(values), np.int64)
    same = of_window(windowed(table, values, cell), SHAPE).moved(table)[0]
    shifted = of_window(windowed(table, values + 3 * table.mad[0, :S], cell), SHAPE)
    assert same == pytest.approx(0, abs=0.1)
    assert shifted.moved(table)[0] == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize("asked", [1, 7, 1000])
def test_scores_are_the_same_and_fade_at_the_same_window_however_often_they_are_asked_for(
    table, asked, monkeypatch
):
    monkeypatch.setattr(score_tables, "FADE_FROM", 4000)
    monkeypatch.setattr(score_tables, "WAITING", 5000)
    recent, expected = RecentScores(table), np.zeros(SHAPE, np.int64)
    for i in range(40):
        values = scores(300, i)
        window = windowed(table, values, np.arange(len(values)) % K)
        window = replace(window, showers=np.array([[100, 50], [50, 100]]))
        recent.add(window)
        expected = expected + of_window(window, SHAPE).counts
        if expected[:, 0].sum() > 4000:
            expected = expected // 2
        if i % asked == 0:
            assert (recent.table.counts == expected).all()
    assert (recent.table.counts == expected).all()
