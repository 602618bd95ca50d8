"""The gallery: poison on the anomalies topic is a dead letter, and what comes after is kept."""

import threading
from dataclasses import replace

import golden
import numpy as np
import poison
import pytest
from memory import TINY, MemoryBroker, MemorySink

from consumers.http import gallery
from consumers.http.gallery import Gallery
from consumers.http.page import ShowerCoordinates
from consumers.wire import letters, strange, topics
from consumers.wire.letters import DeadLetters
from consumers.wire.record import MAX_RECORD_BYTES
from monitor.detector.tree import grid

ANOMALIES = dict(poison.anomalies_topic())
DETECTOR = grid("calo", sectors=2, regions_per_sector=4)


class Log:
    def __init__(self, broker):
        self.broker = broker

    def bounds(self, topic):
        return 0, 0

    def follow(self, topic, stopping, begin=None):
        yield from self.broker.topics[topic, 0]


def follow(broker, geometry=TINY):
    counted = []
    box = DeadLetters(lambda: MemorySink(broker), counted.append)
    kept = Gallery(geometry, DETECTOR, topics.SHOWERS, lambda cells: cells, box)
    kept.follow(Log(broker), threading.Event())
    return kept, counted


@pytest.mark.parametrize("name", ANOMALIES)
def test_poison_on_the_anomalies_topic_is_a_dead_letter_and_the_gallery_goes_on(name):
    broker = MemoryBroker()
    broker.append(topics.ANOMALIES, ANOMALIES[name], "k", 0)
    good = strange.encode([golden.strange_shower()], topics.SHOWERS, ("a", "b"))
    broker.append(topics.ANOMALIES, good, "k", 0)
    kept, counted = follow(broker)
    (letter,) = [letters.decode(r.value) for r in broker.topics[topics.REJECTS, 0]]
    assert (letter.topic, letter.offset) == (topics.ANOMALIES, 0)
    assert counted == [topics.ANOMALIES]
    assert kept.picture(ShowerCoordinates(topics.SHOWERS, 1, 2, 3)) is not None


def test_the_memory_of_the_gallery_follows_from_the_number_of_cells(monkeypatch):
    monkeypatch.setattr(gallery, "KEPT_BYTES", 3 * 8 * TINY.n_cells)
    broker = MemoryBroker()
    many = [replace(golden.strange_shower(), row=row) for row in range(5)]
    broker.append(topics.ANOMALIES, strange.encode(many, "t", ("a", "b")), "k", 0)
    kept, _ = follow(broker)
    found = [
        kept.picture(ShowerCoordinates(topics.SHOWERS, 1, 2, row)) is not None for row in range(5)
    ]
    assert found == [False, False, True, True, True]


def test_strange_showers_of_many_cells_take_as_many_records_as_they_need():
    cells = np.random.default_rng(0).random(40_500).astype(np.float32)
    many = [replace(golden.strange_shower(), row=row, cells=cells, pull=cells) for row in range(60)]
    values = list(strange.encode_all(many, "t", ("a", "b")))
    assert len(values) > 1
    assert max(map(len, values)) < MAX_RECORD_BYTES
    assert list(strange.encode_all([], "t", ())) == []
