"""Log: a topic read without a group."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError, LogTruncationError, OffsetOutOfRangeError

from consumers.kafka import admin
from consumers.kafka.connection import FETCH_BYTES, GONE, ISOLATION, opened, places_of, translated
from consumers.kafka.unpacking import UNREAD
from consumers.wire.record import Displaced, Record, Unavailable

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from consumers.kafka.connection import Connection

logger = logging.getLogger(__name__)

APPENDED = 1
"""Kafka's word for a timestamp that the broker's clock wrote."""

HELD_MS = 100
"""The broker holds a fetch for so long while there is nothing."""

FOLLOWED_MS = 250
"""The same where people and other processes say something now and then. A broker that wakes who waits tells
it at once, another one half of this later on the mean; each question costs some 2 ms of CPU time."""

SILENCE_S = 20.0
"""A broker that gives no records for so long, where there are some, is taken to be gone."""


ASK_S = 2.0
"""A broker that has not said for so long where a partition ends is asked again: another may lead."""


def record_of(r: Any, topic: str) -> Record:
    """Return a record of the client as ours, of a topic as we call it."""
    epoch = -1 if r.leader_epoch is None else r.leader_epoch
    by_broker = r.timestamp_type == APPENDED
    unread = dict(r.headers).get(UNREAD, b"").decode(errors="replace") if r.headers else ""
    where = (topic, r.partition, r.offset, r.timestamp)
    return Record(*where, r.key, r.value, epoch, by_broker, unread)


class KafkaLog:
    """Partition 0 of a topic, read without a group; see `consumers.wire.record.Log`."""

    def __init__(self, connection: Connection, *, held_ms: int = HELD_MS) -> None:
        """Open a log.

        Parameters
        ----------
        held_ms
            The broker holds a fetch for so long while there is nothing.
        """
        self._connection = connection
        self._consumer = opened(
            KafkaConsumer,
            connection,
            group_id=None,
            # A reader would make a topic with one partition and none of its settings.
            allow_auto_create_topics=False,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_bytes=4 * FETCH_BYTES,
            fetch_max_wait_ms=held_ms,
            isolation_level=ISOLATION,
            metrics_enabled=False,
            client_rack=connection.rack,
        )

    def read(
        self, topic: str, begin: int | None, end: int, *, partition: int = 0
    ) -> Iterator[Record]:
        """Return the records of a partition in [begin, end), begin None for the oldest.

        What expired of them is left out, and so is what the log does not reach.
        """
        where = self._place(topic, begin, partition)
        silent = time.monotonic()
        # Compaction leaves holes, so the end is where the position stands, not a record.
        while self._position(where) < end:
            try:
                records = self._poll(where)
            except Displaced:
                if self._moved_up(where):
                    continue
                return
            if records:
                silent = time.monotonic()
            elif time.monotonic() - silent > SILENCE_S:
                raise Unavailable(f"{topic}[{partition}] gives no records below offset {end}")
            for r in records:
                if r.offset < end:
                    yield record_of(r, topic)

    def read_all(self, topic: str, begin: int | None = None) -> Iterator[Record]:
        """Return the records of partition 0 from `begin`, None for the oldest, to the newest."""
        where = self._place(topic, begin)
        deadline = time.monotonic() + SILENCE_S
        while not self._at_end(where):
            try:
                records = self._poll(where)
            except Displaced:
                if self._moved_up(where):
                    continue
                return
            for r in records:
                deadline = time.monotonic() + SILENCE_S
                yield record_of(r, topic)
            if time.monotonic() > deadline:
                raise Unavailable(f"{topic}[0] gives no records")

    def identity(self, topic: str) -> str:
        """Return the id of a topic, empty where the broker has none."""
        return admin.topic_id(self._connection, topic)

    def bounds(self, topic: str, partition: int = 0) -> tuple[int, int]:
        """Return the first offset and the end that the broker reports.

        The end may lie below the true one: some brokers tell where the last batch begins.
        """
        where = self._where(topic, partition)
        began = time.monotonic()
        while True:
            try:
                with translated(through=(KafkaTimeoutError,)):
                    return self._bounds(where)
            except KafkaTimeoutError as error:
                if time.monotonic() - began > SILENCE_S:
                    raise Unavailable(f"{topic}[{partition}]: nobody says where it ends") from error

    def _bounds(self, where: TopicPartition) -> tuple[int, int]:
        patience_ms = int(ASK_S * 1000)
        first = self._consumer.beginning_offsets([where], timeout_ms=patience_ms)[where]
        return int(first), int(self._consumer.end_offsets([where], timeout_ms=patience_ms)[where])

    def follow(
        self, topic: str, stopping: threading.Event, *, begin: int | None = None
    ) -> Iterator[Record | None]:
        """Yield records of all partitions as they come, None when there is none for a moment.

        From `begin` in every partition, or from what is new if that is None.
        """
        with translated():
            name = self._connection.there(topic)
            partitions = self._consumer.partitions_for_topic(name) or {0}
            places = [TopicPartition(name, p) for p in sorted(partitions)]
            self._consumer.assign(places)
            if begin is None:
                self._consumer.seek_to_end(*places)
            else:
                for place in places:
                    self._consumer.seek(place, begin)
        while not stopping.is_set():
            with translated():
                found = self._consumer.poll(timeout_ms=200)
            for records in found.values():
                for r in records:
                    yield record_of(r, topic)
            if not found:
                yield None

    def close(self) -> None:
        """Let go."""
        try:
            self._consumer.close(autocommit=False, timeout_ms=1000)
        except GONE as error:
            logger.info("closing a log: %s", error)

    def _where(self, topic: str, partition: int) -> TopicPartition:
        return TopicPartition(self._connection.there(topic), partition)

    def _place(self, topic: str, begin: int | None, partition: int = 0) -> TopicPartition:
        where = self._where(topic, partition)
        with translated():
            self._consumer.assign([where])
            if begin is None:
                self._consumer.seek_to_beginning(where)
            else:
                self._consumer.seek(where, begin)
        return where

    def _moved_up(self, where: TopicPartition) -> bool:
        """Go to the oldest record if what we wanted has expired; return whether it had."""
        first, _ = self.bounds(self._connection.here(where.topic), where.partition)
        if self._position(where) >= first:
            return False
        with translated():
            self._consumer.seek(where, first)
        return True

    def _at_end(self, where: TopicPartition) -> bool:
        # As the last fetch said: what brokers report when asked may lie below the true end.
        with translated():
            end = self._consumer.highwater(where)
        return end is not None and self._position(where) >= end

    def _position(self, where: TopicPartition) -> int:
        with translated():
            return int(self._consumer.position(where))

    def _poll(self, where: TopicPartition) -> list[Any]:
        with translated():
            try:
                found = self._consumer.poll(timeout_ms=200)
            except (OffsetOutOfRangeError, LogTruncationError) as error:
                raise Displaced(place.partition for place in places_of(error)) from None
        return list(found.get(where, []))
