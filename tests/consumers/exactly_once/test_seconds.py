"""Laws of closing seconds: nobody is forgotten, nobody is waited for for ever, no clock is read."""

import numpy as np
import pytest
from closing import START, add, by_key, closing, flat, live, said, window

from consumers.exactly_once import seconds as rules
from consumers.exactly_once.closed import Closed
from consumers.exactly_once.seconds import PATIENCE_MS, QUIET_MS, WAIT_NS, Seconds
from consumers.exactly_once.stands import FRESH_MS, LINK_S, RETURN_MS, SECOND_NS


def test_a_second_closes_when_every_partition_is_past_it():
    seconds = Seconds()
    seconds.opened(0, 0)
    seconds.opened(1, 0)
    assert add(seconds, 0, START, 10) == []
    assert add(seconds, 0, START + 1, 20) == []
    assert add(seconds, 1, START, 30) == []
    closed = add(seconds, 1, START + 1, 40)
    assert [(w.key.second, late) for w, late in closed] == [(START, False)]
    assert closed[0][0].regions.tolist() == [0, 1]


def test_an_idle_partition_moves_with_the_newest():
    seconds = Seconds()
    for k in range(5):
        add(seconds, 0, START + k, 10 * k)
        add(seconds, 1, START, 10 * k, caught_up=True, empty=True)
    assert seconds.closed == START + 3  # a second behind the newest: more may be under way


def test_being_idle_once_says_nothing_of_what_came_after():
    seconds = Seconds()
    add(seconds, 0, START, 0)
    add(seconds, 1, START, 1, caught_up=True, empty=True)
    for k in range(1, 10):
        add(seconds, 0, START + k, 10 * k)
    assert seconds.closed == START  # a worker that hangs now is no silent region
    (late, *_) = add(seconds, 1, START + 8, 100)
    assert late[1] is False
    assert seconds.closed == START + 8


def test_a_partition_that_catches_up_is_waited_for_and_a_dead_one_is_not():
    seconds = Seconds()
    seconds.opened(1, 0)
    for k in range(100):
        add(seconds, 0, START + k, 10 * k)
    assert seconds.closed == 0
    add(seconds, 0, START + 100, PATIENCE_MS - 1)
    assert seconds.closed == 0
    closed = add(seconds, 0, START + 101, PATIENCE_MS + 1)
    assert seconds.closed == START + 101
    assert [w.key.second for w, _ in closed] == list(range(START, START + 101))


def test_what_comes_late_is_said_to_be_late():
    seconds = Seconds()
    for k in range(4):
        add(seconds, 0, START + k, k)
    (late,) = add(seconds, 1, START, 10)
    assert late[1]
    assert late[0].key.second == START


def test_the_end_of_a_stream_closes_what_is_open():
    seconds = Seconds()
    add(seconds, 0, START, 0, caught_up=True)
    assert add(seconds, 0, START, QUIET_MS, caught_up=True, empty=True) == []
    closed = add(seconds, 0, START, QUIET_MS + 1, caught_up=True, empty=True)
    assert [w.key.second for w, _ in closed] == [START]


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_lost_and_seconds_close_once_and_in_order(seed):
    rng = np.random.default_rng(seed)
    seconds, out, n_in = Seconds(), [], 0
    at, clock = [float(START)] * 3, 0
    for _ in range(300):
        p = int(rng.integers(3))
        at[p] += rng.exponential(0.5)
        clock += int(rng.integers(0, 300))
        one = window(0, int(at[p]), [p])
        n_in += one.n
        idle = bool(rng.random() < 0.3)
        out += seconds.add(said(p, at[p], caught_up=idle), by_key(one), clock)
    out += seconds.add(said(0, at[0], caught_up=True), {}, clock)
    for p in range(3):
        out += seconds.add(said(p, at[p], caught_up=True), {}, clock + 2 * QUIET_MS)
    out = flat(out)
    on_time = [w.key.second for w, late in out if not late]
    assert on_time == sorted(set(on_time))
    assert sum(w.n for w, _ in out) == n_in
    assert seconds.windows == {}


def test_what_no_broker_answered_for_is_unknown_and_then_not_waited_for():
    seconds, out = Seconds(), []
    for k in range(20):
        out += live(seconds, dict.fromkeys(range(3), START + k), k)
    for k in range(20, 60):
        out += live(seconds, {0: START + k, 1: START + k}, k)
        away = 1000 * (k - 20) + 100
        out += live(seconds, {2: START + 19}, k, empty=True, answered_ms=away)
        if FRESH_MS < away < PATIENCE_MS:
            assert seconds.closed <= START + 20 + FRESH_MS // 1000
    assert seconds.closed >= START + 57
    last = out[-1]
    assert last.second >= START + 56
    assert last.unproven == {2}
    assert seconds.unknown(last, range(3)) == {2}
    assert list(seconds.silent()) == [2]


def leader_away(seconds):
    """Twenty seconds of three partitions; then nobody answers for the third for four more."""
    for k in range(20):
        live(seconds, dict.fromkeys(range(3), START + k), k)
    for k in range(20, 24):
        live(seconds, {0: START + k, 1: START + k}, k)
        live(seconds, {2: START + 19}, k, empty=True, answered_ms=1000 * (k - 19) + 500)


