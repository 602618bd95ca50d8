"""A reference is never used across a change of conditions; a moved centre is taken up by order."""

from __future__ import annotations

import numpy as np
import pytest
from streams import GEOMETRY, Stream, expectation

from consumers.cli.command import main
from monitor.display.metrics.exposition import Exposition
from monitor.display.metrics.judge import JudgeMetrics
from monitor.judging.monitor import Monitor
from monitor.judging.settings import MonitorSettings
from monitor.quality.alarms import Alarm, State
from monitor.quality.reference_acts import Order, ReferenceAct
from monitor.quality.verdicts import Verdict
from monitor.reference.conditions import KEPT, Conditions
from monitor.reference.live import LiveReference, LiveSettings

NS = 1_000_000_000
SHORT = LiveSettings(quarantine_s=0, horizon_s=600)
LAYER = GEOMETRY.n_cells


def monitor(stream: Stream) -> Monitor:
    reference = expectation(4000, np.random.default_rng(3))
    return Monitor(stream.detector, GEOMETRY, reference, MonitorSettings(live=SHORT))


def play(judge: Monitor, stream: Stream, seconds: int) -> list:
    return [said for _ in range(seconds) for said in judge.observe(stream.next())]


def conditions(run: int, key: str) -> ReferenceAct:
    return ReferenceAct(Order.CONDITIONS, "Ada", 7, run=run, key=key)


def in_force(said) -> list[ReferenceAct]:
    return [record for record in said if isinstance(record, ReferenceAct)]


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


@pytest.mark.slow
def test_a_moved_population_alarms_until_it_is_taken_as_the_centre_by_order():
    stream = Stream(regions=4, rate=400)
    judge = monitor(stream)
    play(judge, stream, 20)
    stream.shift = {(r, LAYER): 0.5 for r in range(4)}  # a new high voltage: all is lifted
    said = [a for a in play(judge, stream, 40) if isinstance(a, Alarm)]
    assert said
    assert said[0].state is State.RAISED
    since = stream.second
    assert judge.act(ReferenceAct(Order.ANCHOR, "Ada", 7, since_ns=since * NS)) == ()
    told = play(judge, stream, 299)
    assert in_force(told) == []  # not enough of it yet
    assert judge.open_alarms()
    told = play(judge, stream, 10)
    assert [act.since_ns for act in in_force(told)] == [since * NS]
    assert [a.state for a in told if isinstance(a, Alarm)][-1] is State.CLEARED
    assert judge.open_alarms() == ()
    assert [a for a in play(judge, stream, 100) if isinstance(a, Alarm)] == []
    assert judge.view.reference().origin == "anchored"
    stream.shift |= {(2, LAYER): 1.0}  # and what leaves the new centre alarms
    found = [a for a in play(judge, stream, 60) if isinstance(a, Alarm)]
    assert found[0].place == "A3"
    heir = monitor(stream)
    heir.restore(judge.state())
    assert heir.watch.references.certified.id == judge.watch.references.certified.id
    judge.act(ReferenceAct(Order.RESET, "Ada", 8))
    assert judge.view.reference().origin == "certified"
    assert judge.watch.references.certified.id == "simulated"


def anchored(stream: Stream, live: LiveSettings = SHORT, *orders: ReferenceAct) -> Monitor:
    """Return a monitor whose centre was ordered moved to what the stream has from now on."""
    reference = expectation(4000, np.random.default_rng(3))
    judge = Monitor(stream.detector, GEOMETRY, reference, MonitorSettings(live=live))
    for order in orders:
        judge.act(order)
    judge.act(ReferenceAct(Order.ANCHOR, "Ada", 7, since_ns=stream.second * NS))
    return judge


