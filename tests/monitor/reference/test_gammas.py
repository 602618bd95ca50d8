"""Quantiles of gamma distributions are what is tabled, and lines between."""

import numpy as np
import pytest
from scipy.special import gammainccinv, gammaincinv

from monitor.reference.gammas import SHAPES, Gammas, _lines, gamma_quantile


@pytest.mark.parametrize("probability", [1e-9, 1e-6, 0.02, 0.5])
def test_gamma_quantiles_are_lines_between_known_shapes(probability):
    rng = np.random.default_rng(1)
    shape = np.concatenate([2 ** rng.uniform(-12, 42, 20_000), SHAPES, [0.0, np.inf]])
    expected = np.interp(shape, SHAPES, gammaincinv(SHAPES, probability) / SHAPES)
    found = Gammas(shape).quantile(probability)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("probability", [1e-9, 1e-6, 1e-3])
def test_half_way_between_known_shapes_quantiles_are_right_to_a_part_in_fifty_thousand(probability):
    """There lines are worst. From a shape of 11 on they err to the safe side."""
    middle = (SHAPES[1:] + SHAPES[:-1]) / 2
    above, below = Gammas(middle).quantile(1 - probability), Gammas(middle).quantile(probability)
    true_above = gammainccinv(middle, probability) / middle
    true_below = gammaincinv(middle, probability) / middle
    np.testing.assert_allclose(above, true_above, rtol=2e-5)
    np.testing.assert_allclose(below, true_below, rtol=1e-5, atol=6e-7)
    safe = middle > 11
    assert (above >= true_above * (1 - 1e-12))[safe].all()
    assert (below <= true_below * (1 + 1e-12))[safe].all()


def test_lines_of_probabilities_of_long_ago_are_given_up() -> None:
    for i in range(40):
        gamma_quantile(np.ones(1), 1e-6 / (i + 1))
    assert _lines.cache_info().currsize < 40
