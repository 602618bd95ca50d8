"""Measures: shares with honest intervals, areas, cuts, calibration."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm

from models.scoring.measures import auc, calibration, image_rate, rate, roc, separation
from models.scoring.scored import Scored


def test_images_of_a_shower_that_are_all_alike_count_once():
    rng = np.random.default_rng(4)
    beyond = rng.random(3000) < 0.1
    once = image_rate(beyond, np.arange(3000))
    alike = image_rate(np.tile(beyond, 4), np.tile(np.arange(3000), 4))
    assert alike.value == once.value
    assert (alike.low, alike.high) == pytest.approx((once.low, once.high), rel=0.02)
    apart = image_rate(rng.random(12_000) < 0.1, np.tile(np.arange(3000), 4))
    assert apart.high - apart.low == pytest.approx((once.high - once.low) / 2, rel=0.1)
    nothing = image_rate(np.zeros(400, bool), np.arange(400) // 4)
    assert nothing.high == rate(0, 100).high


@given(st.integers(1, 60), st.data())
@settings(max_examples=30)
def test_an_interval_covers_the_rates_that_it_should(n, data):
    k = data.draw(st.integers(0, n))
    r = rate(k, n)
    assert r.low <= r.value <= r.high
    if k:
        assert binom.sf(k - 1, n, r.low) == pytest.approx(0.025, rel=1e-6)
    if k < n:
        assert binom.cdf(k, n, r.high) == pytest.approx(0.025, rel=1e-6)


def test_the_area_is_that_under_the_curve():
    rng = np.random.default_rng(1)
    good, strange = norm.sf(rng.normal(0, 1, 20_000)), norm.sf(rng.normal(1.5, 1, 20_000))
    assert auc(good, strange) == pytest.approx(norm.cdf(1.5 / np.sqrt(2)), abs=5e-3)
    fpr, tpr = roc(good, strange)
    assert np.trapezoid(tpr, fpr) == pytest.approx(auc(good, strange), abs=1e-3)


def test_ties_separate_nothing():
    same = np.full(50, 0.3)
    s = separation(same, same)
    assert s.auc == 0.5
    assert s.tpr[1e-2].k == 0


def test_the_cut_lets_no_more_good_showers_pass_than_stated():
    good = np.arange(1, 1001) / 1000
    strange = np.array([0.0005, 0.0105, 0.011, 0.5])
    s = separation(good, strange)
    assert s.tpr[1e-2].k == 2  # 10 good showers lie below 0.011
    assert s.tpr[1e-3].k == 1
    assert s.sic[1e-2] == pytest.approx(0.5 / 0.1)


def test_calibration_counts_every_cell_and_all_together():
    rng = np.random.default_rng(2)
    p = rng.random((6000, 1))
    cell = rng.integers(3, size=6000)
    flags = (np.ones(6000, bool), np.zeros(6000, bool))
    none = np.zeros((6000, 1), np.int64)
    scored = Scored(p, p, p[:, 0], np.zeros((6000, 4)), cell, *flags, none)
    rows = calibration(scored, np.array([0, 1, 2, np.inf]))
    assert [row.cell for row in rows] == [0, 1, 2, -1]
    assert sum(row.achieved[0.1].k for row in rows[:-1]) == rows[-1].achieved[0.1].k
    assert rows[-1].achieved[0.1].low <= 0.1 <= rows[-1].achieved[0.1].high
