"""Verdicts follow alarms, late data and masks."""

from __future__ import annotations

import pytest
from judged import STRIP, alarms, monitor, play, verdicts
from streams import START, Stream

from monitor.display.standing import headline
from monitor.quality.acknowledgements import Acknowledgement, Mask
from monitor.quality.alarms import State
from monitor.quality.quality import Quality


@pytest.mark.slow
def test_verdicts_are_bad_from_the_onset_on_and_earlier_ones_are_amended():
    stream = Stream(regions=4, rate=200)
    judge = monitor(stream)
    play(judge, stream, 40)  # the fault begins 6 s before the lumisection ends
    stream.shift = {(1, STRIP): 0.6}
    said = verdicts(play(judge, stream, 60))
    mine = [v for v in said if v.region == 1 and v.lumisection == 2]
    assert [v.version for v in mine] == list(range(1, len(mine) + 1))
    assert mine[-1].quality is Quality.BAD
    assert mine[-1].active[0][0] == pytest.approx(START + 40, abs=6)
    assert mine[-1].alarms
    others = [v for v in said if v.region != 1]
    assert {v.quality for v in others} == {Quality.GOOD}


def test_late_data_amend_a_verdict_as_a_new_version():
    stream = Stream(regions=4)
    judge = monitor(stream)
    play(judge, stream, 30)
    late = stream.window(START + 5)
    amended = verdicts(judge.observe(late))
    assert [(v.lumisection, v.version) for v in amended] == [(1, 2)] * 4
    assert alarms(judge.observe(late)) == []


def test_a_region_without_data_is_null_and_never_good():
    stream = Stream(regions=4)
    judge = monitor(stream)
    stream.silent = {3}  # never seen: not part of this run
    said = play(judge, stream, 70)
    assert alarms(said) == []
    assert {v.quality for v in verdicts(said) if v.region == 3} == {Quality.NULL}
    assert judge.standing().board[3].quality is Quality.NULL


@pytest.mark.slow
def test_a_masked_region_leaves_tests_and_comes_back():
    stream = Stream()
    judge = monitor(stream)
    play(judge, stream, 40)
    stream.strange = {2: 0.2}
    play(judge, stream, 30)
    alarm = judge.open_alarms()[0]
    until = (stream.second + 60) * 1_000_000_000
    act = Acknowledgement(alarm.id, "Ada", "cable out", 0, (Mask(2, ()),), until_ns=until)
    closed = alarms(judge.acknowledge(act))
    assert [a.state for a in closed] == [State.CLEARED]
    assert alarms(play(judge, stream, 59)) == []
    assert judge.standing().board[2].masked
    back = alarms(play(judge, stream, 30))
    assert back
    assert not judge.standing().board[2].masked


def test_all_regions_may_be_masked_and_a_judge_that_takes_over_shows_that():
    stream = Stream()
    judge = monitor(stream)
    play(judge, stream, 30)
    every = tuple(Mask(region, ()) for region in range(8))
    judge.acknowledge(Acknowledgement("x", "Ada", "calibration period", 0, every))
    play(judge, stream, 3)
    heir = monitor(stream)
    heir.restore(judge.state())
    play(heir, stream, 3)
    for one in (judge, heir):
        quality, words = headline(one.standing())
        assert quality is Quality.NULL
        assert "masked" in words
        assert {row.masked for row in one.standing().board} == {True}
    judge.acknowledge(Acknowledgement("x", "Ada", "over", 0, lifted=True))
    stream.strange = {2: 0.5}
    assert alarms(play(judge, stream, 30))


@pytest.mark.slow
def test_a_masked_cell_leaves_tests_but_its_neighbour_does_not():
    stream = Stream()
    judge = monitor(stream)
    play(judge, stream, 40)
    stream.shift = {(2, STRIP): 1.0}
    play(judge, stream, 30)
    alarm = judge.open_alarms()[0]
    judge.acknowledge(Acknowledgement(alarm.id, "Ada", "known", 0, (Mask(2, (STRIP,)),)))
    assert alarms(play(judge, stream, 60)) == []
    stream.shift[2, STRIP + 1] = 1.0
    # Scored with the bad cell, its neighbours say nothing of themselves.
    assert alarms(play(judge, stream, 30)) == []
    play(judge, stream, 30, masked=True)
    assert judge.open_alarms()[0].cells[0].cell == STRIP + 1
