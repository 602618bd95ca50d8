"""Overload: by default nothing is left out; where it is switched on, what is left out is counted and told."""

import time
from dataclasses import replace

import numpy as np
import pytest
from memory import TINY, MemoryBroker, MemorySource, PlainScorer
from prometheus_client import generate_latest
from streams import GEOMETRY, START, Stream, expectation

from consumers.score.scoring import ModelsInForce, ScoringModel
from consumers.score.settings import WorkerSettings
from consumers.score.worker import Worker
from consumers.wire import ranges, topics, window_form
from consumers.wire.arrow_form import encode
from consumers.wire.block import Block
from consumers.wire.ranges import Range
from models.showers.batch import Showers
from monitor.detector.tree import grid
from monitor.display.metrics.exposition import Exposition
from monitor.display.metrics.worker import WorkerMetrics
from monitor.judging.monitor import Monitor
from monitor.judging.settings import MonitorSettings
from monitor.quality.alarms import Alarm
from monitor.quality.quality import Quality
from monitor.quality.verdicts import Verdict

DETECTOR = grid("calo", sectors=2, regions_per_sector=2)
OLD, NEW, EACH = 7, 5, 4
"""Records that waited, records that did not, and showers in each."""


def block(i, start_ns):
    ones = np.ones(EACH, np.int64)
    cells = np.full((EACH, TINY.n_cells), 0.5, np.float32)
    return Block(
        Showers(cells, np.ones(EACH, np.float32)), np.arange(EACH, dtype=np.uint64),
        np.full(EACH, start_ns), ones, ones * 3, np.arange(EACH), "p", i,
    )  # fmt: skip


def scored(**settings):
    """Return the ranges of a worker that comes late to a partition, and its metrics."""
    broker = MemoryBroker()
    start_ns = broker.now_ms * 1_000_000
    for i in range(OLD):
        broker.append(topics.SHOWERS, encode(block(i, start_ns), TINY), "k", 0)
    broker.now_ms = int(time.time() * 1000)
    for i in range(OLD, OLD + NEW):
        broker.append(topics.SHOWERS, encode(block(i, start_ns), TINY), "k", 0)
    source = MemorySource(broker, topics.SHOWERS)
    source.give(0)
    exposition = Exposition("test")
    metrics = WorkerMetrics(exposition, DETECTOR, topic=topics.SHOWERS)
    lineup = ModelsInForce(ScoringModel(PlainScorer(), (), np.full((1, 3), 0.1)))
    told = WorkerSettings("w", emit_s=0.0, **settings)
    worker = Worker(lambda: lineup, DETECTOR, broker.clients(source), told, metrics)
    for _ in range(12):
        worker._step()
    found = []
    for record in broker.topics[topics.WINDOWS, 0]:
        entry = ranges.header(record.value)
        if isinstance(entry, Range):
            found.append((entry, window_form.windows(record.value, lineup.primary.form)))
    return found, generate_latest(exposition.registry).decode()


@pytest.mark.parametrize(("settings", "left_out"), [({}, 0), ({"shed_after_s": 600.0}, OLD * EACH)])
def test_only_where_it_is_switched_on_old_records_are_counted_and_not_scored(settings, left_out):
    found, metrics = scored(**settings)
    assert sum(entry.showers for entry, _ in found) == (OLD + NEW) * EACH
    tallied = sum(window.n for _, windows in found for window in windows)
    assert tallied == (OLD + NEW) * EACH - left_out
    shed = [row for entry, _ in found for row in entry.shed]
    assert sum(n for *_, n in shed) == left_out
    assert {row[:2] for row in shed} <= {(1, 3)}
    counted = [
        float(line.rsplit(" ", 1)[1])
        for line in metrics.splitlines()
        if line.startswith("calodqm_showers_skipped_total") and 'reason="shed"' in line
    ]
    assert sum(counted) == left_out
    assert [entry.begin for entry, _ in found][1:] == [entry.end for entry, _ in found][:-1]


