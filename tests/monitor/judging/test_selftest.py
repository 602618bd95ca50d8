"""The self-test finds the faults that it injects, says so when it cannot, and touches nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest
from streams import GEOMETRY, Stream, expectation

from monitor.judging.monitor import Monitor
from monitor.judging.selftest import SCHEDULE, Injection, SelfTesting
from monitor.judging.settings import MonitorSettings
from monitor.quality.quality import Quality
from monitor.sequential.budget import Allowance


def watched(stream: Stream, seconds: int, schedule=SCHEDULE, **settings):
    rng = np.random.default_rng(5)
    judge = Monitor(
        stream.detector, GEOMETRY, expectation(50_000, rng), MonitorSettings(**settings)
    )
    judge.self_test = SelfTesting(judge, schedule)
    said = [record for _ in range(seconds) for record in judge.observe(stream.next())]
    return judge, said


@pytest.mark.slow
def test_every_fault_of_the_schedule_is_found_and_none_reaches_the_real_verdicts():
    judge, said = watched(Stream(), 400)
    results = {test.fault: test for test in judge.standing().self_tests}
    assert set(results) == {injection.name for injection in SCHEDULE}
    assert all(test.found >= test.injected - 1 for test in results.values())
    assert all(test.delay_s < 60 for test in results.values() if test.found)
    assert {getattr(record, "quality", Quality.GOOD) for record in said} == {Quality.GOOD}
    assert judge.open_alarms() == ()
    assert judge.view.budget().pages == 0


@pytest.mark.slow
def test_a_fault_that_cannot_be_found_counts_as_missed():
    nothing = (Injection("nothing", lambda window, _row, _cell, _rng: window),)
    judge, _ = watched(Stream(regions=4), 455, nothing)
    (test,) = judge.standing().self_tests
    assert test.injected == 3
    assert test.found == 0
    assert math.isnan(test.delay_s)


@pytest.mark.slow
def test_no_more_faults_are_found_than_were_injected():
    """A region that lacks data, or has an alarm, when its turn comes is struck a little later."""
    stream = Stream()
    judge, _ = watched(stream, 30, SCHEDULE[:1])
    stream.silent = {0}  # whose turn it is
    judge.observe(stream.next())
    stream.silent = set()
    for _ in range(60):
        judge.observe(stream.next())
        for test in judge.standing().self_tests:
            assert test.found <= test.injected
    (test,) = judge.standing().self_tests
    assert test.found == test.injected >= 1
    assert test.delay_s < 20


@pytest.mark.slow
def test_the_shadow_changes_nothing_of_what_the_monitor_says():
    ours, theirs = Stream(seed=3), Stream(seed=3)
    plain = Monitor(ours.detector, GEOMETRY, expectation(50_000, np.random.default_rng(5)))
    tested, _ = watched(theirs, 60)
    for _ in range(60):
        plain.observe(ours.next())
    ours.strange = theirs.strange = {1: 0.2}
    for _ in range(40):
        assert plain.observe(ours.next()) == tested.observe(theirs.next())


@pytest.mark.slow
def test_the_score_survives_a_change_of_judge():
    judge, _ = watched(Stream(), 200)
    heir, _ = watched(Stream(), 0, allowance=Allowance())
    heir.restore(judge.state())
    assert heir.standing().self_tests == judge.standing().self_tests
