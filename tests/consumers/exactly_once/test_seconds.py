"""Laws of closing seconds: nobody is forgotten, nobody is waited for for ever, no clock is read."""

import numpy as np
import pytest
from spoken import entry, window

from consumers.exactly_once.seconds import JUMP_NS, PATIENCE_MS, QUIET_MS, SECOND_NS, Seconds

START = 1_767_225_600


def said(partition, second, *, caught_up=False, offset=0):
    watermark = int(second * SECOND_NS)
    return entry(
        partition=partition, watermark_ns=watermark, caught_up=caught_up, begin=offset, end=offset
    )


def add(seconds, partition, second, at_ms, *, caught_up=False, empty=False):
    windows = {} if empty else by_key(window(0, int(second), [partition]))
    found = seconds.add(said(partition, second, caught_up=caught_up), windows, at_ms)
    return [(by_model["m"], late) for by_model, late in found]


def by_key(*windows):
    return {w.key: {"m": w} for w in windows}


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


def test_a_wrong_clock_does_not_set_the_pace():
    seconds = Seconds()
    add(seconds, 0, START, 0, caught_up=True)
    add(seconds, 1, START, 0)
    add(seconds, 2, START + 2 * JUMP_NS // SECOND_NS, 1)
    assert seconds.closed <= START


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
    out = [(by_model["m"], late) for by_model, late in out]
    on_time = [w.key.second for w, late in out if not late]
    assert on_time == sorted(set(on_time))
    assert sum(w.n for w, _ in out) == n_in
    assert seconds.windows == {}
