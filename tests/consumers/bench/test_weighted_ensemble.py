"""Weighted ensemble: weights add up as they would without it, and rare events have their rate."""

import numpy as np
import pytest

from consumers.bench.weighted_ensemble import resampled


def test_on_average_a_copy_keeps_its_weight() -> None:
    rng = np.random.default_rng(1)
    weight, bins = rng.exponential(1.0, 30), rng.integers(0, 5, 30)
    total = np.zeros(30)
    for _ in range(4000):
        rows, fresh = resampled(bins, weight, rng)
        assert len(rows) == 30
        total += np.bincount(rows, fresh, 30)
    assert total / 4000 == pytest.approx(weight, rel=0.1, abs=0.02)


def test_every_bin_has_as_many_copies_and_its_weight() -> None:
    bins = np.array([0] * 97 + [1, 1, 7])
    rows, weight = resampled(bins, np.ones(100), np.random.default_rng(2))
    for bin_, n in ((0, 97), (1, 2), (7, 1)):
        here = bins[rows] == bin_
        assert abs(here.sum() - 100 / 3) <= 1
        assert weight[here].sum() == pytest.approx(n, rel=0.04)


def test_a_walk_that_reaches_far_once_in_a_million_times_is_counted_as_often() -> None:
    # Up with 0.3, down with 0.7, never below 0: in the long run at k or above with (3/7)**k.
    rng = np.random.default_rng(3)
    n, steps, far = 200, 3000, 16
    at, weight, seen = np.zeros(n, np.int64), np.ones(n), 0.0
    for step in range(steps):
        at = np.maximum(at + np.where(rng.random(n) < 0.3, 1, -1), 0)
        seen += float(weight[at >= far].sum()) if step > 300 else 0.0
        if step % 4 == 3:
            rows, weight = resampled(np.minimum(at, far), weight, rng)
            at = at[rows]
    assert np.log(seen / (n * (steps - 301))) == pytest.approx(far * np.log(3 / 7), abs=0.5)
