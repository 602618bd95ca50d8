"""A monitor that takes over from another: one history of alarms, versions and verdicts."""

import numpy as np
import pytest
from streams import GEOMETRY, START, Stream, expectation

from monitor.judging.monitor import Monitor
from monitor.judging.settings import MonitorSettings
from monitor.quality.alarms import Alarm, State
from monitor.quality.quality import Quality
from monitor.quality.reference_acts import Order, ReferenceAct
from monitor.quality.verdicts import Verdict


class Pair:
    """Two models that judge the same seconds; what is told is only what the one in force says."""

    def __init__(self, since=0, **faults):
        reference = expectation(50_000, np.random.default_rng(5))
        self.streams = [Stream(seed=3), Stream(seed=3)]
        self.monitors = [
            Monitor(s.detector, GEOMETRY, reference, MonitorSettings(model=name))
            for s, name in zip(self.streams, ("old", "new"), strict=True)
        ]
        self.since = since
        self.told = []

    def run(self, seconds):
        """Let both see some seconds; the shadow is there from second `since` of the stream on."""
        for _ in range(seconds):
            windows = [stream.next() for stream in self.streams]
            self.told += self.monitors[0].observe(windows[0])
            if windows[1].key.second - START >= self.since:
                self.monitors[1].observe(windows[1])

    def run_into_a_fault(self):
        """Let both see good seconds, then strange showers in one region."""
        self.run(30)
        for stream in self.streams:
            stream.strange = {2: 0.3}
        self.run(20)

    def switch(self):
        self.monitors.reverse()
        self.streams.reverse()
        said = self.monitors[0].succeed(self.monitors[1])
        self.told += said
        return said

    def alarms(self):
        return [record for record in self.told if isinstance(record, Alarm)]

    def verdicts(self):
        return [record for record in self.told if isinstance(record, Verdict)]

    def check(self):
        """Each thing is told in versions that rise by one."""
        versions = {}
        for record in self.told:
            key = record.id if isinstance(record, Alarm) else (record.lumisection, record.region)
            assert record.version > versions.get(key, 0), key
            versions[key] = record.version


@pytest.mark.slow
def test_an_alarm_of_both_goes_on_under_the_same_name_and_onset():
    pair = Pair()
    pair.run_into_a_fault()
    pair.switch()
    (alarm,) = pair.monitors[0].open_alarms()
    first = pair.alarms()[0]
    assert (alarm.id, alarm.onset_ns) == (first.id, first.onset_ns)
    assert alarm.reference.model == "new"
    pair.run(30)
    assert [a.state for a in pair.alarms()].count(State.RAISED) == 1
    assert pair.monitors[0].view.budget().pages == 1
    pair.check()


@pytest.mark.slow
def test_an_alarm_of_the_old_model_alone_is_cleared_and_comes_back_with_it():
    pair = Pair()
    pair.run(30)
    pair.streams[0].strange = {2: 0.3}
    pair.run(20)
    (old,) = pair.monitors[0].open_alarms()
    said = [record for record in pair.switch() if isinstance(record, Alarm)]
    assert [(a.id, a.state) for a in said] == [(old.id, State.CLEARED)]
    assert "change of the model" in said[0].text
    assert pair.monitors[0].open_alarms() == ()
    assert pair.monitors[1].open_alarms()  # it goes on in shadow
    pair.run(10)
    said = [record for record in pair.switch() if isinstance(record, Alarm)]
    assert [(a.id, a.state) for a in said] == [(old.id, State.RAISED)]
    pair.run(30)
    assert pair.monitors[0].view.budget().pages == 1
    pair.check()


@pytest.mark.slow
def test_an_alarm_of_the_new_model_alone_is_raised_and_amends_what_it_claims():
    pair = Pair()
    pair.run(30)
    pair.streams[1].strange = {2: 0.3}
    pair.run(40)
    assert pair.alarms() == []
    said = pair.switch()
    (alarm,) = [record for record in said if isinstance(record, Alarm)]
    assert alarm.state is State.RAISED
    amended = [record for record in said if isinstance(record, Verdict)]
    assert {(v.region, v.quality, v.version, v.model) for v in amended} == {
        (2, Quality.BAD, 2, "new")
    }
    pair.run(30)
    pair.check()


@pytest.mark.slow
def test_every_lumisection_is_judged_whole_by_the_model_in_force_at_its_end():
    pair = Pair()
    for seconds in (30, 40, 47):
        pair.run(seconds)
        pair.switch()
    of = {}
    for verdict in pair.verdicts():
        of.setdefault(verdict.lumisection, []).append(verdict)
    assert {number: {v.model for v in told} for number, told in of.items()} == {
        1: {"old"}, 2: {"new"}, 3: {"new"}, 4: {"old"}, 5: {"old"},
    }  # fmt: skip
    assert all(len(told) == 8 for told in of.values())
    assert all(v.known == ((v.known[0][0], v.known[0][0] + 23),) for v in pair.verdicts())
    pair.check()


@pytest.mark.slow
def test_a_lumisection_that_the_new_model_saw_in_part_keeps_all_its_showers():
    pair = Pair(since=35)  # lumisection 2 is from 23 to 45
    pair.run(44)
    pair.switch()
    pair.run(10)
    told = [v for v in pair.verdicts() if v.lumisection == 2]
    assert len(told) == 8
    assert all(v.known[0][1] - v.known[0][0] == 23 for v in told)
    assert {v.model for v in told} == {"new"}
    pair.check()


@pytest.mark.slow
@pytest.mark.parametrize("late", [3, 25])
def test_late_data_amend_what_the_model_before_has_said(late):
    pair = Pair()
    pair.run(50)
    pair.switch()
    window = pair.streams[0].window(START + late)
    told = pair.monitors[0].observe(window)
    assert {v.version for v in told if isinstance(v, Verdict)} == {2}
    before = {v.region: v.showers for v in pair.verdicts() if v.lumisection == told[0].lumisection}
    assert all(v.showers > before[v.region] for v in told if isinstance(v, Verdict))


@pytest.mark.slow
def test_masks_and_what_was_acknowledged_hold_for_a_shadow_too():
    pair = Pair()
    pair.run(30)
    pair.streams[0].strange = {2: 0.3}
    pair.run(10)
    from monitor.quality.acknowledgements import Acknowledgement, Mask

    (alarm,) = pair.monitors[0].open_alarms()
    pair.monitors[0].acknowledge(Acknowledgement(alarm.id, "Ada", "board", 1, (Mask(2, ()),)))
    fresh = Monitor(
        pair.streams[0].detector, GEOMETRY, expectation(50_000, np.random.default_rng(5))
    )
    fresh.begin_beside(pair.monitors[0])
    assert fresh.standing().board[2].masked


@pytest.mark.slow
def test_it_takes_over_where_conditions_said_late_have_just_started_evidence_anew():
    pair = Pair()
    pair.run_into_a_fault()
    for monitor in pair.monitors:
        monitor.act(ReferenceAct(Order.CONDITIONS, "Ada", 1, run=1, key="1300 V"))
    pair.switch()
    assert [alarm.id for alarm in pair.monitors[0].open_alarms()] == [pair.alarms()[0].id]
    pair.run(10)
    pair.check()