@pytest.mark.slow
@pytest.mark.parametrize("why", ["frozen", "off"])
def test_a_centre_is_moved_by_order_though_nothing_is_learnt(why):
    stream = Stream(regions=4, rate=400, shift={(r, LAYER): 0.5 for r in range(4)})
    live = LiveSettings(enabled=why != "off")
    freeze = [ReferenceAct(Order.FREEZE, "Ada", 6)] if why == "frozen" else []
    judge = anchored(stream, live, *freeze)
    play(judge, stream, 100)
    assert judge.standing().reference_awaited.startswith("a new centre is ordered: 99 of 300 s")
    told = play(judge, stream, 205)
    assert [act.order for act in in_force(told)] == [Order.ANCHOR]
    assert judge.view.reference().origin == "anchored"
    assert judge.standing().reference_awaited == ""
    judge.act(ReferenceAct(Order.THAW, "Ada", 8))
    assert judge.live.total.n == 0  # what came while it was frozen has taught nothing


@pytest.mark.slow
def test_an_order_to_move_the_centre_waits_while_other_conditions_hold():
    stream = Stream(regions=2, rate=200)
    judge = anchored(stream, SHORT, conditions(2, "1300 V"), conditions(3, ""))
    play(judge, stream, 20)
    stream.run = 2
    play(judge, stream, 20)
    assert judge.standing().reference_awaited == ""
    stream.run = 3
    told = play(judge, stream, 310)
    assert [act.order for act in in_force(told)] == [Order.CONDITIONS, Order.ANCHOR]


@pytest.mark.slow
def test_a_centre_that_was_moved_outlives_a_fault_under_other_conditions():
    stream = Stream(regions=4, rate=400, shift={(r, LAYER): 0.5 for r in range(4)})
    judge = anchored(stream, SHORT, conditions(2, "1300 V"), conditions(3, ""))
    play(judge, stream, 300)
    assert in_force(play(judge, stream, 15))
    play(judge, stream, 310)
    assert judge.live.last is not None
    stream.run, stream.shift = 2, {}
    play(judge, stream, 5)
    judge.conditions.flag(stream.second - 200)  # it began before
    stream.run, stream.shift = 3, {(r, LAYER): 0.5 for r in range(4)}
    play(judge, stream, 3)
    assert judge.live.anchor is not None
    assert judge.live.total.n == 0  # what was accepted may have had the fault


@pytest.mark.slow
def test_freezing_and_thawing_change_nothing_that_is_in_force():
    stream = Stream(regions=2, rate=100)
    judge = monitor(stream)
    play(judge, stream, 310)
    judge.adopt_live()
    before = judge.view.reference()
    judge.live.total += judge.live.total  # more has been accepted since
    for order in (Order.FREEZE, Order.THAW):
        judge.act(ReferenceAct(order, "Ada", 7))
        assert judge.view.reference() == before


@pytest.mark.slow
def test_no_series_comes_twice_after_the_centre_was_moved():
    stream = Stream(regions=4, rate=400)
    judge = anchored(stream)
    play(judge, stream, 610)
    assert judge.view.reference().origin == "live"
    exposition = Exposition("x")
    JudgeMetrics(exposition, stream.detector, topic="t").standing(judge.standing())
    text, _ = exposition.render("application/openmetrics-text")
    series = [line.rsplit(" ", 1)[0] for line in text.decode().splitlines() if line[0] != "#"]
    assert len(series) == len(set(series))


@pytest.mark.slow
def test_a_region_with_a_fault_of_its_own_is_no_part_of_the_new_centre():
    stream = Stream(regions=4, rate=400)
    judge = monitor(stream)
    play(judge, stream, 20)
    stream.shift = {(1, 3): 2.0}
    play(judge, stream, 20)
    assert judge.open_alarms()[0].place == "A2"
    judge.act(ReferenceAct(Order.ANCHOR, "Ada", 7, since_ns=stream.second * NS))
    play(judge, stream, 310)
    centre = judge.watch.references.certified
    assert "anchored" in centre.id
    assert centre.latent_mean[:, 3] == pytest.approx(0, abs=0.1)
    assert judge.open_alarms()[0].place == "A2"


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
