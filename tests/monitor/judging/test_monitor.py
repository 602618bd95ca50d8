"""The monitor finds each fault, names the place, stays quiet on good data, and does it again alike."""

from __future__ import annotations

import numpy as np
import pytest
from judged import LAYER, STRIP, alarms, monitor, play, verdicts
from streams import GEOMETRY, START, Stream, expectation

from monitor.detector.tree import Level
from monitor.quality.alarms import Alarm, Kind, Severity, State
from monitor.quality.quality import Quality
from monitor.windows.rows import KeptRows, rows_of


@pytest.mark.slow
def test_good_data_raise_nothing_and_are_good():
    stream = Stream()
    judge = monitor(stream)
    said = play(judge, stream, 300)
    assert alarms(said) == []
    assert {v.quality for v in verdicts(said)} == {Quality.GOOD}
    assert len(verdicts(said)) == 8 * (300 // 23)
    standing = judge.standing()
    assert {row.quality for row in standing.board} == {Quality.GOOD}
    assert standing.budget.pages == 0


FAULTS = {
    "strange showers": ({"strange": {2: 0.1}}, "exceedances", 15),
    "too few anomalies": ({"dull": {2: 1.0}}, None, 60),
    "a cell's mean": ({"shift": {(2, STRIP): 1.0}}, "latent mean", 30),
    "a noisy cell": ({"spread": {(2, STRIP): 2.0}}, "latent spread", 30),
    "a dead cell": ({"spread": {(2, STRIP): 0.05}}, "latent spread", 30),
    "a cell that is never lit": ({"lit": {(2, STRIP): 0.0}}, "occupancy", 60),
    "a cell that is always lit": ({"lit": {(2, STRIP): 1.0}}, "occupancy", 30),
    "gain": ({"shift": {(2, LAYER): 0.4}}, "latent mean", 60),
    "silence": ({"silent": {2}}, "silent region", 30),
    "unscored showers": ({"unscored": {2: 0.5}}, "unscored showers", 15),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found_in_its_region_and_dated(fault):
    change, test, within = FAULTS[fault]
    stream = Stream()
    judge = monitor(stream)
    assert alarms(play(judge, stream, 60)) == []
    for name, value in change.items():
        setattr(stream, name, value)
    raised = [a for a in alarms(play(judge, stream, within)) if a.state is State.RAISED]
    assert [(a.place, a.level) for a in raised] == [("A3", Level.REGION)]
    assert test is None or raised[0].test == test
    assert abs(raised[0].onset_ns / 1e9 - (START + 60)) <= 6
    assert judge.open_alarms()[0].severity is Severity.PAGE
    assert raised[0].regions[0].region == 2
    assert "A3" in raised[0].summary


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["a cell's mean", "a noisy cell", "a dead cell"])
def test_a_cell_that_is_off_is_named(fault):
    stream = Stream()
    judge = monitor(stream)
    play(judge, stream, 40)
    for name, value in FAULTS[fault][0].items():
        setattr(stream, name, value)
    play(judge, stream, 40)
    alarm = judge.open_alarms()[0]
    assert alarm.cells[0].name == GEOMETRY.cell_name(STRIP)
    assert alarm.cells[0].share > 0.8
    assert alarm.kind in {Kind.HOT, Kind.DEAD}


@pytest.mark.slow
def test_what_is_known_of_a_fault_grows_with_its_age_and_little_is_kept():
    from monitor.windows.step_history import ALIKE, LONGEST_S, Spell, remembered

    none = rows_of(Stream().next(), monitor(Stream()).places)
    past: list[Spell] = []
    for second in range(3000):
        past = remembered(past, Spell(second, 1, KeptRows.of(none)))
        covered = sum(spell.seconds for spell in past)
        assert covered == second + 1 or covered >= 2 * LONGEST_S
        assert past[-1].since == second
        assert [s.since for s in past[1:]] == [s.since + s.seconds for s in past[:-1]]
        assert len(past) <= ALIKE * 9
    assert int(past[0].rows.counts.showers.sum()) == past[0].seconds * int(none.showers.sum())


def test_a_fault_of_a_second_ago_is_not_seen_through_the_good_ones_before_it():
    from monitor.reference.expectation import no_showers
    from monitor.windows.step_history import StepHistory

    rows = rows_of(Stream().next(), monitor(Stream()).places)
    memory = StepHistory(3, no_showers(expectation(), 8))
    assert not memory.since(0).showers.any()
    for onset in range(60):
        memory.add(onset, rows, new=True)
        assert np.array_equal(memory.since(onset).showers, rows.showers)
        memory.add(onset, rows, new=False)
        assert np.array_equal(memory.since(onset).z, 2 * rows.z)
    again = StepHistory(3, no_showers(expectation(), 8))
    again.restore(memory.state())
    for one, other in zip(memory.past, again.past, strict=True):
        assert one.since == other.since
        assert np.array_equal(one.rows.counts.p_counts, other.rows.counts.p_counts)
    memory.forget()
    assert memory.add(60, rows, new=True) is None
    assert memory.add(61, rows, new=True) is None
    assert memory.add(60, rows, new=False) is None
    step = memory.add(62, rows, new=True)
    assert (step.since, step.seconds) == (60, 3)
    assert np.array_equal(step.rows.lit, 4 * rows.lit)


@pytest.mark.slow
def test_a_change_below_the_floor_does_not_page():
    stream = Stream(seed=4)
    judge = monitor(stream, n_ref=10_000_000)
    stream.shift = {(r, c): 0.02 for r in range(8) for c in range(LAYER)}
    assert alarms(play(judge, stream, 300)) == []


@pytest.mark.slow
def test_the_same_change_pages_without_the_floor():
    from monitor.sequential.rates import Floors

    stream = Stream(seed=4)
    judge = monitor(stream, n_ref=10_000_000, floors=Floors(mean=0.0, spread=0.0))
    stream.shift = {(r, c): 0.08 for r in range(8) for c in range(LAYER)}
    assert alarms(play(judge, stream, 300))


@pytest.mark.slow
def test_a_fault_everywhere_is_one_alarm_of_the_detector():
    stream = Stream()
    judge = monitor(stream)
    play(judge, stream, 40)
    stream.strange = dict.fromkeys(range(8), 0.02)
    raised = [a for a in alarms(play(judge, stream, 120)) if a.state is State.RAISED]
    assert [a.level for a in raised] == [Level.DETECTOR]
    assert len(raised[0].regions) == 8


@pytest.mark.slow
def test_a_second_fault_elsewhere_still_alarms():
    stream = Stream()
    judge = monitor(stream)
    play(judge, stream, 40)
    stream.strange = {2: 0.2}
    play(judge, stream, 40)
    stream.strange = {2: 0.2, 6: 0.1}
    raised = [a.place for a in alarms(play(judge, stream, 40)) if a.state is State.RAISED]
    assert raised == ["B3"]


def two_faults_at_once(second: dict) -> list[Alarm]:
    stream = Stream()
    judge = monitor(stream)
    play(judge, stream, 40)
    stream.shift = {(2, STRIP): 3.0}
    for name, value in second.items():
        setattr(stream, name, getattr(stream, name) | value)
    play(judge, stream, 60)
    return list(judge.open_alarms())


@pytest.mark.slow
def test_faults_of_two_kinds_in_two_sectors_are_two_alarms_even_at_once():
    found = two_faults_at_once({"spread": {(6, 5): 0.02}, "lit": {(6, 5): 0.0}})
    assert {(a.place, a.kind) for a in found} == {("A3", Kind.HOT), ("B3", Kind.DEAD)}


@pytest.mark.slow
def test_two_faults_of_one_kind_at_once_are_told_as_one():
    found = two_faults_at_once({"shift": {(2, STRIP): 3.0, (6, STRIP): 3.0}})
    assert len(found) == 1
    assert {share.name for share in found[0].regions} == {"A3", "B3"}


@pytest.mark.slow
def test_a_stand_by_that_takes_over_says_the_same():
    stream, other = Stream(), Stream()
    first, second = monitor(stream), monitor(stream)
    play(first, stream, 50)
    play(second, other, 50)
    stream.strange = other.strange = {2: 0.03}
    play(first, stream, 8)
    before = play(second, other, 8)
    heir = monitor(stream)
    heir.restore(first.state())
    windows = [stream.next() for _ in range(100)]
    expected = [said for w in windows for said in first.observe(w)]
    assert [said for w in windows for said in heir.observe(w)] == expected
    assert alarms(before) or alarms(expected)
    assert heir.standing().board == first.standing().board


@pytest.mark.slow
def test_it_does_not_matter_how_a_second_is_put_together():
    stream = Stream(regions=4)
    stream.strange = {1: 0.02}
    whole, parts = monitor(stream), monitor(stream)
    said_whole, said_parts = [], []
    for _ in range(80):
        a, b = stream.window(stream.second), stream.window(stream.second)
        stream.second += 1
        said_whole += whole.observe(a + b)
        said_parts += parts.observe(b + a)
    assert alarms(said_whole)
    assert said_whole == said_parts


def test_the_evidence_of_an_alarm_can_be_checked():
    stream = Stream()
    judge = monitor(stream)
    play(judge, stream, 60)
    stream.strange = {2: 0.1}
    play(judge, stream, 30)
    alarm = judge.open_alarms()[0]
    assert alarm.observed > 3 * alarm.expected
    assert 0 < alarm.expected_sd < alarm.expected
    assert alarm.log10_odds > 6
    assert alarm.reference.showers > 40_000
    for words in (f"{alarm.observed:,.0f} anomalies", "expected", "at most once in", "UTC"):
        assert words in alarm.text


def test_regions_that_the_detector_does_not_have_are_left_out():
    stream, larger = Stream(regions=4), Stream(regions=8)
    judge = monitor(stream)
    larger.strange = {6: 1.0}
    said = play(judge, larger, 60)
    assert alarms(said) == []
    assert {v.region for v in verdicts(said)} == {0, 1, 2, 3}
    assert {v.quality for v in verdicts(said)} == {Quality.GOOD}
