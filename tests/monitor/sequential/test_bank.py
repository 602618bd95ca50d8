"""Sequential tests keep what they promise, and find what they look for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.reference.expectation import lower_rate, mix_of, mixed_rate, upper_rate
from monitor.sequential.bank import Bank, e_benjamini_hochberg, log_ratio_bet

RATIOS = np.array([1.5, 2.0, 5.0, 20.0])
WEIGHTS = np.full(4, 0.25)


def run_lengths(horizon: float, rate: float, truth: float, n: int, steps: int, seed: int):
    """Return the first crossing of n streams of Bernoulli trials, 1,000 a step; steps + 1 if none."""
    rng = np.random.default_rng(seed)
    bank = Bank(n, WEIGHTS, np.full(n, horizon))
    first = np.full(n, steps + 1)
    for t in range(1, steps + 1):
        k = rng.binomial(1000, truth, n).astype(float)
        bank.step(log_ratio_bet(k, np.full(n, 1000.0), np.full(n, rate), RATIOS), 1, t)
        first = np.where((bank.total() >= horizon) & (first > steps), t, first)
    return first, bank


def test_the_mean_run_length_is_at_least_the_horizon():
    # Run until 1,500 for a horizon of 300: the truncated mean is a lower bound already.
    first, _ = run_lengths(300, 1e-3, 1e-3, 200, 1500, 5)
    mean, error = first.mean(), first.std() / np.sqrt(len(first))
    assert mean - 3 * error > 300


def test_a_plug_in_rate_that_is_too_low_breaks_the_promise():
    # The counterpart of the test above: the same bank, told a rate 40 % too low, alarms too often.
    first, _ = run_lengths(300, 0.6e-3, 1e-3, 200, 1500, 5)
    assert first.mean() < 200


def test_five_times_the_rate_is_found_in_seconds_and_dated():
    rng = np.random.default_rng(6)
    bank = Bank(50, WEIGHTS, np.full(50, 2.6e6))
    for t in range(100):
        k = rng.binomial(1000, 1e-3, 50).astype(float)
        bank.step(log_ratio_bet(k, np.full(50, 1000.0), np.full(50, 1e-3), RATIOS), 1, t)
    assert not (bank.total() > 2.6e6).any()
    crossed = np.zeros(50)
    for t in range(100, 130):
        k = rng.binomial(1000, 5e-3, 50).astype(float)
        bank.step(log_ratio_bet(k, np.full(50, 1000.0), np.full(50, 1e-3), RATIOS), 1, t)
        crossed[(bank.total() > 2.6e6) & (crossed == 0)] = t
    assert np.median(crossed) <= 106
    onsets = np.array([bank.best_onset(place) for place in range(50)])
    assert np.median(np.abs(onsets - 100)) <= 1


@given(st.floats(1.01, 50), st.floats(0.0005, 0.2), st.integers(1, 200))
@settings(max_examples=40)
def test_a_bet_on_a_higher_rate_has_mean_one_at_its_bound_and_less_below(ratio, rate, n):
    k = np.arange(n + 1)
    log_choose = np.array([_log_choose(n, i) for i in k])
    log_e = log_ratio_bet(
        k.astype(float), np.full(n + 1, float(n)), np.full(n + 1, rate), np.array([ratio])
    )
    for truth in (rate, rate / 2):
        log_p = log_choose + k * np.log(truth) + (n - k) * np.log1p(-truth)
        mean = float(np.exp(log_p + log_e[:, 0]).sum())
        assert mean <= 1 + 1e-9
        assert truth < rate or mean == pytest.approx(1, abs=1e-6)


def _log_choose(n, k):
    from math import lgamma

    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def test_a_late_addition_moves_the_evidence_but_not_the_clock():
    bank = Bank(1, np.ones(1), np.full(1, 1e6))
    bank.step(np.zeros((1, 1)), 1, 0)
    bank.step(np.full((1, 1), np.log(3)), 0, 0)
    assert bank.total()[0] == pytest.approx(3)


def test_evidence_is_capped_so_that_it_can_melt():
    bank = Bank(1, np.ones(1), np.full(1, 100.0))
    for t in range(50):
        bank.step(np.full((1, 1), 3.0), 1, t)
    assert bank.total()[0] == pytest.approx(1000)
    for t in range(50, 60):
        bank.step(np.full((1, 1), -3.0), 1, t)
    assert bank.total()[0] < 1


def test_weights_that_spend_more_than_the_budget_are_refused():
    with pytest.raises(ValueError, match="at most 1"):
        Bank(1, np.full(3, 0.5), np.ones(1))


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=40), st.floats(0.01, 0.5))
@settings(max_examples=50)
def test_the_e_list_grows_with_the_evidence(values, share):
    e = np.array(values)
    listed = e_benjamini_hochberg(e, share)
    more = e_benjamini_hochberg(e * 2, share)
    assert (more | ~listed).all()
    if listed.any():
        assert e[listed].min() >= e[~listed].max(initial=0)


@pytest.mark.parametrize(("rate", "n_ref"), [(1e-3, 20_000), (1e-2, 20_000), (1e-2, 300)])
def test_bounds_on_the_rate_cover_as_often_as_they_say(rate, n_ref):
    rng = np.random.default_rng(8)
    k_cells = 4
    trials = np.full(k_cells, n_ref / k_cells)
    showers = np.array([[10.0, 20, 30, 40]])
    low, high, n = 0, 0, 2000
    for _ in range(n):
        counts = rng.binomial(n_ref // k_cells, rate, (k_cells, 1)).astype(float)
        estimate, variance = mixed_rate(mix_of(showers, trials), counts / trials[:, None], trials)
        step = np.full((1, 1), (showers / showers.sum() / trials).max())
        high += rate > upper_rate(estimate, variance, step, 0.05)[0, 0]
        low += rate < lower_rate(estimate, variance, 0.05)[0, 0]
    limit = 0.05 * n + 3 * np.sqrt(0.05 * n)
    assert high <= limit
    assert low <= limit


def test_the_plug_in_rate_does_not_cover():
    rng = np.random.default_rng(8)
    above = np.mean(rng.binomial(20_000, 1e-3, 2000) / 20_000 < 1e-3)
    assert above > 0.4


def test_places_that_step_one_part_after_the_other_step_as_all_together_do():
    rng = np.random.default_rng(9)
    whole, parts = (Bank(7, WEIGHTS, np.full(7, 50.0)) for _ in range(2))
    for t in range(40):
        log_e = rng.normal(0.3, 1.0, (7, 4))
        for first, last in ((0, 3), (3, 4), (4, 7)):
            parts.step(log_e[first:last].copy(), 3, 3 * t, first)
        whole.step(log_e, 3, 3 * t)
        assert all((a == parts.state()[name]).all() for name, a in whole.state().items())
        np.testing.assert_allclose(parts.total(), parts.evidence @ WEIGHTS, rtol=1e-12)
        np.testing.assert_allclose(whole.total(), parts.total(), rtol=1e-12)


def test_the_total_is_that_of_what_is_forgotten_or_taken_up():
    bank, again = (Bank(3, WEIGHTS, np.full(3, 50.0)) for _ in range(2))
    bank.step(np.full((3, 4), 0.5), 1, 0)
    again.restore(bank.state())
    assert (again.total() == bank.total()).all()
    again.reset(np.array([False, True, False]))
    assert (again.total() > 0).tolist() == [True, False, True]
    assert again.at(0) == pytest.approx(bank.at(0))
