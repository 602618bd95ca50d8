"""Two models beside each other: what is counted of them adds up, and says when one may take over."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.scoring.scales import LEVELS
from monitor.judging.comparison import Comparison, Joint, joint

p_values = st.lists(st.floats(1e-12, 1.0), min_size=1, max_size=40)


@settings(max_examples=30)
@given(p_values, st.integers(0, 39), st.integers(0, 2**32))
def test_joint_sums_add_up_whatever_the_batches(p, cut, seed):
    p_a = np.array(p)
    p_b = np.clip(p_a * np.random.default_rng(seed).uniform(0.5, 2, len(p_a)), 1e-12, 1)
    assert joint(p_a[:cut], p_b[:cut]) + joint(p_a[cut:], p_b[cut:]) == joint(p_a, p_b)
    assert joint(p_b, p_a) == joint(p_a, p_b).turned()
    assert Joint.from_list(joint(p_a, p_b).to_list()) == joint(p_a, p_b)


def test_the_correlation_is_that_of_the_logarithms():
    rng = np.random.default_rng(0)
    p_a = rng.uniform(1e-4, 1, 2000)
    p_b = np.exp(0.5 * np.log(p_a) + 0.5 * np.log(rng.uniform(1e-4, 1, 2000)))
    expected = np.corrcoef(np.log(p_a), np.log(p_b))[0, 1]
    assert joint(p_a, p_b).correlation() == pytest.approx(expected, abs=0.01)
    assert joint(p_a, p_a).correlation() == pytest.approx(1)
    assert np.isnan(joint(p_a[:1], p_b[:1]).correlation())


def test_a_shower_that_one_model_cannot_score_is_left_out():
    sums = joint(np.array([0.001, np.nan, 0.5]), np.array([0.5, 0.001, np.nan]))
    assert sums.n == 1
    assert sums.only_a == tuple(int(level >= 0.001) for level in LEVELS)
    assert sums.only_b == sums.both == (0,) * len(LEVELS)


def test_a_shadow_may_take_over_once_it_has_seen_enough_without_a_gap():
    comparison = Comparison()
    comparison.heard(0, 5, Joint())
    for second in range(100, 110):
        comparison.judged(second)
    assert "10 data-seconds" in comparison.not_ready(11)
    assert comparison.not_ready(10) == ""
    comparison.lacked(110)
    assert comparison.not_ready(1)
    for second in range(111, 121):
        comparison.judged(second)
    assert comparison.not_ready(10) == ""
    assert comparison.missed == 1
    comparison.heard(3, 5, None)
    assert "partitions 3" in comparison.not_ready(10)
    comparison.heard(3, 0, Joint())
    assert comparison.not_ready(10) == ""
    comparison.opened(0)
    assert "partitions 0" in comparison.not_ready(10)
    assert comparison.coverage() == 0.5


def test_what_comes_late_does_not_mend_a_gap():
    comparison = Comparison()
    for second in range(100, 110):
        comparison.judged(second)
    comparison.lacked(110)
    comparison.judged(50)
    comparison.judged(110)
    assert "0 data-seconds" in comparison.not_ready(1)
    comparison.judged(111)
    assert "1 data-seconds" in comparison.not_ready(2)


def test_what_is_kept_of_a_comparison_is_all_of_it():
    comparison = Comparison()
    comparison.heard(1, 2, joint(np.array([0.01, 0.5]), np.array([0.02, 0.5])))
    comparison.judged(7)
    again = Comparison.from_json(comparison.to_json())
    assert again == comparison
    comparison.turn()
    assert comparison != again
    assert comparison.report(5)["not_ready"].startswith("it has seen 1 data-second")
