"""A fault that is known hides no other, what fails together is one alarm, and words say what is so."""

from __future__ import annotations

from dataclasses import replace

import pytest
from judged import STRIP, begin, monitor, play, raised
from streams import GEOMETRY, START, Stream

from monitor.detector.tree import Level
from monitor.quality.alarms import Alarm, Kind, Severity, State
from monitor.quality.quality import Quality
from monitor.quality.verdicts import Verdict

RESPONSE = GEOMETRY.n_cells
EVERYWHERE = {
    "2 % strange": {"strange": dict.fromkeys(range(8), 0.02)},
    "gain": {"shift": {(r, RESPONSE): 0.3 for r in range(8)}},
    "uneven gain": {"shift": {(r, RESPONSE): 0.3 + 0.03 * r for r in range(8)}},
}
SECOND = {
    "silent": {"silent": {2}},
    "dead cell": {"lit": {(2, STRIP): 0.0}, "spread": {(2, STRIP): 0.05}},
    "half strange": {"strange": {2: 0.5}},
    "hot cell": {"shift": {(2, STRIP): 3.0}},
}


@pytest.mark.slow
@pytest.mark.parametrize("first", EVERYWHERE)
@pytest.mark.parametrize("second", SECOND)
def test_a_fault_everywhere_hides_no_second_one_in_a_region(first, second):
    stream = Stream(rate=800)
    judge = monitor(stream)
    play(judge, stream, 60)
    begin(stream, EVERYWHERE[first])
    said = raised(play(judge, stream, 140))
    assert [a.level for a in said] == [Level.DETECTOR]
    begin(stream, SECOND[second])
    said = raised(play(judge, stream, 60))
    assert [a.place for a in said] == ["A3"]
    assert {a.place for a in judge.open_alarms()} == {"calo", "A3"}
    assert raised(play(judge, stream, 60)) == []


@pytest.mark.slow
def test_a_fault_everywhere_that_goes_on_is_one_alarm_for_ten_minutes():
    stream = Stream(rate=800)
    judge = monitor(stream)
    play(judge, stream, 60)
    begin(stream, EVERYWHERE["uneven gain"])
    said = play(judge, stream, 300)
    begin(stream, {"shift": {(r, RESPONSE): 0.6 for r in range(8)}})  # and it grows
    said += play(judge, stream, 300)
    assert [a.level for a in raised(said)] == [Level.DETECTOR]
    assert [a.state for a in said if isinstance(a, Alarm)].count(State.CLEARED) == 0


@pytest.mark.slow
def test_a_stand_by_that_takes_over_under_a_fault_everywhere_says_the_same():
    stream = Stream(rate=800)
    judge, heir = monitor(stream), monitor(stream)
    play(judge, stream, 40)
    begin(stream, EVERYWHERE["2 % strange"])
    for moment in (20, 60):  # while what is usual is being gathered, and after
        play(judge, stream, moment)
        heir.restore(judge.state())
        begin(stream, {"shift": {(2, STRIP): 1.0}} if moment == 60 else {})
        windows = [stream.next() for _ in range(20)]
        told = [said for w in windows for said in judge.observe(w)]
        assert [said for w in windows for said in heir.observe(w)] == told


@pytest.mark.slow
def test_two_faults_that_begin_together_one_everywhere_are_both_told_of():
    stream = Stream(rate=800)
    judge = monitor(stream)
    play(judge, stream, 60)
    begin(stream, EVERYWHERE["gain"])
    begin(stream, SECOND["half strange"])
    said = play(judge, stream, 200)
    assert len(raised(said)) == 2
    assert {a.place for a in judge.open_alarms()} == {"A3", "calo"}
    assert [a for a in said if isinstance(a, Alarm) and a.state is State.CLEARED] == []


@pytest.mark.slow
def test_a_region_that_falls_silent_beside_a_fault_of_its_own_is_told_at_once():
    stream = Stream(rate=400)
    judge = monitor(stream)
    play(judge, stream, 60)
    stream.shift = {(2, STRIP): 1.0}
    assert [a.kind for a in raised(play(judge, stream, 60))] == [Kind.HOT]
    stream.silent = {2}
    said = play(judge, stream, 150)
    told = raised(said)
    assert [(a.place, a.kind) for a in told] == [("A3", Kind.SILENT)]
    assert told[0].raised_ns // 10**9 - START <= 120 + 12
    assert [a for a in said if isinstance(a, Alarm) and a.state is State.CLEARED] == []
    stream.silent = set()
    play(judge, stream, 60)
    assert [a.kind for a in judge.open_alarms()] == [Kind.HOT]


