"""Silence has to be proven: what is late, unknown or sparse is not silent."""

from dataclasses import replace

import numpy as np
import pytest
from streams import GEOMETRY, START, Stream, expectation

from monitor.judging.monitor import Monitor
from monitor.judging.settings import MonitorSettings
from monitor.quality.alarms import Alarm, State
from monitor.quality.quality import Quality
from monitor.quality.verdicts import Verdict


def monitor(stream):
    reference = expectation(50_000, np.random.default_rng(99))
    return Monitor(stream.detector, GEOMETRY, reference, MonitorSettings())


def part(window, regions):
    """Return what a window has of some regions."""
    rows = np.isin(window.regions, regions)
    dense = {
        name: getattr(window, name)[rows]
        for name in window.__dataclass_fields__
        if name not in {"key", "score_bins", "score_counts", "channels"}
    }
    return replace(window, **dense)


def alarms(said):
    return [(a.state.value, a.place) for a in said if isinstance(a, Alarm) and _news(a)]


def _news(alarm):
    return alarm.state is not State.UPDATED


@pytest.mark.slow
def test_what_comes_late_calls_nobody_silent():
    stream = Stream(rate=400)
    judge, said, held = monitor(stream), [], []
    for t in range(200):
        window = stream.next()
        if 80 <= t < 140:
            held.append(part(window, [2]))
            said += judge.observe(part(window, [0, 1, 3, 4, 5, 6, 7]), unknown=frozenset({2}))
        else:
            said += judge.observe(window)
        if t == 150:
            for late in held:
                said += judge.observe(late, late=True)
    assert alarms(said) == []


def test_a_region_of_which_nothing_is_known_is_null_with_that_reason():
    stream = Stream(rate=400)
    judge, said = monitor(stream), []
    for t in range(100):
        window = stream.next()
        away = t >= 46
        window = part(window, [0, 1, 3, 4, 5, 6, 7]) if away else window
        said += judge.observe(window, unknown=frozenset({2} if away else ()))
    assert alarms(said) == []
    mine = [v for v in said if isinstance(v, Verdict) and v.region == 2]
    assert [v.quality for v in mine] == [Quality.GOOD] * 2 + [Quality.NULL] * 2
    assert mine[-1].reason.startswith("unknown: 23 s without an answer")
    row = judge.standing().board[2]
    assert row.quality is Quality.NULL
    assert row.reason.startswith("unknown: ")
    assert judge.standing().stream.unknown == ("A3",)


def test_a_lumisection_that_is_known_after_all_is_not_unknown():
    stream = Stream(rate=400)
    judge, said, held = monitor(stream), [], []
    for t in range(60):
        window = stream.next()
        if 23 <= t < 46:
            held.append(part(window, [2]))
            window = part(window, [0, 1, 3, 4, 5, 6, 7])
            said += judge.observe(window, unknown=frozenset({2}))
        else:
            said += judge.observe(window)
    for late in held:
        said += judge.observe(late, late=True)
    newest = [v for v in said if isinstance(v, Verdict) and (v.lumisection, v.region) == (2, 2)][-1]
    assert (newest.quality, newest.reason) == (Quality.GOOD, "")


@pytest.mark.slow
def test_a_region_that_dies_with_others_away_is_still_found():
    stream = Stream(rate=400)
    judge, said = monitor(stream), []
    for t in range(90):
        stream.silent = {2} if t >= 60 else set()
        window = stream.next()
        if t >= 50:
            window = part(window, [0, 1, 2, 3])
        said += judge.observe(window, unknown=frozenset({4, 5, 6, 7} if t >= 50 else ()))
    assert alarms(said) == [("raised", "A3")]


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.1, 0.03])
def test_a_sparse_region_is_not_called_silent(rate):
    shares = _learnt(rate, 12_000)
    assert shares == pytest.approx(rate / (rate + 70), rel=0.35)


def _learnt(rate, seconds):
    from monitor.sequential.usual_traffic import Shares

    rng, shares = np.random.default_rng(1), Shares(8)
    nothing = np.zeros(8, bool)
    for _ in range(seconds):
        seen = rng.poisson([10, 10, rate, 10, 10, 10, 10, 10])
        shares.learn(seen, nothing, nothing)
    return float(shares.usual(nothing)[2])


@pytest.mark.slow
def test_a_dead_region_keeps_its_share_and_so_do_the_others():
    from monitor.sequential.usual_traffic import Shares

    rng, shares = np.random.default_rng(1), Shares(4)
    nothing = np.zeros(4, bool)
    for t in range(8000):
        rates = np.array([10, 10, 10, 10]) * (1.0 if t < 1000 else [1, 1, 0, 0])
        shares.learn(rng.poisson(rates), nothing, nothing)
    assert shares.usual(nothing) == pytest.approx([0.25] * 4, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(("dead_at", "turn"), [(60, 200), (195, 200), (200, 200)])
def test_a_region_that_is_dead_when_a_run_begins_is_told_of(dead_at, turn):
    stream = Stream(rate=400)
    judge, said = monitor(stream), []
    for t in range(300):
        stream.silent = {2} if t >= dead_at else set()
        stream.run = 2 if t >= turn else 1
        said += judge.observe(stream.next())
    assert alarms(said) == [("raised", "A3")]
    assert judge.open_alarms()[0].place == "A3"
    mine = [v for v in said if isinstance(v, Verdict) and (v.region, v.run) == (2, 2)]
    newest = {v.lumisection: v.quality for v in mine}
    assert set(newest.values()) == {Quality.BAD}


@pytest.mark.slow
def test_an_alarm_is_not_cleared_by_there_being_no_data():
    stream = Stream(rate=400)
    judge, said = monitor(stream), []
    for t in range(80):
        stream.strange = {2: 0.5} if t >= 60 else {}
        said += judge.observe(stream.next())
    for _ in range(200):  # a leader is away
        window = part(stream.next(), [4, 5, 6, 7])
        said += judge.observe(window, unknown=frozenset({0, 1, 2, 3}))
    assert alarms(said) == [("raised", "A3")]
    stream.second += 300  # nothing at all
    for _ in range(3):
        said += judge.observe(stream.next())
    assert alarms(said) == [("raised", "A3")]
    assert judge.standing().data_second == START + 582
