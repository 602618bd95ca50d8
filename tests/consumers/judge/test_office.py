"""A judge tells alarms and verdicts while it is in office, and where it has caught up; no other time."""

import numpy as np
import pytest
from memory import CountingMonitor, MemoryBroker, MemorySource
from prometheus_client import generate_latest
from spoken import FORM
from standings import DETECTOR, alarm, standing

from consumers.judge.judge import Judge
from consumers.judge.models import JudgingModel
from consumers.judge.settings import JudgeSettings
from consumers.wire import ranges, topics
from consumers.wire.ranges import Open
from monitor.display.metrics.exposition import Exposition
from monitor.display.metrics.judge import JudgeMetrics


class Alarmed(CountingMonitor):
    """A monitor with an open page, once it has seen a window."""

    def standing(self):
        return standing(alarms=(alarm(),) if self.showers else ())


@pytest.fixture
def office():
    return Office()


class Office:
    def __init__(self):
        self.broker = MemoryBroker()
        self.source = MemorySource(self.broker, topics.WINDOWS, most=1)
        self.exposition = Exposition("test")
        metrics = JudgeMetrics(self.exposition, DETECTOR, topic=topics.WINDOWS)

        def judging_model_of(model):
            return JudgingModel(model, model, FORM, np.full((3, 3), 0.1), lambda: Alarmed(DETECTOR))

        told = JudgeSettings("j", "m", "f", snapshot_s=1e9, show_s=-1.0)
        self.judge = Judge(
            judging_model_of, self.broker.clients(self.source), told, metrics, lambda *_: None
        )

    def open_pages(self):
        """Return how many pages the metrics tell of; None if they tell of no alarms at all."""
        told = [
            float(line.rsplit(" ", 1)[1])
            for line in generate_latest(self.exposition.registry).decode().splitlines()
            if line.startswith("calodqm_alarms_open{") and 'severity="page"' in line
        ]
        return sum(told) if told else None


def test_a_judge_that_stands_by_tells_of_no_alarms(office):
    for _ in range(3):
        office.judge._step()
    assert office.open_pages() is None


def test_a_judge_that_loses_its_office_tells_no_more_of_what_it_knew(office):
    office.source.give(0)
    for _ in range(3):
        office.judge._step()
    assert office.open_pages() == 0
    office.source.take(0)
    for _ in range(3):
        office.judge._step()
    assert office.open_pages() is None


def test_a_judge_tells_nothing_until_it_is_where_the_one_before_it_was(office):
    office.broker.append(topics.WINDOWS, ranges.encode_open(Open(1, "w", "t")), "t/1", 0)
    office.broker.append(topics.WINDOWS, ranges.encode_open(Open(2, "w", "t")), "t/2", 0)
    office.source.give(0)
    told = []
    for _ in range(6):
        office.judge._step()
        told.append(office.open_pages())
    assert told[0] is None
    assert told[-1] == 0
