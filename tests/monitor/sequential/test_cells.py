"""Tests of cells: the bounds on what is expected hold at the smallest reference, in the rarest cell."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, chi2
from streams import expectation

from models.scoring.condition_cells import SHOWERS_MIN
from monitor.reference.expectation import Expectation
from monitor.reference.gammas import gamma_quantile
from monitor.sequential.cells import CellTests, Sums
from monitor.sequential.moments import each_of, moments_of
from monitor.sequential.rates import Floors

MISCOVERAGE = 0.05 / 4
NO_FLOORS = Floors(lit=0.0, mean=0.0, spread=0.0)


def of_counts(n, lit, showers_behind):
    """Return an expectation of one condition cell in which cells were lit in so many showers."""
    v = len(lit)
    one = np.ones((1, v + 1))
    return Expectation(
        showers=np.array([float(n)]),
        exceedances=np.array([[0.1, 0.01, 0.001]]) * n,
        p_counts=np.full((2, 18), n / 18),
        latent_mean=0 * one,
        latent_square=one,
        square_var=2 * one,
        latent_showers=np.array([float(showers_behind)]),
        lit_rate=lit[None] / n,
        layer_energy=np.ones((1, 1)),
        origin="certified",
        id="x",
    )


@pytest.mark.parametrize("n", [SHOWERS_MIN, 300, 3_000, 32_400])
def test_bounds_on_lit_cells_fail_no_more_often_than_stated_however_rare_they_are(n):
    counts = np.unique(np.r_[np.arange(min(n, 400)), n - np.arange(min(n, 400))]).astype(float)
    tests = CellTests(((of_counts(n, counts, n), MISCOVERAGE),), NO_FLOORS)
    each = each_of(MISCOVERAGE, 2 * tests.n_cells)
    upper, lower = tests._lit_bounds(np.array([[1000.0]]), *tests.references[0])
    for p in np.geomspace(1e-5, 0.05, 60):
        for true, sign in ((p, 1), (1 - p, -1)):
            weights = binom.pmf(counts if sign > 0 else n - counts, n, p)
            assert weights[(upper[0] < true)].sum() <= 1.01 * each, (n, true)
            assert weights[(lower[0] > true)].sum() <= 1.01 * each, (n, true)


@pytest.mark.parametrize("n", [SHOWERS_MIN, 3_000])
def test_bounds_on_the_spread_of_normal_latents_are_exact_at_any_size(n):
    rng = np.random.default_rng(3)
    each = 1e-3
    squares = rng.chisquare(n, 200_000) / n
    shape = np.full(1, n / 2.0)
    above = (squares / gamma_quantile(shape, each) < 1).mean()
    below = (squares / gamma_quantile(shape, 1 - each) > 1).mean()
    assert above < 1.5 * each
    assert below < 1.5 * each
    assert gamma_quantile(shape, each)[0] == pytest.approx(chi2.ppf(each, n) / n, rel=1e-4)


@pytest.mark.parametrize("n", [SHOWERS_MIN, 3_000, 10**9])
@pytest.mark.parametrize("showers", [1, 3_000, 10**7])
def test_single_precision_moves_a_bound_by_less_than_a_millionth(n, showers):
    """Of the showers, where what is tolerated is a ten-thousandth of them at least."""
    lit = np.unique(
        np.r_[np.arange(30), n * np.random.default_rng(1).uniform(0, 1, 400), n]
    ).astype(float)
    reference = of_counts(n, lit, n)
    tests = CellTests(((reference, MISCOVERAGE),), Floors())
    found = []
    for known, at_hand in (
        (reference, np.array([[float(showers)]])),
        (reference.single, np.array([[showers]], np.float32)),
    ):
        moments = moments_of(at_hand, known)
        squares = tests._square_bounds(moments, at_hand, each_of(MISCOVERAGE, 2 * len(lit)))
        found.append([*tests._lit_bounds(at_hand, known, MISCOVERAGE), *squares])
    for double, single in zip(*found, strict=True):
        assert single.dtype == np.float32
        np.testing.assert_allclose(single, double, rtol=5e-7, atol=2e-7)


@pytest.mark.slow
def test_the_mean_e_value_of_every_stream_is_at_most_one_at_the_smallest_reference():
    """Over references and steps, one shower of a rare cell at a time and many."""
    rng = np.random.default_rng(7)
    n, v, steps = SHOWERS_MIN, 60, 400
    rates = np.geomspace(1e-4, 0.9, v)
    for showers in (1, 40, 3_000):
        total = 0.0
        for _ in range(20):
            lit = rng.binomial(n, rates).astype(float)
            reference = of_counts(n, lit, n)
            z = rng.normal(size=(n, v + 1))
            mean, square = z.mean(0)[None], np.square(z).mean(0)[None]
            var = np.maximum(np.power(z, 4).mean(0)[None] - square**2, 0.1)
            reference = _with_latents(reference, mean, square, var)
            tests = CellTests(((reference, MISCOVERAGE),), Floors())
            draws = rng.normal(size=(steps, v + 1)) * np.sqrt(showers)
            spread = draws**2 / showers + rng.chisquare(max(showers - 1, 1), (steps, v + 1)) * (
                showers > 1
            )
            sums = Sums(
                np.full((steps, 1), float(showers)),
                draws,
                spread,
                rng.binomial(showers, rates, (steps, v)).astype(float),
            )
            total = total + np.exp(tests.log_e(sums).astype(float)).mean(0)
        assert (total / 20 < 1 + 0.35).all()  # what is at most 1, with its noise


def _with_latents(reference, mean, square, var):
    return replace(reference, latent_mean=mean, latent_square=square, square_var=var)


def test_moments_know_how_many_showers_are_behind_a_mix():
    reference = expectation(30_000)
    even = moments_of(np.ones((1, len(reference.showers))), reference)
    assert even.behind[0, 0] == pytest.approx(reference.latent_showers.sum(), rel=0.2)
