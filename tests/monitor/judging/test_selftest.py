"""The self-test finds the faults that it injects, says so when it cannot, and touches nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import GEOMETRY, Stream, expectation

from monitor.detector.places import Places
from monitor.detector.tree import Detector, Region, grid
from monitor.judging.monitor import Monitor
from monitor.judging.selftest import (
    SCHEDULE,
    WATCHED,
    Injection,
    SelfTesting,
    as_strict,
    watched_part,
)
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


UNEVEN = Detector(
    "uneven",
    tuple(Region(7 * i, f"r{i}", sector) for i, sector in enumerate("A" * 3 + "B" * 30 + "C" * 8)),
)


@given(st.sampled_from((grid("calo", 8, 8), grid("calo", 2, 3), UNEVEN)), st.data())
def test_no_place_of_the_copy_pages_at_less_evidence_than_in_the_whole_detector(whole, data):
    region = data.draw(st.sampled_from(whole.regions))
    part, allowance = watched_part(whole, region.id), Allowance(days_per_page=7)
    assert region in part.regions
    assert len(part.regions) == min(WATCHED, len(whole.regions))
    strict = as_strict(allowance, whole, part)
    needed = dict(zip(Places(whole).names, allowance.page_at(Places(whole)), strict=True))
    for name, asked in zip(Places(part).names, strict.page_at(Places(part)), strict=True):
        assert asked >= needed[name] * (1 - 1e-12)


def test_a_region_of_even_sectors_pages_in_the_copy_at_the_evidence_that_it_needs():
    whole = grid("calo", 8, 8)
    part, allowance = watched_part(whole, 20), Allowance()
    strict = as_strict(allowance, whole, part)
    needed = {float(x) for x in allowance.page_at(Places(whole))[-64:]}
    assert {float(x) for x in strict.page_at(Places(part))[-WATCHED:]} == needed


@pytest.mark.slow
def test_the_copy_finds_a_fault_though_it_watches_a_part_of_the_regions():
    judge, _ = watched(Stream(regions=40, rate=2500), 60, SCHEDULE[:1])
    (test,) = judge.standing().self_tests
    assert test.found == test.injected >= 1
    assert test.delay_s < 20


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
