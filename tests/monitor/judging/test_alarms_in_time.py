"""An alarm lasts as long as its fault: it clears, comes back, and goes on over runs."""

from __future__ import annotations

import pytest
from judged import LAYER, alarms, monitor, play
from streams import Stream

from monitor.quality.alarms import State
from monitor.sequential.budget import Allowance


@pytest.mark.slow
def test_an_alarm_clears_when_its_fault_is_over_and_not_before():
    stream = Stream()
    judge = monitor(stream)
    play(judge, stream, 40)
    stream.strange = {2: 0.1}
    during = alarms(play(judge, stream, 120))
    assert all(a.state is not State.CLEARED for a in during)
    stream.strange = {}
    after = alarms(play(judge, stream, 200))
    assert after[-1].state is State.CLEARED
    assert {a.id for a in during} == {a.id for a in after}
    versions = [a.version for a in during + after]
    assert versions == sorted(set(versions))
    assert judge.open_alarms() == ()


@pytest.mark.slow
def test_trouble_that_comes_back_goes_on_with_the_same_alarm():
    stream = Stream()
    judge = monitor(stream)
    said = play(judge, stream, 40)
    for _ in range(2):
        stream.strange = {2: 0.2}
        said += play(judge, stream, 30)
        stream.strange = {}
        said += play(judge, stream, 200)
    assert len({a.id for a in alarms(said)}) == 1
    assert [a.state for a in alarms(said)].count(State.RAISED) == 2


@pytest.mark.slow
def test_a_new_run_starts_anew_but_an_open_fault_stays_one_alarm():
    stream = Stream()
    judge = monitor(stream)
    play(judge, stream, 40)
    stream.strange = {2: 0.1}
    play(judge, stream, 30)
    stream.run = 2
    said = alarms(play(judge, stream, 60))
    assert all(a.state is State.UPDATED for a in said)
    assert len(judge.open_alarms()) == 1


@pytest.mark.slow
def test_weak_evidence_does_not_add_up_over_runs():
    """Half a page's evidence in each of two runs is no page: the counterpart has one run."""
    said = {}
    for split in (False, True):
        stream = Stream(seed=12)
        judge = monitor(stream, allowance=Allowance(30, float("inf")))
        play(judge, stream, 40)
        stream.shift = {(2, LAYER): 0.25}
        said[split] = []
        for second in range(60):
            stream.run = 1 + (second // 6 if split else 0)
            said[split] += alarms(judge.observe(stream.next()))
    assert said[False]
    assert not said[True]


@pytest.mark.slow
def test_fewer_days_a_page_never_alarm_sooner():
    raised = {}
    for days in (0.01, 30.0):
        stream = Stream()
        judge = monitor(stream, allowance=Allowance(days, float("inf")))
        play(judge, stream, 60)
        stream.strange = {2: 0.02}
        said = alarms(play(judge, stream, 60))
        raised[days] = said[0].raised_ns
    assert raised[0.01] < raised[30.0]


@pytest.mark.slow
def test_a_weak_fault_that_goes_on_in_the_next_run_is_not_cleared():
    stream = Stream(seed=5)
    judge = monitor(stream)
    play(judge, stream, 30)
    stream.shift = {(2, LAYER): 0.3}
    assert alarms(play(judge, stream, 100))
    stream.run = 2
    assert all(a.state is State.UPDATED for a in alarms(play(judge, stream, 100)))
