"""What is counted since a time is right however long ago it is, and whatever came late."""

import numpy as np
import pytest

from monitor.windows.recent_counts import LENGTH, RecentCounts

START = 1_700_000_000


def counts(n):
    return np.full((2, 3), n), np.full((2, 1), 2 * n), np.zeros(2, np.int64)


def filled(seconds, first=0):
    recent = RecentCounts(2, 3, 1)
    for t in range(first, seconds):
        recent.add(START + t, *counts(1))
    return recent


def test_counts_since_a_time_that_is_looked_back_at_are_exact_hours_later():
    recent = filled(100)
    recent.look_back([START + 90])
    for t in range(100, 5000):
        recent.add(START + t, *counts(1))
    recent.add(START + 20, *counts(7))  # late, of before
    recent.add(START + 95, *counts(5))  # late, of after
    again = RecentCounts(2, 3, 1)
    again.restore(recent.state())
    for one in (recent, again):
        showers, exceedances = one.since(START + 90)
        assert (showers == 4910 + 5).all()
        assert (exceedances == 2 * (4910 + 5)).all()


@pytest.mark.slow
@pytest.mark.parametrize("ago", [10, 599, 700, 3_000, 15_000])
def test_counts_since_any_time_are_right_to_a_tenth(ago):
    recent = filled(20_000)
    showers, _ = recent.since(START + 20_000 - ago)
    assert showers[0, 0] == pytest.approx(ago, rel=0.0 if ago < LENGTH else 0.11)


@pytest.mark.slow
def test_what_is_kept_of_long_ago_grows_as_its_logarithm():
    few, many = filled(5_000), filled(50_000)
    kept = [len(one.state()["past.second"]) for one in (few, many)]
    assert kept[1] < kept[0] + 40


def test_seconds_that_were_none_are_not_counted():
    recent = filled(300)
    recent.look_back([START + 100])
    recent.turn_back(START + 200)
    assert (recent.since(START + 100)[0] == 100).all()
    assert (recent.since(START + 250)[0] == 0).all()
