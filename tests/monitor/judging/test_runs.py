"""Runs and lumisections as they come: stale numbers, restarts, endless ones, late ones."""

from collections import Counter

import numpy as np
import pytest
from streams import GEOMETRY, START, Stream, expectation

from monitor.judging.monitor import Monitor
from monitor.judging.settings import MonitorSettings
from monitor.quality.alarms import Alarm, State
from monitor.quality.quality import Quality
from monitor.quality.run_acts import RunAct, RunOrder
from monitor.quality.verdicts import Verdict
from monitor.verdicts.lumisections import KEPT, LONG_S
from monitor.verdicts.section import LONGEST


def monitor(stream):
    reference = expectation(50_000, np.random.default_rng(99))
    return Monitor(stream.detector, GEOMETRY, reference, MonitorSettings())


def raised(said):
    return [a for a in said if isinstance(a, Alarm) and a.state is State.RAISED]


def verdicts(said):
    return [v for v in said if isinstance(v, Verdict)]


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 2, 10])
@pytest.mark.parametrize("fault", [{"strange": {2: 0.5}}, {"shift": {(2, 3): 1.0}}])
def test_a_few_showers_with_a_stale_run_blind_nobody(every, fault):
    stream, stale = Stream(run=2), Stream(run=1, rate=4, seed=5)
    judge, said = monitor(stream), []
    for t in range(120):
        if t == 60:
            vars(stream).update(fault)
        window, other = stream.next(), stale.next()
        said += judge.observe(*((other, window) if t % every == 0 else (window,)))
    (alarm,) = raised(said)
    assert alarm.place == "A3"
    assert alarm.raised_ns // 10**9 - START <= 75
    assert {v.run for v in verdicts(said)} == {2}
    assert dict(judge.standing().stream.strays)["run"] > 0
    assert {v.quality for v in verdicts(said) if v.region == 2} == {Quality.GOOD, Quality.BAD}


@pytest.mark.slow
def test_showers_with_a_stale_run_count_where_the_others_are():
    stream, stale = Stream(run=2, regions=4), Stream(run=1, rate=40, seed=5, regions=4)
    judge, said, n = monitor(stream), [], 0
    for _ in range(23 * 4):
        window, other = stream.next(), stale.next()
        n += window.n + other.n
        said += judge.observe(other, window)
    said += judge.close()
    newest = {(v.run, v.lumisection, v.region): v for v in verdicts(said)}
    assert {run for run, _, _ in newest} == {2}
    assert sum(v.showers for v in newest.values()) == n


@pytest.mark.slow
def test_the_last_lumisection_of_a_run_gets_its_verdict_when_numbers_start_again():
    stream = Stream(regions=4, run=50)
    judge, said = monitor(stream), []
    for t in range(23 * 3 + 60):
        if t == 23 * 2 + 10:
            stream.run = 1
        said += judge.observe(stream.next())
    told = Counter((v.run, v.lumisection, v.version) for v in verdicts(said))
    assert told[50, 1, 1] == told[50, 2, 1] == told[50, 3, 1] == 4
    assert judge.standing().run == 1
    last = [v for v in verdicts(said) if (v.run, v.lumisection) == (50, 3)]
    assert {v.known[-1][1] for v in last} == {START + 56}


@pytest.mark.slow
def test_an_endless_lumisection_gets_verdicts_and_does_not_grow():
    stream = Stream(regions=2, rate=20)
    judge, said = monitor(stream), []
    for _ in range(2 * LONG_S + 10):
        window = stream.next()
        key = window.key._replace(lumisection=1)
        said += judge.observe(type(window)(**{**_fields(window), "key": key}))
    assert Counter(v.version for v in verdicts(said)) == {1: 2, 2: 2}
    ((begin, end),) = verdicts(said)[-1].known
    assert (begin, end) == (START, pytest.approx(START + 2 * LONG_S, abs=4))
    (section,) = judge.sections.sections().values()
    assert len(section.seconds) <= LONGEST


def _fields(window):
    return {name: getattr(window, name) for name in window.__dataclass_fields__}


@pytest.mark.slow
def test_what_is_later_than_all_that_is_kept_makes_no_new_verdict():
    stream = Stream(regions=2, rate=200)
    judge, said = monitor(stream), []
    early = stream.window(START + 5)
    for _ in range(23 * (KEPT + 5)):
        said += judge.observe(stream.next())
    before = len(verdicts(said))
    said += judge.observe(early, late=True)
    assert len(verdicts(said)) == before
    assert dict(judge.standing().stream.strays)["beyond"] == early.n


@pytest.mark.slow
def test_a_clock_that_was_ahead_and_is_mended_leaves_no_blindness():
    stream = Stream(regions=4, second=START + 7200)
    judge, said = monitor(stream), []
    for _ in range(60):
        said += judge.observe(stream.next(), late=False)
    stream.second = START
    for t in range(60):
        stream.strange = {1: 0.5} if t >= 40 else {}
        said += judge.observe(stream.next(), late=False)
    (alarm,) = raised(said)
    assert START + 38 <= alarm.onset_ns // 10**9 <= START + 45
    assert judge.standing().data_second == START + 59


@pytest.mark.slow
def test_a_run_that_is_said_to_end_gets_its_verdict_and_is_silent_in_peace():
    stream = Stream(regions=4, rate=400)
    judge, said = monitor(stream), []
    for _ in range(60):
        said += judge.observe(stream.next())
    before = len(verdicts(said))
    said += judge.run_act(RunAct(RunOrder.END, 1, at=0))
    assert [(v.lumisection, v.version) for v in verdicts(said)[before:]] == [(3, 1)] * 4
    stream.silent = {1, 2, 3}  # the front ends stop one after the other
    for _ in range(40):
        said += judge.observe(stream.next())
    assert raised(said) == []
    stream.run, stream.silent = 2, {1}
    for _ in range(40):
        said += judge.observe(stream.next())
    assert [a.place for a in raised(said)] == ["A2"]


@pytest.mark.slow
def test_a_run_that_is_said_to_begin_may_have_a_lower_number_other_regions_and_conditions():
    stream = Stream(regions=4, rate=400, run=50)
    judge, said = monitor(stream), []
    for _ in range(60):
        said += judge.observe(stream.next())
    said += judge.run_act(RunAct(RunOrder.START, 3, at=0, regions=(0, 1, 2), key="1200 V"))
    stream.run, stream.silent = 3, {3}
    for _ in range(60):
        said += judge.observe(stream.next())
        assert judge.standing().run == 3
    assert judge.conditions.key == "1200 V"
    assert raised(said) == []
    assert {v.run for v in verdicts(said)[-4:]} == {3}


def test_a_lumisection_that_was_taken_to_be_over_goes_on_without_a_verdict_each_second():
    stream = Stream(regions=4)
    judge, said = monitor(stream), []
    for _ in range(5):
        said += judge.observe(stream.next())
    said += judge.close()
    for _ in range(10):
        said += judge.observe(stream.next())
    assert len(verdicts(said)) == 4
    said += judge.close()
    assert [v.version for v in verdicts(said)] == [1] * 4 + [2] * 4
    assert judge.close() == ()
