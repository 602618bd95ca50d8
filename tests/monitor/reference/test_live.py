"""A live reference sharpens the tests, cannot learn a fault, and forgets exactly what it is told to."""

from __future__ import annotations

import numpy as np
import pytest
from streams import GEOMETRY, START, Stream, expectation

from monitor.detector.places import Places
from monitor.judging.monitor import Monitor
from monitor.judging.settings import MonitorSettings
from monitor.quality.alarms import Alarm, State
from monitor.quality.reference_acts import Order, ReferenceAct
from monitor.reference.live import LiveReference, LiveSettings
from monitor.windows.rows import rows_of

SHORT = LiveSettings(quarantine_s=300, horizon_s=600)
NS = 1_000_000_000


def fed(stream: Stream, seconds: int, flagged=(), settings=SHORT) -> LiveReference:
    live = LiveReference(expectation(5000), settings, stream.regions)
    rows = np.isin(np.arange(stream.regions), flagged)
    places = Places(stream.detector)
    for _ in range(seconds):
        second = stream.second
        live.step(second, rows_of(stream.next(), places), rows)
    return live


@pytest.mark.slow
def test_nothing_is_accepted_before_its_quarantine_is_over():
    stream = Stream(regions=4, rate=100)
    assert fed(stream, 590).total.n == 0
    assert fed(Stream(regions=4, rate=100), 610).total.n > 0


@pytest.mark.slow
def test_regions_under_alarm_are_not_accepted():
    clean, partly = (fed(Stream(regions=4, rate=100), 700, flagged) for flagged in ((), (1,)))
    assert partly.total.n == pytest.approx(0.75 * clean.total.n, rel=0.05)


@pytest.mark.slow
def test_what_is_flagged_later_leaves_exactly():
    one, two = (fed(Stream(regions=4, rate=100), 700) for _ in range(2))
    before = one.total
    assert one.flag([1], START + 50)
    removed = before - one.total
    assert removed.n == pytest.approx(before.n / 4, rel=0.1)
    never = fed(Stream(regions=4, rate=100), 700, flagged=(1,))
    for name in ("showers", "exceedances", "p_counts", "z", "z_square", "lit"):
        assert (getattr(one.total, name) == getattr(never.total, name)).all()
        assert (getattr(two.total, name) == getattr(before, name)).all()


@pytest.mark.slow
def test_what_is_flagged_twice_leaves_once():
    live = fed(Stream(regions=4, rate=100), 700)
    assert live.flag([1], START)
    after = live.total.n
    assert not live.flag([1], START)
    assert live.total.n == after


@pytest.mark.slow
def test_a_frozen_reference_learns_nothing_and_a_thawed_one_goes_on():
    stream = Stream(regions=4, rate=100)
    live = LiveReference(expectation(5000), SHORT, 4)
    live.obey(ReferenceAct(Order.FREEZE, "Ada", 0))
    places = Places(stream.detector)
    none = np.zeros(4, bool)
    for _ in range(700):
        live.step(stream.second, rows_of(stream.next(), places), none)
    assert live.total.n == 0
    live.obey(ReferenceAct(Order.THAW, "Ada", 0))
    for _ in range(700):
        live.step(stream.second, rows_of(stream.next(), places), none)
    assert live.total.n > 0


@pytest.mark.slow
def test_a_rollback_takes_out_what_came_since_and_beyond_the_horizon_everything():
    live = fed(Stream(regions=4, rate=100), 1000)
    kept = live.total.n
    live.obey(ReferenceAct(Order.ROLLBACK, "Ada", 0, since_ns=(START + 400) * NS))
    assert 0 < live.total.n < kept
    live.obey(ReferenceAct(Order.ROLLBACK, "Ada", 0, since_ns=(START - 4000) * NS))
    assert live.total.n == 0


def test_a_rollback_needs_a_time_and_nothing_else_does():
    with pytest.raises(ValueError, match="needs a time"):
        ReferenceAct(Order.ROLLBACK, "Ada", 0)
    with pytest.raises(ValueError, match="needs a time"):
        ReferenceAct(Order.RESET, "Ada", 0, since_ns=1)


@pytest.mark.slow
def test_a_live_expectation_finds_the_stream_s_own_offsets():
    stream = Stream(regions=4, rate=400)
    stream.shift = {(r, 2): 0.1 for r in range(4)}
    live = fed(stream, 700)
    live.take_up()
    expected = live.expectation()
    assert expected is not None
    assert expected.latent_mean[:, 2] == pytest.approx(0.1, abs=0.01)
    assert expected.latent_mean[:, 3] == pytest.approx(0.0, abs=0.01)
    assert expected.origin == "live"


def delay(seconds: int, *, live: bool, seed: int) -> float:
    """Return the delay of a fault of 1 % strange showers after so many good seconds."""
    stream = Stream(regions=4, rate=400, seed=seed)
    settings = MonitorSettings(live=LiveSettings(live, 300, 600))
    rng = np.random.default_rng(3)
    judge = Monitor(stream.detector, GEOMETRY, expectation(4000, rng), settings)
    for _ in range(seconds):
        judge.observe(stream.next())
    assert judge.view.reference().origin == ("live" if live else "certified")
    stream.strange = dict.fromkeys(range(4), 0.003)
    for second in range(300):
        said = judge.observe(stream.next())
        if any(isinstance(r, Alarm) and r.state is State.RAISED for r in said):
            return second
    return 300


@pytest.mark.slow
def test_a_live_reference_finds_a_small_fault_sooner_than_a_small_certified_one():
    with_live, without = delay(950, live=True, seed=2), delay(950, live=False, seed=2)
    assert with_live < 0.7 * without


@pytest.mark.slow
def test_the_certified_reference_bounds_what_a_live_one_may_believe():
    """A fault that was there from the start: guarded it is found, unguarded it is believed."""
    found = {}
    for guarded in (True, False):
        stream = Stream(regions=4, rate=400)
        settings = MonitorSettings(live=LiveSettings(True, 300, 600, guarded))
        judge = Monitor(stream.detector, GEOMETRY, expectation(50_000), settings)
        for _ in range(310):
            judge.observe(stream.next())
        stream.strange = dict.fromkeys(range(4), 0.002)
        said = []
        for _ in range(100 if guarded else 700):
            said += judge.observe(stream.next())
        found[guarded] = [r for r in said if isinstance(r, Alarm)]
        distance = judge.live.distance()
        assert distance is None or guarded or distance > 3
    assert found[True]


@pytest.mark.slow
def test_a_stand_by_takes_over_the_reference_that_is_in_force():
    stream = Stream(regions=4, rate=400)
    settings = MonitorSettings(live=LiveSettings(True, 300, 600))
    judge, heir = (
        Monitor(stream.detector, GEOMETRY, expectation(4000), settings) for _ in range(2)
    )
    for _ in range(960):
        judge.observe(stream.next())
    heir.restore(judge.state())
    assert heir.view.reference() == judge.view.reference()
    assert heir.view.reference().origin == "live"
    stream.strange = {2: 0.05}
    windows = [stream.next() for _ in range(60)]
    ours = [said for w in windows for said in judge.observe(w)]
    theirs = [said for w in windows for said in heir.observe(w)]
    assert ours == theirs
    assert heir.live.total.n == judge.live.total.n