def test_a_partition_that_is_answered_for_again_is_unknown_until_its_producers_are_back():
    seconds, out = Seconds(), []
    leader_away(seconds)
    for k in range(24, 31):  # its broker is back and has nothing: producers try again later
        out += live(seconds, {0: START + k, 1: START + k}, k)
        out += live(seconds, {2: START + 19}, k, empty=True)
    assert out
    assert all(closed.unproven == {2} for closed in out)
    assert seconds.closed >= START + 28  # nobody waits for it
    for k in range(20, 32):
        live(seconds, {2: START + k}, 31)
    out = []
    for k in range(32, 40):
        out += live(seconds, dict.fromkeys(range(3), START + k), k)
    assert [closed.unproven for closed in out if closed.second >= START + 32] == [set()] * 7


def test_a_worker_that_waited_itself_while_the_broker_was_away_proves_no_silence_either():
    seconds = Seconds()
    for k in range(20):
        live(seconds, dict.fromkeys(range(3), START + k), k)
    out = live(seconds, {0: START + 24, 1: START + 24}, 24)
    out += live(seconds, {2: START + 19}, 24, empty=True)
    out += live(seconds, {0: START + 26, 1: START + 26}, 26)
    out += live(seconds, {2: START + 19}, 26, empty=True)
    assert {closed.second for closed in out} == {START + 19, START + 24}
    assert all(closed.unproven == {2} for closed in out if closed.second > START + 19)


def test_a_worker_that_speaks_seldom_proves_what_its_broker_says():
    seconds, out = Seconds(), []
    for k in range(20):
        live(seconds, dict.fromkeys(range(3), START + k), k)
    for k in range(20, 80):
        out += live(seconds, {0: START + k, 1: START + k}, k)
        if k % 3 == 0:
            out += live(seconds, {2: START + 19}, k, empty=True)
    assert out[-1].second >= START + 75
    assert out[-1].unproven == set()


def test_a_partition_whose_producers_do_not_come_back_has_nothing_in_the_end():
    seconds, out = Seconds(), []
    leader_away(seconds)
    for k in range(24, 70):
        out += live(seconds, {0: START + k, 1: START + k}, k)
        out += live(seconds, {2: START + 19}, k, empty=True)
    assert out[-1].second >= START + 67
    assert out[-1].unproven == set()
    assert min(c.second for c in out if not c.unproven) <= START + 24 + RETURN_MS // 1000


def test_a_region_that_came_on_two_partitions_is_unknown_while_either_is():
    seconds = Seconds()
    for k in range(10):
        live(seconds, {0: START + k, 1: START + k}, k)
    seconds.routes[7] = {0, 1}
    seconds.routes[8] = {0}
    closed = Closed(START, (), unproven=frozenset({1}))
    assert seconds.unknown(closed, [0, 1, 7, 8, 9]) == {1, 7, 9}


@pytest.mark.slow
def test_a_partition_far_behind_is_not_waited_for_though_it_goes_on():
    seconds = Seconds()
    for k in range(1000):
        closing(seconds, 0, START + k, 10 * k)
        closing(seconds, 1, START + k // 10, 10 * k + 1)
    assert seconds.closed >= START + 100
    assert len(seconds.windows) <= WAIT_NS // SECOND_NS + LINK_S


def test_open_windows_are_bounded_and_what_is_over_the_bound_is_counted(monkeypatch):
    monkeypatch.setattr(rules, "MAX_ROWS", 50)
    seconds, out = Seconds(), []
    seconds.opened(1, 0)
    for k in range(100):
        out += closing(seconds, 0, START + k, 10 * k)
    assert len(seconds.windows) <= 50
    assert seconds.counted["forced"] == 50
    assert all(c.unproven == {1} for c in out)


@pytest.mark.slow
def test_what_stands_in_a_snapshot_goes_on_as_if_nothing_had_been():
    seconds = Seconds()
    for k in range(50):
        live(seconds, {p: START + k + (7200 if p == 0 else 0) for p in range(4)}, k)
    heir = Seconds.from_json(seconds.to_json())
    heir.windows.update(seconds.windows)
    heir.held = dict(seconds.held)
    for k in range(50, 120):
        times = {p: START + k + (7200 if p == 0 else 0) for p in range(4)}
        ours, theirs = live(seconds, times, k), live(heir, times, k)
        assert [(c.second, c.late, c.unproven) for c in ours] == [
            (c.second, c.late, c.unproven) for c in theirs
        ]
    assert heir.to_json() == seconds.to_json()


def test_the_end_of_a_stream_proves_nothing_of_a_partition_that_nobody_speaks_for():
    seconds = Seconds()
    for k in range(3):
        live(seconds, {0: START + k, 1: START + k}, k)
    out = []
    for k in range(3, 30):  # nothing comes, and the worker of partition 1 is dead
        out += live(seconds, {0: START + 2}, k, empty=True)
        assert not out or k > PATIENCE_MS / 1000
    assert [c.second for c in out][-1] == START + 2
    assert out[-1].unproven == {1}


def test_a_partition_that_died_long_ago_does_not_hold_the_streams_time():
    seconds = Seconds()
    for k in range(10):
        live(seconds, dict.fromkeys(range(3), START + k), k)
    for k in range(10, 80):  # two workers are dead, and the stream jumps
        live(seconds, {0: START + 3600 + k}, k)
    assert seconds.newest_ns // SECOND_NS == START + 3679
    assert seconds.closed >= START + 3670
