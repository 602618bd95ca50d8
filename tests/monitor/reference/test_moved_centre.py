"""A centre is moved by order, and bounds what may be believed from then on."""

from __future__ import annotations

import numpy as np
import pytest
from changing import LAYER, SHORT, conditions, in_force, monitor
from judged import play
from streams import GEOMETRY, Stream, expectation

from monitor.display.metrics.exposition import Exposition
from monitor.display.metrics.judge import JudgeMetrics
from monitor.judging.monitor import Monitor
from monitor.judging.settings import MonitorSettings
from monitor.quality.alarms import Alarm, State
from monitor.quality.reference_acts import Order, ReferenceAct
from monitor.reference.live import LiveSettings

NS = 1_000_000_000


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
