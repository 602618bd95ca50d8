"""Verdicts name what is lost, and lumisections of which nothing came."""

import numpy as np
import pytest
from streams import GEOMETRY, START, Stream, expectation

from monitor.judging.monitor import Monitor
from monitor.judging.settings import MonitorSettings
from monitor.quality.quality import Quality
from monitor.quality.verdicts import Verdict
from monitor.verdicts.grounds import Loss

WORDS = "55 records of calo.showers.v1[0] expired unread, between one time and another"


def monitor():
    stream = Stream()
    reference = expectation(50_000, np.random.default_rng(5))
    return stream, Monitor(stream.detector, GEOMETRY, reference, MonitorSettings(model="m"))


def told(stream, judge, seconds, but=()):
    said = []
    for _ in range(seconds):
        window = stream.next()
        if window.key.lumisection not in but:
            said += judge.observe(window)
    return [record for record in said if isinstance(record, Verdict)]


def test_a_lumisection_without_a_shower_between_two_with_some_has_a_verdict():
    stream, judge = monitor()
    verdicts = told(stream, judge, 23 * 4 + 1, but={2, 3})
    regions = len(stream.detector.regions)
    named = {}
    for verdict in verdicts:
        named.setdefault(verdict.lumisection, []).append(verdict)
    assert {lumisection: len(found) for lumisection, found in named.items()} == dict.fromkeys(
        (1, 2, 3, 4), regions
    )
    empty = named[2] + named[3]
    assert {(v.quality, v.reason, v.showers, v.known) for v in empty} == {
        (Quality.NULL, "no data", 0, ())
    }


@pytest.mark.slow
def test_what_is_lost_of_a_lumisection_is_in_its_verdicts():
    stream, judge = monitor()
    told(stream, judge, 30)
    loss = Loss(START + 10, START + 26, WORDS)
    amended = judge.lose(loss)
    assert {(v.lumisection, v.version, v.reason) for v in amended} == {(1, 2, WORDS)}
    heir = Monitor(stream.detector, GEOMETRY, judge.watch.references.certified, judge.settings)
    heir.restore(judge.state())
    second = told(stream, heir, 23)
    assert {v.reason for v in second if v.lumisection == 2} == {WORDS}
    third = [v for v in told(stream, heir, 23) if v.lumisection == 3]
    assert third
    assert WORDS not in {v.reason for v in third}
