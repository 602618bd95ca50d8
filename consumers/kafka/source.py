"""Source: a member of a consumer group."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka import errors as kafka_errors
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import LogTruncationError, OffsetOutOfRangeError

from consumers.kafka import admin
from consumers.kafka.admin import broker_settings
from consumers.kafka.connection import FETCH_BYTES, GONE, ISOLATION, opened, places_of, translated
from consumers.kafka.ends import Ends
from consumers.kafka.joining import persist
from consumers.kafka.log import record_of
from consumers.wire.record import UNKNOWN, Displaced, Lag, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from consumers.kafka.connection import Connection
    from consumers.wire.record import Record

persist()

logger = logging.getLogger(__name__)

UNANSWERED_S = 5.0
"""A lag is unknown if no broker has said for so long where the partition ends."""


class KafkaSource(ConsumerRebalanceListener):  # type: ignore[misc]
    """A member of a consumer group; see `consumers.wire.record.Source`."""

    def __init__(
        self,
        connection: Connection,
        topic: str,
        group: str,
        *,
        session_s: float = 10.0,
        instance: str | None = None,
        max_records: int = 500,
    ) -> None:
        """Join a group.

        Parameters
        ----------
        session_s
            The others take over after this, if we die without a word.
        instance
            Name for static membership: a restart within the session moves no partition.
        max_records
            Most records that a poll returns.
        """
        self._name, self._topic = topic, connection.there(topic)
        self._connection, self._group = connection, group
        self._session_s = session_s
        self._meanings = {
            kafka_errors.InvalidSessionTimeoutError: self._session_limits,
            kafka_errors.GroupAuthorizationFailedError: self._group_right,
            kafka_errors.FencedInstanceIdError: lambda: f"CALODQM_INSTANCE={instance}",
        }
        self._max_records = max_records
        self._came: set[int] = set()
        self._went: set[int] = set()
        self._displaced: set[int] = set()
        self._consumer = opened(
            KafkaConsumer,
            connection,
            group_id=group,
            allow_auto_create_topics=False,
            group_instance_id=instance,
            enable_auto_commit=False,
            # One each: an assignor holds the state of its member.
            partition_assignment_strategy=[CooperativeStickyAssignor()],
            # Not a place of the client's choice: who counts must know what it did not see.
            auto_offset_reset="none",
            isolation_level=ISOLATION,
            session_timeout_ms=int(session_s * 1000),
            heartbeat_interval_ms=int(session_s * 1000 / 5),
            max_poll_interval_ms=300_000,
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_bytes=4 * FETCH_BYTES,
            fetch_max_wait_ms=100,
            receive_buffer_bytes=FETCH_BYTES,
            metrics_enabled=False,
            client_rack=connection.rack,
        )
        self._asked = Ends(connection, topic)
        with translated():
            self._consumer.subscribe([self._topic], listener=self)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Hold what came until `start` says where it begins."""
        partitions = list(assigned)
        if partitions:
            self._consumer.pause(*partitions)
        for partition in partitions:  # a place of some kind, or the client asks the group for one
            self._consumer.seek(partition, 0)
        self._came |= {p.partition for p in partitions}

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Note what went; it is only ever read again, from where its windows end."""
        partitions = {p.partition for p in revoked}
        self._went |= partitions - self._came
        self._came -= partitions

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        """Note what went while we were thought dead."""
        self.on_partitions_revoked(lost)

    def identity(self) -> str:
        """Return the id of the topic, empty where the broker has none."""
        return admin.topic_id(self._connection, self._name)

    def poll(self, seconds: float) -> list[Record]:
        """Return the next records, after some time at most."""
        if self._displaced:
            away, self._displaced = self._displaced, set()
            raise Displaced(self._hold(TopicPartition(self._topic, p) for p in away))
        self._asked.raise_denied()
        self._asked.want(place.partition for place in self._consumer.assignment())
        wait_ms = int(seconds * 1000)
        with translated(self._meanings):
            try:
                found = self._consumer.poll(timeout_ms=wait_ms, max_records=self._max_records)
            except (OffsetOutOfRangeError, LogTruncationError) as error:
                raise Displaced(self._hold(places_of(error))) from None
        return [record_of(r, self._name) for records in found.values() for r in records]

    def _hold(self, places: Iterable[TopicPartition]) -> list[int]:
        """Hold partitions until `start` says where they go on."""
        ours = [place for place in places if place in self._consumer.assignment()]
        if ours:
            self._consumer.pause(*ours)
        return [place.partition for place in ours]

    def changes(self) -> tuple[set[int], set[int]]:
        """Return the partitions that came and those that went since the last call."""
        came, went, self._came, self._went = self._came, self._went, set(), set()
        return came, went

    def start(self, offsets: Mapping[int, int | None]) -> None:
        """Begin to read partitions at their offsets, None for the oldest record there is."""
        held = self._consumer.assignment()
        for partition, offset in offsets.items():
            where = TopicPartition(self._topic, partition)
            if where not in held:  # taken away again meanwhile
                continue
            with translated():
                if offset is None:
                    self._consumer.seek_to_beginning(where)
                else:
                    self._consumer.seek(where, offset)
                self._consumer.resume(where)

    def lag(self, partitions: Iterable[int]) -> dict[int, Lag]:
        """Return how many offsets are still to be returned, as the brokers said when asked.

        Those of a transaction that is still open are among them: nobody knows yet what they are.
        """
        return {p: self._lag(TopicPartition(self._topic, p)) for p in partitions}

    def _lag(self, where: TopicPartition) -> Lag:
        answer = self._asked.of(where.partition)
        try:
            with translated(through=(LogTruncationError,)):
                position = self._consumer.position(where, timeout_ms=0)
        except LogTruncationError as error:  # it is said once: the next poll has to say it
            self._displaced |= {place.partition for place in places_of(error)}
            return UNKNOWN
        except Unavailable:
            return UNKNOWN
        if answer is None or position is None or answer[1] > UNANSWERED_S:
            return UNKNOWN
        end, age = answer
        # Some brokers tell where the last batch begins, when asked; what a fetch says is true, if old.
        end = max(end, self._consumer.highwater(where) or 0)
        return Lag(max(0, end - position), age)

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Note how far we are; for lag tools alone, so nobody waits for it."""
        with translated(self._meanings):
            self._consumer.commit_async(
                {
                    TopicPartition(self._topic, partition): OffsetAndMetadata(offset, "", -1)
                    for partition, offset in offsets.items()
                }
            )

    def _session_limits(self) -> str:
        names = ("group.min.session.timeout.ms", "group.max.session.timeout.ms")
        found = broker_settings(self._connection, *names)
        limits = [f"{int(found[name]) / 1000:.0f}" for name in names if name in found]
        allowed = f"allows {' to '.join(limits)} s" if limits else "does not allow it"
        return f"CALODQM_SESSION_S={self._session_s:g}: the broker {allowed} ({', '.join(names)})"

    def _group_right(self) -> str:
        return f"no right to read in the group {self._group!r}: CALODQM_GROUP, or an ACL for it"

    def close(self) -> None:
        """Leave the group."""
        self._asked.close()
        try:
            self._consumer.close(autocommit=False, timeout_ms=3000)
        except GONE as error:  # nobody left to say goodbye to
            logger.info("leaving the group: %s", error)
