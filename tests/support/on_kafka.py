"""A worker and a judge on a broker whose topics a test deletes, shortens and makes again."""

import math
import threading
import time
from contextlib import contextmanager

import numpy as np
from kafka import KafkaAdminClient, TopicPartition
from memory import TINY, CountingMonitor, PlainScorer
from waiting import wait_until

from consumers.judge.judge import Judge
from consumers.judge.models import JudgingModel
from consumers.judge.settings import JudgeSettings
from consumers.kafka.admin import describe_topics, ensure_topics
from consumers.kafka.log import KafkaLog
from consumers.kafka.sink import KafkaSink
from consumers.kafka.source import KafkaSource
from consumers.score.scoring import ModelsInForce, ScoringModel
from consumers.score.settings import WorkerSettings
from consumers.score.worker import Worker
from consumers.wire import topics
from consumers.wire.arrow_form import encode
from consumers.wire.block import Block
from consumers.wire.record import Clients
from models.showers.batch import Showers
from monitor.detector.tree import grid
from monitor.display.metrics.exposition import Exposition
from monitor.display.metrics.judge import JudgeMetrics
from monitor.display.metrics.worker import WorkerMetrics

DETECTOR = grid("calo", sectors=2, regions_per_sector=2)
MODEL = ScoringModel(PlainScorer(), (), np.full((1, 3), 0.1))
EACH = 4
"""Showers of a record."""


def make(connection):
    ensure_topics(connection, partitions=2)
    wait_until(lambda: describe_topics(connection).get(topics.SHOWERS) == 2, 20, "two partitions")


def delete(admin, name):
    admin.delete_topics([name])
    wait_until(lambda: name not in admin.list_topics(), 20, f"{name} to be gone")


def payload(i):
    one = np.ones(EACH, np.int64)
    cells = np.full((EACH, TINY.n_cells), 0.5, np.float32)
    showers = Showers(cells, np.ones(EACH, np.float32))
    numbers = np.arange(EACH, dtype=np.uint64)
    times = np.full(EACH, time.time_ns())
    return encode(Block(showers, numbers, times, one, one, np.arange(EACH), "", i), TINY)


def produce(connection, n):
    """Send n records to each partition; return their showers."""
    sink = KafkaSink(connection)
    under_way = [
        sink.append(topics.SHOWERS, payload(i), key="k", partition=p)
        for i in range(n)
        for p in range(2)
    ]
    for append in under_way:
        append.offset()
    sink.close()
    return 2 * n * EACH


class Service:
    """A worker and a judge in threads of this process."""

    def __init__(self, connection, **told):
        self._connection = connection
        self._stopping = threading.Event()
        exposition = Exposition("test")
        lineup = ModelsInForce(MODEL)
        self.worker = Worker(
            lambda: lineup,
            DETECTOR,
            self._clients(topics.SHOWERS, "workers"),
            WorkerSettings("w", emit_s=0.1, group="workers"),
            WorkerMetrics(exposition, DETECTOR, topic=topics.SHOWERS),
        )
        standard = JudgingModel(
            "plain", "plain", MODEL.form, MODEL.expected_rate, lambda: CountingMonitor(DETECTOR)
        )
        self.judge = Judge(
            lambda _: standard,
            self._clients(topics.WINDOWS, "judges"),
            JudgeSettings("j", "plain", "f", snapshot_s=0.5, show_s=0.2, **told),
            JudgeMetrics(exposition, DETECTOR, topic=topics.WINDOWS),
            lambda *_: None,
        )
        self.judge._shown = math.inf  # the monitor of the test has nothing to show
        self._threads = [
            threading.Thread(target=job.run, args=(self._stopping,))
            for job in (self.worker, self.judge)
        ]

    def _clients(self, topic, group):
        source = KafkaSource(self._connection, topic, group, session_s=3)
        self._open = [*getattr(self, "_open", []), KafkaSink(self._connection)]
        self._open.append(KafkaLog(self._connection))
        return Clients(source, *self._open[-2:])

    @property
    def judged(self):
        return self.judge._whole.totals["showers"]

    def tally(self, name):
        return self.judge._whole.tally[name]

    def start(self):
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        for client in self._open:
            client.close()


@contextmanager
def serving(connection, **told):
    service = Service(connection, **told)
    service.start()
    try:
        yield service
    finally:
        service.stop()


def judged(service, showers, seconds=40):
    wait_until(lambda: service.judged >= showers, seconds, f"{showers} showers to be judged")
    assert service.judged == showers


def expire(connection, name, ends):
    """Delete the records before these offsets, as retention does."""
    admin = KafkaAdminClient(bootstrap_servers=connection.bootstrap)
    admin.delete_records({TopicPartition(name, p): end for p, end in ends.items()})
    admin.close()
