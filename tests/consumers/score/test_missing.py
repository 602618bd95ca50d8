"""A worker counts what is missing by producer and key, also where keys share a partition."""

import numpy as np
import pytest
from memory import TINY, MemoryBroker, MemorySource, PlainScorer
from prometheus_client import generate_latest

from consumers.score.scoring import ModelsInForce, ScoringModel
from consumers.score.settings import WorkerSettings
from consumers.score.worker import Worker
from consumers.wire import ranges, topics
from consumers.wire.arrow_form import encode
from consumers.wire.block import Block
from consumers.wire.ranges import Range
from models.showers.batch import Showers
from monitor.detector.tree import grid
from monitor.display.metrics.exposition import Exposition
from monitor.display.metrics.worker import WorkerMetrics

DETECTOR = grid("calo", sectors=2, regions_per_sector=2)
LINEUP = ModelsInForce(ScoringModel(PlainScorer(), (), np.full((1, 3), 0.1)))


def value(seq, at_ns, producer="daq"):
    one = np.ones(1, np.int64)
    showers = Showers(np.full((1, TINY.n_cells), 0.5, np.float32), np.ones(1, np.float32))
    return encode(
        Block(showers, one.astype(np.uint64), one * at_ns, one, one, one, producer, seq), TINY
    )


class Place:
    """One partition, and workers that take it over one after the other."""

    def __init__(self):
        self.broker = MemoryBroker()
        exposition = Exposition("test")
        self._registry = exposition.registry
        self._metrics = WorkerMetrics(exposition, DETECTOR, topic=topics.SHOWERS)

    def send(self, key, seq, producer="daq"):
        at_ns = self.broker.now_ms * 1_000_000
        self.broker.append(topics.SHOWERS, value(seq, at_ns, producer), key, 0)

    def taken_over(self):
        """Let a new worker take what is there."""
        source = MemorySource(self.broker, topics.SHOWERS)
        source.give(0)
        clients, told = self.broker.clients(source), WorkerSettings("w", emit_s=0.0)
        worker = Worker(lambda: LINEUP, DETECTOR, clients, told, self._metrics)
        while source.positions.get(0, 0) < len(self.broker.topics[topics.SHOWERS, 0]):
            worker._step()
        worker._step()
        worker._saying.settle()

    def missing(self):
        entries = [ranges.header(r.value) for r in self.broker.topics[topics.WINDOWS, 0]]
        return sum(entry.missing for entry in entries if isinstance(entry, Range))

    def counted(self, name):
        lines = generate_latest(self._registry).decode().splitlines()
        return float(next(line for line in lines if line.startswith(name)).rsplit(" ", 1)[1])


@pytest.mark.slow
def test_keys_that_share_a_partition_are_not_mixed_up_by_any_worker():
    place = Place()
    for seq in range(0, 30, 10):
        for i in range(seq, seq + 10):
            place.send("B", 3 * i)
            place.send("B", 3 * i + 1)
            place.send("B", 3 * i + 2)
            place.send("C", i)
        place.taken_over()
    assert place.missing() == 0
    place.send("B", 93)
    place.send("C", 30)
    place.taken_over()
    assert place.missing() == place.counted("calodqm_blocks_missing_total") == 3


def test_who_does_not_count_is_counted():
    place = Place()
    for producer, seq in (("", 3), ("daq", None), ("daq", 7)):
        place.send("A", seq, producer)
    place.taken_over()
    assert place.counted("calodqm_records_uncounted_total") == 2
    assert place.missing() == 0