APART = {
    "dead cell": {"lit": {(2, STRIP): 0.0}, "spread": {(2, STRIP): 0.05}},
    "hot cell": {"shift": {(2, STRIP): 3.0}},
    "noise": {"spread": {(2, cell): 1.5 for cell in range(12)}},
    "no finite scores": {"unscored": {2: 1.0}},
}


@pytest.mark.slow
@pytest.mark.parametrize("second", APART)
@pytest.mark.parametrize("regions", [4, 8])
def test_two_faults_in_one_sector_are_two_pages(second, regions):
    stream = Stream(rate=800, regions=regions)
    judge = monitor(stream)
    play(judge, stream, 60)
    begin(stream, {"shift": {(0, RESPONSE): 1.5}} | {k: dict(v) for k, v in APART[second].items()})
    if "shift" in APART[second]:
        stream.shift[0, RESPONSE] = 1.5
    said = raised(play(judge, stream, 60))
    assert sorted(a.place for a in said) == ["A1", "A3"]
    kinds = {a.place: a.kind for a in judge.open_alarms()}
    assert kinds["A1"] is Kind.GAIN
    assert kinds["A3"] is not Kind.GAIN


@pytest.mark.slow
@pytest.mark.parametrize("fault", APART)
def test_one_fault_in_two_regions_of_a_sector_is_one_page(fault):
    stream = Stream(rate=800)
    judge = monitor(stream)
    play(judge, stream, 60)
    both = {
        what: {
            (row, at[1]) if isinstance(at, tuple) else row: by
            for at, by in where.items()
            for row in (0, 2)
        }
        for what, where in APART[fault].items()
    }
    begin(stream, both)
    assert len(raised(play(judge, stream, 60))) == 1
    assert {share.name for a in judge.open_alarms() for share in a.regions} == {"A1", "A3"}


@pytest.mark.slow
def test_two_faults_that_were_taken_for_one_become_two_once_they_differ_clearly():
    stream = Stream(rate=800)
    judge = monitor(stream)
    play(judge, stream, 60)
    begin(stream, {"strange": {0: 0.02, 2: 0.02}, "shift": {(0, RESPONSE): 0.3, (2, STRIP): 0.3}})
    said = play(judge, stream, 10)
    assert {share.name for a in judge.open_alarms() for share in a.regions} == {"A1", "A3"}
    assert len(raised(said)) == 1
    first = raised(said)[0]
    said = play(judge, stream, 100)
    assert {a.place: a.kind for a in judge.open_alarms()} == {"A1": Kind.GAIN, "A3": Kind.HOT}
    assert next(a.place for a in judge.open_alarms() if a.id == first.id) == first.place
    assert [a.state for a in said if isinstance(a, Alarm)].count(State.CLEARED) == 0


@pytest.mark.slow
@pytest.mark.parametrize("rows", [(0,), (0, 2), (0, 5)])
def test_a_fault_that_was_found_by_too_bold_a_bet_is_not_cleared_while_it_goes_on(rows):
    stream = Stream(rate=800)
    judge = monitor(stream)
    play(judge, stream, 60)
    begin(stream, {"strange": dict.fromkeys(rows, 0.02)})
    said = play(judge, stream, 300)
    assert [a.state for a in said if isinstance(a, Alarm)].count(State.CLEARED) == 0
    assert len(raised(said)) == 1
    stream.strange = {}
    play(judge, stream, 200)
    assert judge.open_alarms() == ()


def test_a_bet_that_has_just_taken_over_is_held_against_itself_of_before():
    stream = Stream(rate=800)
    judge = monitor(stream)
    play(judge, stream, 20)
    begin(stream, {"strange": {0: 0.3}})
    play(judge, stream, 3)
    parts = judge._parts
    case = parts.cases.open[0]
    path = parts.watch.evidence.counts.path[parts.places.first_region]
    alike = [i for i, kind in enumerate(parts.watch.tests([0]).rates.kinds) if kind is case.test]
    other = next(i for i in alike if i != case.stream)
    path[alike], path[case.stream], path[other] = 0.0, 60.0, 40.0
    case.heard, case.checked = 1000, []
    assert parts.cases._over(case, parts.watch, START + 30)  # nothing has come since
    path[case.stream], path[other], case.heard = 45.0, 50.0, 1000
    assert not parts.cases._over(case, parts.watch, START + 80)
    path[other], case.heard = 49.0, 1000
    assert parts.cases._over(case, parts.watch, START + 130)


