"""No test of counts gains from good showers, whatever their energies, as far as the floors reach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from streams import CONDITIONS, FLAT, N_SCORES, expectation

from models.scoring.scales import LEVELS, P_EDGES
from monitor.sequential.cells import CellTests, Sums
from monitor.sequential.rates import DOWN, UP, Counts, Floors, RateTests, Test
from monitor.sequential.traffic import Traffic

N = 400


def counts(rng, places: int, density=FLAT, mix=None) -> Counts:
    k = CONDITIONS
    showers = rng.multinomial(N, np.full(k, 1 / k) if mix is None else mix, places)
    p_counts = rng.multinomial(N, density, (places, N_SCORES + 1))
    beyond = np.cumsum(p_counts[:, -1], axis=1)
    columns = [np.searchsorted(P_EDGES, level) - 1 for level in LEVELS]
    seen = np.full(places, float(N))
    return Counts(
        showers.astype(float), beyond[:, columns].astype(float), p_counts.astype(float),
        np.zeros(places), seen, Traffic(seen, 63 * seen, np.full(places, 1 / 64), 63 * seen),
    )  # fmt: skip


def mean_e(tests: RateTests, c: Counts) -> np.ndarray:
    """Return the mean e-value of each stream; extreme ones are bounded to keep it estimable."""
    return np.exp(np.minimum(tests.log_e(c), 5.0)).mean(0)


@pytest.mark.parametrize("n_ref", [5_000, 100_000])
def test_the_mean_e_value_of_good_showers_is_at_most_one(n_ref):
    rng = np.random.default_rng(3)
    tests = RateTests(((expectation(n_ref, rng), 0.05),), Floors())
    mean = mean_e(tests, counts(rng, 20_000))
    assert (mean <= 1.03).all()


def test_a_reference_that_expects_too_little_gains_from_good_showers():
    rng = np.random.default_rng(4)
    wrong = replace(expectation(100_000), exceedances=expectation(100_000).exceedances * 0.7)
    tests = RateTests(((wrong, 0.05),), Floors())
    assert (mean_e(tests, counts(rng, 20_000)) > 1.2).any()


@pytest.mark.parametrize("test", [Test.EXCEEDANCES, Test.TOO_FEW, Test.P_HISTOGRAM])
def test_each_family_gains_from_what_it_looks_for(test):
    rng = np.random.default_rng(5)
    tests = RateTests(((expectation(100_000, rng), 0.05),), Floors())
    density = FLAT.copy()
    if test is Test.TOO_FEW:
        density[P_EDGES[1:] <= 0.1] *= 0.2
    else:
        density[P_EDGES[1:] <= 0.01] *= 5
    log_e = tests.log_e(counts(rng, 500, density / density.sum())).mean(0)
    mine = np.array([kind is test for kind in tests.kinds])
    assert log_e[mine].max() > 0.3


def test_a_shift_of_the_energies_alone_gains_nothing():
    """Exceedances are expected per condition cell: other energies, other expectation."""
    rng = np.random.default_rng(6)
    reference = expectation(100_000, rng)
    tests = RateTests(((reference, 0.05),), Floors())
    mix = np.array([0.7, 0.1, 0.1, 0.1])
    assert (mean_e(tests, counts(rng, 5_000, mix=mix)) <= 1.05).all()


def test_a_second_reference_narrows_what_the_first_leaves_open_and_never_widens_it():
    rng = np.random.default_rng(7)
    small, large = expectation(3_000, rng), expectation(1_000_000, rng)
    showers = np.full((1, CONDITIONS), 100.0)
    alone = RateTests(((small, 0.05),), Floors()).exceedance_bounds(showers)
    both = RateTests(((small, 0.05), (large, 0.05)), Floors()).exceedance_bounds(showers)
    assert (both[0] <= alone[0]).all()
    assert (both[1] >= alone[1]).all()
    assert both[0][0, 2] < alone[0][0, 2]


def test_the_weights_of_all_streams_add_up_to_one():
    tests = RateTests(((expectation(), 0.05),), Floors())
    assert tests.weights.sum() == pytest.approx(1)
    assert len(tests.kinds) == tests.log_e(counts(np.random.default_rng(1), 1)).shape[1]
    assert sum(map(len, UP.values())) + sum(map(len, DOWN.values())) < len(tests.kinds)
    cells = CellTests(((expectation(), 0.05),), Floors())
    assert cells.weights.sum() == pytest.approx(1)
    assert len(cells.kinds) == len(cells.latent) == len(cells.weights)


def sums(rng, places: int, scale=1.0, heavy=False) -> Sums:
    reference = expectation()
    d, v = reference.latent_mean.shape[1], reference.lit_rate.shape[1]
    n = 60
    shape = (places, n, d)
    z = rng.standard_t(8, shape) * np.sqrt(6 / 8) if heavy else rng.standard_normal(shape)
    z *= scale
    showers = rng.multinomial(n, np.full(CONDITIONS, 1 / CONDITIONS), places).astype(float)
    lit = rng.binomial(n, 0.3, (places, v)).astype(float)
    return Sums(showers, z.sum(1), np.square(z).sum(1), lit)


@pytest.mark.slow
@pytest.mark.parametrize("heavy", [False, True])
def test_the_mean_e_value_of_good_latents_is_at_most_one_even_with_heavier_tails(heavy):
    rng = np.random.default_rng(8)
    tests = CellTests(((expectation(20_000, rng), 0.05),), Floors())
    total = np.zeros(len(tests.latent))
    for _ in range(10):
        total += np.exp(tests.log_e(sums(rng, 500, heavy=heavy)).astype(float)).mean(0)
    by_kind = {}
    for kind, value in zip(tests.kinds, total / 10, strict=True):
        by_kind.setdefault(kind, []).append(value)
    assert {kind: np.mean(v) <= 1.0 for kind, v in by_kind.items()} == dict.fromkeys(by_kind, True)


def test_latents_with_more_spread_than_expected_do_gain():
    rng = np.random.default_rng(9)
    tests = CellTests(((expectation(20_000, rng), 0.05),), Floors())
    log_e = tests.log_e(sums(rng, 200, scale=1.3)).mean(0)
    assert max(log_e[[k is Test.LATENT_SPREAD for k in tests.kinds]]) > 1


def test_one_wild_shower_cannot_page_by_itself():
    rng = np.random.default_rng(10)
    tests = CellTests(((expectation(20_000, rng), 0.05),), Floors())
    wild = sums(rng, 1)
    z, square = wild.z.copy(), wild.z_square.copy()
    z[0, 0] += 32
    square[0, 0] += 32**2
    assert tests.log_e(Sums(wild.showers, z, square, wild.lit)).max() <= 6
