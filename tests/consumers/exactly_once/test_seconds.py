"""Laws of closing seconds: nobody is forgotten, nobody is waited for for ever, no clock is read."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import spoken
from spoken import entry

from consumers.exactly_once import seconds as rules
from consumers.exactly_once.closed import Closed
from consumers.exactly_once.seconds import HOLD_MS, PATIENCE_MS, QUIET_MS, WAIT_NS, Seconds
from consumers.exactly_once.stands import FRESH_MS, JUMP_MS, LINK_S, SECOND_NS

START = 1_767_225_600


def window(seed, second, regions):
    one = drawn(seed, tuple(regions))
    return replace(one, key=one.key._replace(second=second))


@cache
def drawn(seed, regions):
    return spoken.window(seed, START, list(regions))


def said(partition, second, *, caught_up=False, **changes):
    watermark = int(second * SECOND_NS)
    return entry(partition=partition, watermark_ns=watermark, caught_up=caught_up, **changes)


def closing(seconds, partition, second, at_ms, *, caught_up=False, empty=False, **changes):
    windows = {} if empty else by_key(window(0, int(second), [partition]))
    changes = {"records": 0, **changes} if empty else changes
    return seconds.add(said(partition, second, caught_up=caught_up, **changes), windows, at_ms)


def add(seconds, *what, **changes):
    return flat(closing(seconds, *what, **changes))


def flat(closed):
    return [(found["m"], c.late) for c in closed for found in c.windows]


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
    add(seconds, 2, START + 7200, 1)
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
    out = flat(out)
    on_time = [w.key.second for w, late in out if not late]
    assert on_time == sorted(set(on_time))
    assert sum(w.n for w, _ in out) == n_in
    assert seconds.windows == {}


def live(seconds, times, k, at_ms=None, **changes):
    """Bring a second of each partition, all read to their ends; return what that closes."""
    out = []
    for partition, second in times.items():
        at = 1000 * k + partition if at_ms is None else at_ms(partition)
        out += closing(seconds, partition, second, at, caught_up=True, **changes)
    return out


def tally(closed):
    """Return how many windows were in time, and how many late."""
    late = sum(len(c.windows) for c in closed if c.late)
    return sum(len(c.windows) for c in closed) - late, late


@pytest.mark.slow
@pytest.mark.parametrize("partitions", [4, 16])
@pytest.mark.parametrize("behind", [3, 20])
def test_partitions_that_come_behind_are_late_only_until_that_is_learnt(partitions, behind):
    seconds, out = Seconds(), []
    for k in range(120):
        times = {p: START + k - (behind if p else 0) for p in range(partitions)}
        out += live(seconds, {p: t for p, t in times.items() if t >= START}, k)
    assert tally(out)[1] <= behind * partitions
    assert not any(c.late for c in out if c.second > START + behind)
    assert seconds.closed == START + 119 - behind
    assert all(not c.unproven for c in out if c.second > START + behind)


def test_producers_apart_within_a_partition_are_waited_for_once_that_is_learnt():
    seconds, out = Seconds(), []
    for k in range(60):
        out += live(seconds, {0: START + k}, k)
        out += live(seconds, {0: START + k - 3}, k) if k >= 3 else []
    assert tally(out)[1] <= 4
    assert not any(c.late for c in out[10:])


def test_a_latency_beyond_the_setting_is_not_waited_for():
    seconds, out = Seconds(latency_s=5.0), []
    for k in range(60):
        out += live(seconds, {0: START + k} | ({1: START + k - 20} if k >= 20 else {}), k)
    assert seconds.closed >= START + 59 - 8
    assert tally(out)[1] >= 30


@pytest.mark.slow
def test_a_latency_that_is_over_is_forgotten():
    seconds = Seconds()
    for k in range(40):
        live(seconds, {0: START + k} | ({1: START + k - 20} if k >= 20 else {}), k)
    assert seconds.stands[1].latency_ns == 20 * SECOND_NS
    for k in range(40, 2060):
        live(seconds, {0: START + k, 1: START + k}, k)
    assert seconds.stands[1].latency_ns <= SECOND_NS


@pytest.mark.slow
def test_a_partition_two_hours_ahead_opens_few_windows_and_its_showers_are_put_where_the_others_are():
    seconds, out, n_in = Seconds(), [], 0
    for k in range(600):
        times = {p: START + k + (7200 if p == 0 else 0) for p in range(4)}
        n_in += sum(window(0, t, [p]).n for p, t in times.items())
        out += live(seconds, times, k)
        assert len(seconds.windows) <= HOLD_MS / 1000 + 4
    assert START + 597 <= seconds.closed <= START + 600
    assert tally(out)[1] <= 2  # until the others have come
    assert max(c.second for c in out[2:]) < START + 600
    left = sum(found["m"].n for found in seconds.windows.values())
    assert sum(found["m"].n for c in out for found in c.windows) + left == n_in
    assert seconds.counted["ahead"] > 500 * window(0, START, [0]).n / 2
    settled = [c for c in out if c.second > START + 60]
    assert all(0 in np.concatenate([f["m"].regions for f in c.windows]) for c in settled)


@pytest.mark.slow
@pytest.mark.parametrize("partitions", [1, 4])
def test_records_a_day_ahead_move_nothing(partitions):
    seconds, out = Seconds(), []
    for k in range(300):
        ahead = {p: 86_000 if k == 100 and p in {0, 1} else 0 for p in range(partitions)}
        out += live(seconds, {p: START + k + ahead[p] for p in ahead}, k)
    assert tally(out)[1] == 0
    assert START + 297 <= seconds.closed <= START + 300
    assert seconds.windows.keys() <= {key for key in seconds.windows if key.second < START + 300}
    assert seconds.counted["ahead"] > 0


def test_regions_whose_showers_are_held_are_unknown():
    seconds = Seconds()
    for k in range(20):
        live(seconds, {0: START + k, 1: START + k}, k)
    out = live(seconds, {0: START + 20, 1: START + 20 + 7200}, 20)
    out += live(seconds, {0: START + 21, 1: START + 21 + 7200}, 21)
    out += live(seconds, {0: START + 24, 1: START + 24 + 7200}, 24)
    last = out[-1]
    assert seconds.unknown(last, range(2)) == {1}


@pytest.mark.slow
def test_a_worker_whose_clock_was_wrong_holds_nobody_up():
    def go(ahead_ms):
        seconds = Seconds()
        for p in range(4):
            seconds.opened(p, 0)
        closed = []
        for k in range(200):
            for p in (0, 1, 2, 3):
                if p == 1 and k >= 100:  # its worker dies and nobody takes over
                    continue
                at = 1000 * k + p + (ahead_ms if p == 0 and k < 60 else 0)
                closing(seconds, p, START + k, at, caught_up=p != 1)
            closed.append(seconds.closed - START)
        return closed

    assert go(3_600_000)[130:] == go(0)[130:]
    assert go(3_600_000)[130] >= 125


def test_a_stream_that_jumps_ahead_is_followed_and_nothing_of_it_is_moved():
    seconds, out = Seconds(), []
    for k in range(40):
        out += live(seconds, dict.fromkeys(range(2), START + k), k)
    for k in range(40, 100):
        out += live(seconds, dict.fromkeys(range(2), START + 86400 + k), k)
    assert tally(out)[1] == 0
    assert seconds.counted["ahead"] == 0
    assert seconds.closed >= START + 86_400 + 97
    assert [c.second for c in out] == sorted(c.second for c in out)


def test_a_stream_whose_clocks_were_all_ahead_and_are_mended_is_judged_again():
    seconds, out = Seconds(), []
    for k in range(60):
        out += live(seconds, dict.fromkeys(range(2), START + 7200 + k), k)
    for k in range(60, 160):
        out += live(seconds, dict.fromkeys(range(2), START + k), k)
    assert START + 156 <= seconds.closed <= START + 160
    assert not any(c.late for c in out[-20:])


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


def test_a_clock_set_by_more_than_a_minute_takes_no_time():
    seconds = Seconds()
    add(seconds, 0, START, 10**12)
    assert seconds.now_ms == 0
    add(seconds, 0, START, 10**12 + 500)
    add(seconds, 0, START, 10**12 + 1000 + JUMP_MS)
    add(seconds, 0, START, 10**12 + 1500 + JUMP_MS)
    assert seconds.now_ms == 1000


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
