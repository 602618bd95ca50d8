"""A wrong clock moves no time, opens few windows and holds nobody up."""

import numpy as np
import pytest
from closing import START, add, closing, live, tally, window

from consumers.exactly_once.seconds import HOLD_MS, Seconds
from consumers.exactly_once.stands import JUMP_MS


def test_a_wrong_clock_does_not_set_the_pace():
    seconds = Seconds()
    add(seconds, 0, START, 0, caught_up=True)
    add(seconds, 1, START, 0)
    add(seconds, 2, START + 7200, 1)
    assert seconds.closed <= START


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


def test_a_clock_set_by_more_than_a_minute_takes_no_time():
    seconds = Seconds()
    add(seconds, 0, START, 10**12)
    assert seconds.now_ms == 0
    add(seconds, 0, START, 10**12 + 500)
    add(seconds, 0, START, 10**12 + 1000 + JUMP_MS)
    add(seconds, 0, START, 10**12 + 1500 + JUMP_MS)
    assert seconds.now_ms == 1000
