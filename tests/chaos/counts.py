"""What lies on the topics at the end, counted by itself."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from feed import PARTITIONS

from consumers.app import environment
from consumers.app.detector_files import geometry_of
from consumers.exactly_once.quality_log import identity
from consumers.kafka.connection import Connection
from consumers.kafka.log import KafkaLog
from consumers.wire import lumisection_form, topics
from consumers.wire.codec import decode

if TYPE_CHECKING:
    from consumers.wire.window_form import WindowForm


class Topic(NamedTuple):
    """Showers that lie on their topic."""

    showers: int
    again: int
    """Of them in records that lie there more than once: their producer wrote them twice."""


def on_topic(bootstrap: str) -> Topic:
    """Count the showers on their topic."""
    geometry = geometry_of(environment.load({"bootstrap": bootstrap}, {}))
    log, times, n = KafkaLog(Connection(bootstrap)), Counter[bytes](), {}
    try:
        for partition in range(PARTITIONS):
            _, end = log.bounds(topics.SHOWERS, partition)
            for record in log.read(topics.SHOWERS, 0, end, partition=partition):
                value = bytes(record.value or b"")
                times[value] += 1
                n[value] = decode(value, geometry).showers.n
    finally:
        log.close()
    return Topic(
        sum(n[value] * k for value, k in times.items()),
        sum(n[value] * (k - 1) for value, k in times.items()),
    )


def summed_up(bootstrap: str, form: WindowForm) -> int:
    """Return how many showers the lumisections hold that are kept."""
    log, parts = KafkaLog(Connection(bootstrap)), {}
    try:
        for record in log.read_all(topics.LUMISECTIONS):
            parts[record.key] = lumisection_form.window(record.value or b"", form).n
    finally:
        log.close()
    return sum(parts.values())


def twice(records: list[Any]) -> int:
    """Return how many records say again what another has said."""
    return len(records) - len({identity(record) for record in records})
