"""A reference is never used across a change of conditions; a moved centre is taken up by order."""

from __future__ import annotations

import pytest
from changing import LAYER, SHORT, conditions, in_force, monitor
from judged import play
from streams import Stream, expectation

from consumers.cli.command import main
from monitor.quality.reference_acts import Order, ReferenceAct
from monitor.quality.verdicts import Verdict
from monitor.reference.conditions import KEPT, Conditions
from monitor.reference.live import LiveReference


@pytest.mark.slow
def test_each_key_has_a_live_reference_of_its_own_and_finds_it_again():
    stream = Stream(regions=2, rate=100)
    judge = monitor(stream)
    judge.act(conditions(2, "1300 V"))
    judge.act(conditions(3, ""))
    play(judge, stream, 310)
    first = judge.view.reference().id
    assert "live" in first
    stream.run = 2
    said = play(judge, stream, 2)
    assert [(act.key, act.run, act.in_force) for act in in_force(said)] == [("1300 V", 2, True)]
    assert judge.view.reference().origin == "certified"
    old = [v.reference for v in said if isinstance(v, Verdict) and v.run == 1]
    assert set(old) == {first}  # it was judged against that one
    play(judge, stream, 310)
    second = judge.view.reference().id
    assert "live" in second
    assert second != first
    stream.run = 3
    assert [act.key for act in in_force(play(judge, stream, 2))] == [""]
    assert judge.view.reference().id == first


def test_what_is_frozen_stays_so_when_conditions_change():
    stream = Stream(regions=2, rate=100)
    judge = monitor(stream)
    judge.act(conditions(2, "1300 V"))
    judge.act(ReferenceAct(Order.FREEZE, "Ada", 1))
    play(judge, stream, 2)
    stream.run = 2
    play(judge, stream, 2)
    assert judge.live.frozen
    judge.act(ReferenceAct(Order.THAW, "Ada", 2))
    judge.act(conditions(3, ""))
    stream.run = 3
    play(judge, stream, 2)
    assert not judge.live.frozen


@pytest.mark.slow
def test_runs_of_one_key_go_on_with_one_reference_and_nothing_is_said():
    stream = Stream(regions=2, rate=100)
    judge = monitor(stream)
    play(judge, stream, 310)
    stream.run = 5
    assert in_force(play(judge, stream, 2)) == []
    assert judge.view.reference().origin == "live"


@pytest.mark.slow
def test_conditions_that_are_said_late_take_out_what_the_run_has_taught():
    stream = Stream(regions=2, rate=100)
    judge = monitor(stream)
    play(judge, stream, 310)
    before = judge.live.total.n
    stream.run = 2
    play(judge, stream, 620)
    assert judge.live.total.n > before
    said = judge.act(conditions(2, "1300 V"))
    assert [act.key for act in in_force(said)] == ["1300 V"]
    assert judge.live.total.n == 0
    judge.act(conditions(3, ""))
    stream.run = 3
    play(judge, stream, 2)
    assert judge.live.total.n <= before
    assert judge.live.taken.n == judge.live.total.n


def test_evidence_does_not_add_up_over_conditions():
    stream = Stream()
    judge = monitor(stream)
    play(judge, stream, 30)
    stream.shift = {(2, LAYER): 0.6}
    play(judge, stream, 6)
    assert judge.watch.evidence.total().max() > 50
    judge.act(conditions(1, "1300 V"))
    assert judge.watch.evidence.total().max() == 0


@pytest.mark.slow
def test_a_reference_that_a_fault_may_have_reached_does_not_come_back():
    stream = Stream(regions=2, rate=100)
    judge = monitor(stream)
    play(judge, stream, 310)
    assert judge.live.last is not None
    late, early = judge.live.last, judge.live.last - 100
    kept = Conditions()
    kept.change("other", judge.live, lambda: monitor(stream).live)
    kept.flag(late + 1)
    assert judge.live.total.n > 0
    kept.flag(early)
    assert judge.live.total.n == 0


def test_no_more_keys_are_kept_than_there_is_room_for():
    kept, lives = Conditions(), []
    live = LiveReference(expectation(4000), SHORT, 2)
    for run in range(2 * KEPT):
        kept.order(run, f"key {run}")
        lives.append(live)
        live = kept.change(f"key {run}", live, lambda: LiveReference(expectation(4000), SHORT, 2))
    assert len(kept.words()["aside"]) == KEPT
    assert kept.of(2 * KEPT + 5) == f"key {2 * KEPT - 1}"


@pytest.mark.slow
def test_a_stand_by_knows_conditions_and_centre():
    stream = Stream(regions=2, rate=100)
    judge, heir = monitor(stream), monitor(stream)
    judge.act(conditions(2, "1300 V"))
    play(judge, stream, 310)
    first = judge.view.reference()
    stream.run = 2
    play(judge, stream, 10)
    heir.restore(judge.state())
    assert heir.view.reference() == judge.view.reference()
    for one in (judge, heir):
        one.act(conditions(3, ""))
    stream.run = 3
    window = stream.next()
    assert judge.observe(window) == heir.observe(window)
    assert heir.view.reference() == first


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"order": Order.ANCHOR}, "needs a time"),
        ({"order": Order.CONDITIONS}, "need a run"),
        ({"order": Order.RESET, "run": 3}, "need a run"),
        ({"order": Order.RESET, "key": "x"}, "have a key"),
        ({"order": Order.CONDITIONS, "run": 3, "key": "x" * 101}, "at most 100"),
    ],
)
def test_an_order_that_is_not_whole_is_refused(words, message):
    with pytest.raises(ValueError, match=message):
        ReferenceAct(who="Ada", time_ns=0, **words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["anchor", "--who", "Ada"], "needs a time: --since TIME"),
        (["conditions", "x" * 101, "--run", "3", "--who", "Ada"], "at most 100 characters"),
    ],
)
def test_a_command_that_is_not_whole_says_so_in_one_line(words, said, capsys):
    assert main(["reference", *words]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert said in lines[0]