def test_a_worker_that_comes_to_a_producer_with_a_slow_clock_leaves_nothing_out():
    broker = MemoryBroker()
    records = broker.topics[topics.SHOWERS, 0]
    for i in range(6):
        broker.append(topics.SHOWERS, encode(block(i, time.time_ns()), TINY), "k", 0)
        at = int((time.time() - 30) * 1000)
        records[-1] = replace(records[-1], timestamp_ms=at, broker_time=False)
    source = MemorySource(broker, topics.SHOWERS)
    source.give(0)
    metrics = WorkerMetrics(Exposition("test"), DETECTOR, topic=topics.SHOWERS)
    lineup = ModelsInForce(ScoringModel(PlainScorer(), (), np.full((1, 3), 0.1)))
    told = WorkerSettings("w", emit_s=0.0, shed_after_s=20.0)
    worker = Worker(lambda: lineup, DETECTOR, broker.clients(source), told, metrics)
    for _ in range(8):
        worker._step()
    entries = [ranges.header(r.value) for r in broker.topics[topics.WINDOWS, 0]]
    found = [entry for entry in entries if isinstance(entry, Range)]
    assert sum(entry.showers for entry in found) == 6 * EACH
    assert not any(entry.shed for entry in found)


@pytest.mark.parametrize("timestamp_ms", [0, 1_767_225_600, -1])
@pytest.mark.parametrize("slow_s", [0, 30])
def test_a_worker_that_keeps_up_leaves_nothing_out_whatever_times_the_records_have(
    timestamp_ms, slow_s
):
    broker = MemoryBroker()
    source = MemorySource(broker, topics.SHOWERS)
    source.give(0)
    exposition = Exposition("test")
    metrics = WorkerMetrics(exposition, DETECTOR, topic=topics.SHOWERS)
    lineup = ModelsInForce(ScoringModel(PlainScorer(), (), np.full((1, 3), 0.1)))
    told = WorkerSettings("w", emit_s=0.0, shed_after_s=5.0)
    worker = Worker(lambda: lineup, DETECTOR, broker.clients(source), told, metrics)
    worker._step()
    worker._step()
    records = broker.topics[topics.SHOWERS, 0]
    for i in range(6):
        broker.append(topics.SHOWERS, encode(block(i, time.time_ns()), TINY), "k", 0)
        at = timestamp_ms if not slow_s else int((time.time() - slow_s) * 1000)
        records[-1] = replace(records[-1], timestamp_ms=at, broker_time=False)
        worker._step()
        worker._step()
    entries = [ranges.header(r.value) for r in broker.topics[topics.WINDOWS, 0]]
    found = [entry for entry in entries if isinstance(entry, Range)]
    assert sum(entry.showers for entry in found) == 6 * EACH
    assert [row for entry in found for row in entry.shed] == []


def monitored(seconds, *, whole=True, silent=()):
    stream = Stream()
    reference = expectation(50_000, np.random.default_rng(5))
    judge = Monitor(stream.detector, GEOMETRY, reference, MonitorSettings(model="m"))
    said = []
    for second in range(seconds):
        stream.silent = set(silent) if second > 40 else set()
        said += judge.observe(stream.next(), whole=whole)
    return judge, stream, said


def test_a_verdict_says_what_was_left_out_and_is_amended_if_it_is_told_later():
    judge, stream, _ = monitored(20)
    assert judge.leave_out([(1, 1, 2, 30), (1, 1, 2, 12)]) == ()
    said = [judge.observe(stream.next()) for _ in range(6)]
    first = {v.region: v for told in said for v in told if isinstance(v, Verdict)}
    assert (first[2].skipped, first[2].quality) == (42, Quality.GOOD)
    assert first[2].reason == "42 showers were not scored: overload"
    assert (first[3].skipped, first[3].reason) == (0, "")
    heir = Monitor(stream.detector, GEOMETRY, judge.watch.references.certified, judge.settings)
    heir.restore(judge.state())
    (later,) = heir.leave_out([(1, 1, 2, 8)])
    assert (later.skipped, later.version) == (50, 2)
    assert later.known[0][0] >= START


@pytest.mark.slow
@pytest.mark.parametrize("whole", [True, False])
def test_a_region_whose_showers_were_left_out_is_not_called_silent(whole):
    _, _, said = monitored(60, whole=whole, silent={2})
    assert any(isinstance(record, Alarm) for record in said) is whole
