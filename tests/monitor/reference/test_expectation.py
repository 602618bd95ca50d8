"""Bounds on rates: what is computed of many shapes at once is what the definitions say."""

import numpy as np

from monitor.reference.expectation import (
    bernoulli_bounds,
    lower_rate,
    mixed_rate,
    upper_rate,
)


def test_a_share_is_bounded_by_the_rarer_of_having_and_lacking():
    rng = np.random.default_rng(2)
    showers = rng.poisson(20, (9, 4)).astype(np.float64)
    showers[3] = 0
    share, trials = rng.uniform(0, 1, (4, 50)), np.full(4, 900.0)
    total = showers.sum(1, keepdims=True)
    weight = np.where(total > 0, showers / np.maximum(total, 1), 0.25)
    step = (weight / trials).max(1, keepdims=True)
    both = []
    for part in (share, 1 - share):
        rate, variance = mixed_rate(weight, part, trials)
        upper = upper_rate(rate, variance, np.broadcast_to(step, rate.shape), 0.01)
        both.append((rate, upper, lower_rate(rate, variance, 0.01)))
    (rate, upper, lower), (_, upper_without, lower_without) = both
    found = bernoulli_bounds(showers, share, trials, 0.01)
    assert np.array_equal(found[0], np.where(rate <= 0.5, upper, 1 - lower_without))
    assert np.array_equal(found[1], np.where(rate <= 0.5, lower, 1 - upper_without))
