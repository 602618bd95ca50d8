"""Latents of good data, drawn as sums, are what the tests of cells would see of showers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, chi2, kstest

from consumers.bench import latent_simulation
from consumers.bench.count_simulation import Setting
from consumers.bench.latent_simulation import (
    GoodSums,
    columns,
    latent_calibration,
    line,
    reference_of,
)
from monitor.sequential.bank import Bank
from monitor.sequential.cells import CellTests, Sums
from monitor.sequential.rates import Floors

D, V = 27, 24
LIT = np.geomspace(1e-3, 0.999, V)


def some_tests(seed: int = 1) -> CellTests:
    reference = reference_of(50_000, D, LIT, np.random.default_rng(seed))
    return CellTests(((reference, 0.0125),), Floors())


@pytest.mark.parametrize("n", [2, 20, 47, 90])
def test_the_lines_are_what_the_tests_say_of_any_sums(n):
    tests, rng = some_tests(), np.random.default_rng(n)
    drawn = GoodSums(D, LIT, rng).draw(n, 200)
    drawn[:, :D] += rng.normal(0, 3 * np.sqrt(n), D).astype(np.float32)  # faults too
    cuts = (drawn[:, :D], drawn[:, D : 2 * D], drawn[:, 2 * D :])
    sums = Sums(np.full((200, 1), float(n)), *(cut.astype(np.float64) for cut in cuts))
    said = line(tests, n).log_e(drawn, columns(tests))
    np.testing.assert_allclose(said, tests.log_e(sums), rtol=1e-3, atol=5e-3)


def test_tests_that_are_no_lines_are_refused(monkeypatch):
    tests = some_tests()
    true = CellTests.log_e
    monkeypatch.setattr(CellTests, "log_e", lambda self, sums: true(self, sums) ** 3)
    with pytest.raises(ValueError, match="straight"):
        line(tests, 40)


def test_drawn_sums_are_distributed_as_sums_over_showers():
    n, rows = 31, 4000
    drawn = GoodSums(3, np.array([0.004, 0.4]), np.random.default_rng(3)).draw(n, rows)
    z = np.random.default_rng(4).standard_normal((rows, n))
    assert kstest(drawn[:, 0] / np.sqrt(n), "norm").pvalue > 0.01
    assert kstest(drawn[:, 3], chi2(n).cdf).pvalue > 0.01
    # A sum's own square is in the sum of squares: the two are correlated in size.
    ours = np.corrcoef(drawn[:, 0] ** 2, drawn[:, 3])[0, 1]
    theirs = np.corrcoef(z.sum(1) ** 2, (z**2).sum(1))[0, 1]
    assert ours == pytest.approx(theirs, abs=0.08)
    for column, rate in ((6, 0.004), (7, 0.4)):
        lit = drawn[:, column]
        assert lit.mean() == pytest.approx(n * rate, rel=0.1)
        assert (lit <= 1).mean() == pytest.approx(binom.cdf(1, n, rate), abs=0.02)


def test_rare_cells_are_drawn_as_if_all_counts_were_looked_at(monkeypatch):
    n, lit = 400, np.geomspace(1e-5, 0.9 * latent_simulation.RARE / 400, 40)

    def drawn(most: int) -> np.ndarray:
        monkeypatch.setattr(latent_simulation, "MOST_RARE", most)
        return GoodSums(2, lit, np.random.default_rng(5)).draw(n, 500)[:, 4:]

    few = drawn(64)
    np.testing.assert_array_equal(few, drawn(n))
    assert few.max() >= 3


@pytest.mark.slow
def test_the_evidence_is_that_of_a_bank(monkeypatch):
    """The same sums through the product's own tests and bank give the same crossings."""
    monkeypatch.setattr(latent_simulation, "ROWS", 8)
    monkeypatch.setattr(latent_simulation, "DAY", 600.0)
    setting = Setting(2, 2, rate=60.0, n_ref=500)
    seen = []

    class Kept(GoodSums):
        def draw(self, n, rows):
            seen.append((n, super().draw(n, rows)))
            return seen[-1][1]

    monkeypatch.setattr(latent_simulation, "GoodSums", Kept)
    told = latent_calibration(setting, D, LIT, 8.0, 7)
    rng = np.random.Generator(np.random.SFC64([7, 5]))
    reference = reference_of(500, D, LIT, rng)
    tests = CellTests(((reference, setting.miscoverage / 4),), setting.floors)
    bank, largest = Bank(8, tests.weights, np.full(8, 1e9)), 0.0
    for t, (n, x) in enumerate(seen):
        cuts = (x[:, :D], x[:, D : 2 * D], x[:, 2 * D :])
        sums = Sums(np.full((8, 1), float(n)), *(cut.astype(np.float64) for cut in cuts))
        bank.step(tests.log_e(sums).astype(np.float64), 3, 3 * t)
        largest = max(largest, float(bank.total().max()))
    assert len(seen) == 200
    assert told.largest_s == pytest.approx(largest, rel=0.02)


@pytest.mark.slow
def test_good_latents_cross_less_often_than_allowed():
    told = latent_calibration(Setting(8, 8), D, LIT, 1.0, 3)
    assert told.region_days == pytest.approx(1.0, rel=0.01)
    assert told.allowed[0] == pytest.approx(864, rel=0.01)
    for crossings, allowed in zip(told.crossings, told.allowed, strict=True):
        assert crossings <= allowed + 3 * np.sqrt(allowed) + 1


def test_a_reference_that_is_wrong_crosses():
    """The counterpart: with floors that call good showers bad, good data cross at once."""
    setting = Setting(8, 8, floors=Floors(mean=-0.15), miscoverage=1.9)
    told = latent_calibration(setting, D, LIT, 0.1, 3)
    assert sum(told.crossings) > told.allowed[0]
