"""Trouble that comes again or grows keeps its name, and words say what is so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from judged import STRIP, begin, monitor, play, raised
from streams import GEOMETRY, START, Stream

from monitor.display.standing import headline
from monitor.quality.acknowledgements import Acknowledgement
from monitor.quality.alarms import Alarm, Severity
from monitor.quality.quality import Quality
from monitor.quality.verdicts import Verdict

if TYPE_CHECKING:
    from monitor.judging.monitor import Monitor


def warned_of() -> tuple[Stream, Monitor, Alarm]:
    """Return a stream and a monitor that has warned of something small."""
    stream = Stream(rate=400)
    judge = monitor(stream)
    play(judge, stream, 60)
    stream.shift = {(2, STRIP): 0.45}
    while not judge.open_alarms():
        judge.observe(stream.next())
    alarm = judge.open_alarms()[0]
    assert alarm.severity is Severity.WARNING
    return stream, judge, alarm


@pytest.mark.slow
def test_a_page_that_grows_from_an_acknowledged_warning_is_heard():
    stream, judge, alarm = warned_of()
    judge.acknowledge(Acknowledgement(alarm.id, "night shift", "known, waiting", 0))
    assert judge.standing().unacknowledged() == ()
    stream.strange = {2: 0.3}
    said = play(judge, stream, 30)
    assert any(isinstance(a, Alarm) and a.severity is Severity.PAGE for a in said)
    heir = monitor(stream)
    heir.restore(judge.state())
    for one in (judge, heir):
        assert [a.id for a in one.standing().unacknowledged()] == [alarm.id]
        assert headline(one.standing())[0] is Quality.BAD
    judge.acknowledge(Acknowledgement(alarm.id, "night shift", "now I see", 1))
    assert judge.standing().unacknowledged() == ()


def came_back(second: dict, after: int) -> tuple[list[Alarm], dict[int, Verdict], Monitor]:
    """Return what is said of a hot cell of half a minute, and of what comes later."""
    stream = Stream(rate=400)
    judge, said, verdicts = monitor(stream), [], {}
    for t in range(after + 60):
        stream.shift = {(2, STRIP): 1.0} if 60 <= t < 90 else {}
        if t >= after:
            begin(stream, second)
        for record in judge.observe(stream.next()):
            if isinstance(record, Alarm):
                said.append(record)
            elif isinstance(record, Verdict) and record.region == 2:
                verdicts[record.lumisection] = record
    return said, verdicts, judge


@pytest.mark.slow
def test_the_same_trouble_again_keeps_its_name_and_claims_no_more_than_its_time():
    said, verdicts, judge = came_back({"shift": {(2, STRIP): 1.0}}, 600)
    assert len({a.id for a in said}) == 1
    assert judge.standing().budget.pages == 1
    again = raised(said)[1]
    assert again.onset_ns // 10**9 - START == pytest.approx(600, abs=6)
    between = [v.quality for n, v in verdicts.items() if 8 <= n <= 25]
    assert set(between) == {Quality.GOOD}
    assert verdicts[4].quality is Quality.BAD  # what it claimed before stays


@pytest.mark.slow
def test_other_trouble_at_the_same_place_is_another_alarm():
    said, verdicts, judge = came_back({"strange": {2: 0.3}}, 500)
    assert len({a.id for a in said}) == 2
    assert judge.standing().budget.pages == 2
    assert {v.quality for n, v in verdicts.items() if 8 <= n <= 21} == {Quality.GOOD}


@pytest.mark.slow
def test_a_warning_that_comes_back_as_a_page_is_a_page_of_the_budget():
    stream, judge, _ = warned_of()
    stream.shift = {}
    play(judge, stream, 150)
    assert judge.open_alarms() == ()
    assert judge.standing().budget.pages == 0
    stream.shift = {(2, STRIP): 1.0}
    play(judge, stream, 60)
    assert judge.standing().budget.pages == 1


@pytest.mark.slow
def test_what_is_told_of_an_old_alarm_counts_everything_since_its_onset():
    stream = Stream(rate=400)
    judge = monitor(stream)
    play(judge, stream, 60)
    stream.strange = {2: 0.05}
    said, onset, counts = [], None, {}
    for _ in range(1000):
        window = stream.next()
        counts[window.key.second] = int(window.showers[2].sum())
        said += [a for a in judge.observe(window) if isinstance(a, Alarm)]
        onset = onset or (said[0].onset_ns // 10**9 if said else None)
    last = said[-1]
    assert last.now_ns - last.onset_ns > 700 * 10**9
    truth = sum(n for second, n in counts.items() if onset <= second <= last.now_ns // 10**9)
    assert last.showers == pytest.approx(truth, abs=200)  # the onset may lie before the fault


@pytest.mark.slow
def test_the_words_tell_the_statistic_that_crossed():
    stream = Stream(rate=400)
    judge = monitor(stream)
    play(judge, stream, 60)
    stream.shift = {(2, STRIP): 1.0}
    play(judge, stream, 60)
    alarm = judge.open_alarms()[0]
    assert alarm.test == "latent mean"
    assert alarm.observed == pytest.approx(1.0, abs=0.1)
    assert alarm.expected == 0.0
    assert f"{GEOMETRY.cell_name(STRIP)} is off by {alarm.observed:+.3f} standard" in alarm.text
    assert "anomalies" not in alarm.text
    assert "chance alone would do this at most once in" in alarm.text
    assert "times likelier with a fault than without" in alarm.text


FINDINGS = {
    "latent spread": ({"spread": {(2, STRIP): 2.0}}, "times its usual spread (squared)"),
    "occupancy": ({"lit": {(2, STRIP): 0.9}}, "is lit in"),
    "unscored showers": ({"unscored": {2: 0.5}}, "without a finite score"),
    "p-value histogram": ({"dull": {2: 1.0}}, "of the p-values"),
}


@pytest.mark.slow
@pytest.mark.parametrize("test", FINDINGS)
def test_each_test_tells_its_own_statistic(test):
    fault, words = FINDINGS[test]
    stream = Stream(rate=800)
    judge = monitor(stream)
    play(judge, stream, 40)
    begin(stream, fault)
    play(judge, stream, 60)
    alarm = judge.open_alarms()[0]
    assert alarm.test == test
    assert words in alarm.text
    assert abs(alarm.observed - alarm.expected) > 3 * alarm.expected_sd