@pytest.mark.slow
def test_a_region_that_stays_when_another_leaves_is_held_up_by_its_own_evidence():
    stream = Stream(rate=800)
    judge = monitor(stream)
    play(judge, stream, 60)
    begin(stream, {"shift": {(0, RESPONSE): 0.3, (2, STRIP): 0.5, (2, RESPONSE): 0.3}})
    said = play(judge, stream, 200)
    assert {share.name for a in judge.open_alarms() for share in a.regions} == {"A1", "A3"}
    assert [a.state for a in said if isinstance(a, Alarm)].count(State.CLEARED) == 0


@pytest.mark.slow
def test_a_sector_that_trips_is_one_page():
    stream = Stream(rate=800, regions=16)
    judge = monitor(stream)
    play(judge, stream, 60)
    stream.silent = {4, 5, 6, 7}
    said = raised(play(judge, stream, 100))
    assert [(a.place, a.kind) for a in said] == [("B", Kind.SILENT)]
    assert [a.severity for a in judge.open_alarms()] == [Severity.PAGE]
    assert {share.name for share in said[0].regions} == {"B1", "B2", "B3", "B4"}
    assert "Sector B" in said[0].summary
    assert judge.standing().budget.pages == 1
    assert said[0].observed < 0.1 * said[0].expected
    heir = monitor(stream)
    heir.restore(judge.state())
    assert heir.open_alarms() == judge.open_alarms()


@pytest.mark.slow
def test_two_sectors_that_trip_together_are_one_page():
    stream = Stream(rate=800, regions=16)
    judge = monitor(stream)
    play(judge, stream, 60)
    stream.silent = set(range(4, 12))
    assert len(raised(play(judge, stream, 100))) == 1
    assert {share.name[0] for share in judge.open_alarms()[0].regions} == {"B", "C"}


@pytest.mark.slow
@pytest.mark.parametrize(("factor", "lasts"), [(10, 60), (30, 60), (100, 60)])
def test_a_burst_is_called_that_and_its_end_nothing(factor, lasts):
    stream = Stream(rate=400)
    judge, said = monitor(stream), []
    for t in range(60 + lasts + 180):
        window = stream.next()
        if 60 <= t < 60 + lasts:
            extra = Stream(rate=400 * factor, seed=100 + t, second=window.key.second)
            extra.silent = set(range(8)) - {2}
            window = window + replace(extra.next(), key=window.key)
        said += judge.observe(window)
    told = raised(said)
    assert [(a.place, a.kind) for a in told] == [("A3", Kind.CROWDED)]
    assert told[0].raised_ns // 10**9 - START <= 60 + 8
    assert told[0].observed > 3 * told[0].expected
    assert judge.open_alarms() == ()
    assert judge.standing().budget.pages == 1


@pytest.mark.slow
def test_when_most_of_the_detector_is_gone_the_rest_is_not_called_crowded():
    stream = Stream(rate=800, regions=16)
    judge = monitor(stream)
    play(judge, stream, 60)
    stream.silent = set(range(14))
    said = raised(play(judge, stream, 60))
    assert {a.kind for a in said} == {Kind.SILENT}
    assert len(said) == 1


@pytest.mark.slow
def test_a_region_that_stays_well_is_good_though_the_rest_of_its_sector_is_not():
    stream = Stream(rate=400)
    judge = monitor(stream)
    play(judge, stream, 60)
    stream.strange = dict.fromkeys((0, 1, 2), 0.3)
    said = play(judge, stream, 240)
    assert {share.name for share in judge.open_alarms()[0].regions} == {"A1", "A2", "A3"}
    mine = [v.quality for v in said if isinstance(v, Verdict) and v.region == 3]
    assert set(mine) == {Quality.GOOD}
    bad = [v.quality for v in said if isinstance(v, Verdict) and v.region in {0, 1, 2}]
    assert bad.count(Quality.BAD) >= 3 * 10
