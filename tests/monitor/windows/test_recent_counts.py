"""What is counted since a time is right however long ago it is, and whatever came late."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.windows.recent_counts import LENGTH, RecentCounts

START = 1_700_000_000
few = st.integers(0, 5)


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


@given(st.lists(st.tuples(st.integers(0, 12), st.lists(few, min_size=4, max_size=4)), min_size=1))
def test_the_counts_of_kept_seconds_are_those_that_came(added):
    recent, came = RecentCounts(4, 1, 1), {}
    for t, n in added:
        one = np.array(n)
        recent.add(START + t, one[:, None], 2 * one[:, None], 3 * one)
        if t in came or t > max(came, default=-1):
            came[t] = came.get(t, 0) + one
        else:  # of no second that is kept: with the nearest
            nearest = min(came, key=lambda s: (abs(s - t), list(came).index(s)))
            came[nearest] = came[nearest] + one
    again = RecentCounts(4, 1, 1)
    again.restore(recent.state())
    for kept in (recent, again):
        for t in range(14):
            since = sum((n for s, n in came.items() if s >= t), np.zeros(4, int))
            assert (kept.since(START + t)[0][:, 0] == since).all()
            assert (kept.since(START + t)[1][:, 0] == 2 * since).all()
            assert (kept.unknown_since(START + t) == 3 * since).all()
        seconds, showers, exceedances = kept.lately(300)
        assert seconds.tolist() == [START + t for t in sorted(came)]
        assert showers[:, 0].tolist() == [came[t].sum() for t in sorted(came)]
        assert exceedances[:, 0].tolist() == [2 * came[t].sum() for t in sorted(came)]
        last = [max((START + t for t in came if came[t][r]), default=-1) for r in range(4)]
        assert kept.last_seen().tolist() == last
