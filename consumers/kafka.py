"""Kafka: sources, sinks, logs and topics. The only file that imports kafka."""

from __future__ import annotations

import logging
import struct
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kafka import (
    KafkaAdminClient,
    KafkaConsumer,
    KafkaProducer,
    OffsetAndMetadata,
    TopicPartition,
)
from kafka import errors as kafka_errors
from kafka.admin import NewTopic
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor

from consumers import tls, topics
from consumers.record import Record, Refused, Unavailable

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator, Mapping

log = logging.getLogger(__name__)

DELIVERY_S = 20.0
"""A record that is not taken within this is given up, and what it belongs to is done again."""

FETCH_BYTES = 4 << 20
"""Read in large pieces: one fetch is in flight at a time."""

MAX_RECORD_BYTES = 16 << 20

_DENIED = (
    kafka_errors.SaslAuthenticationFailedError,
    kafka_errors.AuthorizationError,
    kafka_errors.UnsupportedSaslMechanismError,
    kafka_errors.IllegalSaslStateError,
    kafka_errors.KafkaConfigurationError,
)
# Odd answers of a broker that goes down raise odd errors out of the client: struct.error among them.
_GONE = (kafka_errors.KafkaError, OSError, struct.error, ConnectionError)


@dataclass(frozen=True)
class Connection:
    """Where the brokers are and how to get in."""

    bootstrap: str
    """host:port, comma-separated."""

    security: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Options of TLS and SASL under kafka-python's names, passed through."""

    def options(self) -> dict[str, Any]:
        """Return what every client needs."""
        return {
            "bootstrap_servers": self.bootstrap.split(","),
            "reconnect_backoff_max_ms": 2000,
            "bootstrap_timeout_ms": 5_000,
            **self.security,
        }

    def proven(self) -> dict[str, Any]:
        """Return the options; where it is to be TLS, after a handshake that shows that it works."""
        if str(self.security.get("security_protocol", "")).endswith("SSL"):
            tls.probe(self.bootstrap, self.security)
        return self.options()


class _Denials(logging.Handler):
    """Hears of refusals: kafka-python logs them, tries again, and ends in a mere time-out.

    What else it logs comes to us as errors too, and we say it once, in a line.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._newest: tuple[float, BaseException] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Remember a refusal."""
        arguments = record.args if isinstance(record.args, tuple) else ()
        for argument in arguments:
            if isinstance(argument, _DENIED):
                self._newest = (time.monotonic(), argument)

    def since(self, moment: float) -> BaseException | None:
        """Return a refusal that came after a moment, None if there was none."""
        newest = self._newest
        return newest[1] if newest is not None and newest[0] >= moment else None


_denials = _Denials()
_library = logging.getLogger("kafka")
_library.setLevel(logging.WARNING)
_library.propagate = False
_library.addHandler(_denials)


@contextmanager
def translated() -> Iterator[None]:
    """Turn kafka-python's errors into the two that the callers tell apart."""
    began = time.monotonic()
    try:
        yield
    except _DENIED as error:
        raise Refused(str(error)) from error
    except _GONE as error:
        denied = _denials.since(began)
        if denied is not None:
            raise Refused(str(denied)) from error
        name, said = type(error).__name__, str(error)
        # kafka-python's own errors begin with their name; what the system raises does not.
        raise Unavailable(said if said.startswith(name) else f"{name}: {said}") from error


class KafkaSource(ConsumerRebalanceListener):  # type: ignore[misc]
    """A member of a consumer group; see `consumers.record.Source`."""

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
        self._born = time.monotonic()
        self._topic = topic
        self._max_records = max_records
        self._came: set[int] = set()
        self._went: set[int] = set()
        with translated():
            self._consumer = KafkaConsumer(
                group_id=group,
                group_instance_id=instance,
                enable_auto_commit=False,
                # One each: an assignor holds the state of its member.
                partition_assignment_strategy=[CooperativeStickyAssignor()],
                auto_offset_reset="earliest",
                session_timeout_ms=int(session_s * 1000),
                heartbeat_interval_ms=int(session_s * 1000 / 5),
                max_poll_interval_ms=300_000,
                max_partition_fetch_bytes=FETCH_BYTES,
                fetch_max_bytes=4 * FETCH_BYTES,
                fetch_max_wait_ms=100,
                receive_buffer_bytes=FETCH_BYTES,
                metrics_enabled=False,
                **connection.proven(),
            )
            self._consumer.subscribe([topic], listener=self)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Hold what came until `start` says where it begins."""
        partitions = list(assigned)
        if partitions:
            self._consumer.pause(*partitions)
        self._came |= {p.partition for p in partitions}

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Note what went; it is only ever read again, from where its windows end."""
        partitions = {p.partition for p in revoked}
        self._went |= partitions - self._came
        self._came -= partitions

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        """Note what went while we were thought dead."""
        self.on_partitions_revoked(lost)

    def poll(self, seconds: float) -> list[Record]:
        """Return the next records, after some time at most."""
        with translated():
            found = self._consumer.poll(
                timeout_ms=int(seconds * 1000), max_records=self._max_records
            )
        return [
            Record(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value)
            for records in found.values()
            for r in records
        ]

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

    def lag(self, partitions: Iterable[int]) -> dict[int, int]:
        """Return how many offsets are still to be returned, for partitions where it is known."""
        # From the last fetch: asking the broker costs a round trip, and not all answer rightly.
        places = {p: TopicPartition(self._topic, p) for p in partitions}
        with translated():
            ends = {p: self._consumer.highwater(place) for p, place in places.items()}
            return {
                p: int(end) - int(self._consumer.position(places[p]))
                for p, end in ends.items()
                if end is not None
            }

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Note how far we are; for lag tools alone, so nobody waits for it."""
        with translated():
            self._consumer.commit_async(
                {
                    TopicPartition(self._topic, partition): OffsetAndMetadata(offset, "", -1)
                    for partition, offset in offsets.items()
                }
            )

    def close(self) -> None:
        """Leave the group."""
        try:
            self._consumer.close(autocommit=False, timeout_ms=3000)
        except _GONE as error:  # nobody left to say goodbye to
            log.info("leaving the group: %s", error)


class _Append:
    def __init__(self, future: Any) -> None:
        self._future = future

    def offset(self) -> int:
        with translated():
            return int(self._future.get(timeout=DELIVERY_S + 5).offset)


class KafkaSink:
    """An idempotent producer that never drops in silence; see `consumers.record.Sink`."""

    def __init__(self, connection: Connection, *, linger_ms: int = 0) -> None:
        with translated():
            self._producer = KafkaProducer(
                acks="all",
                enable_idempotence=True,
                delivery_timeout_ms=int(DELIVERY_S * 1000),
                request_timeout_ms=int(DELIVERY_S * 500),
                max_block_ms=int(DELIVERY_S * 1000),
                max_request_size=MAX_RECORD_BYTES,
                batch_size=1 << 20,
                linger_ms=linger_ms,
                metrics_enabled=False,
                **connection.proven(),
            )

    def append(
        self, topic: str, value: bytes, *, key: str, partition: int | None = None
    ) -> _Append:
        """Send a record; it is safe only once its `offset` returned."""
        with translated():
            return _Append(self._producer.send(topic, value, key.encode(), partition=partition))

    def close(self) -> None:
        """Send what is under way and let go."""
        with translated():
            self._producer.close(timeout=DELIVERY_S)


class KafkaLog:
    """Partition 0 of a topic, read without a group; see `consumers.record.Log`."""

    def __init__(self, connection: Connection) -> None:
        with translated():
            self._consumer = KafkaConsumer(
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                max_partition_fetch_bytes=FETCH_BYTES,
                fetch_max_bytes=4 * FETCH_BYTES,
                fetch_max_wait_ms=100,
                metrics_enabled=False,
                **connection.proven(),
            )

    def read(
        self, topic: str, begin: int | None, end: int, *, partition: int = 0
    ) -> Iterator[Record]:
        """Return the records of a partition in [begin, end), begin None for the oldest."""
        where = self._place(topic, begin, partition)
        silent = time.monotonic()
        # Compaction leaves holes, so the end is where the position stands, not a record.
        while self._position(where) < end:
            records = self._poll(where)
            if records:
                silent = time.monotonic()
            elif time.monotonic() - silent > DELIVERY_S:
                raise Unavailable(f"{topic}[{partition}] gives no records below offset {end}")
            for r in records:
                if r.offset < end:
                    yield Record(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value)

    def read_all(self, topic: str, begin: int | None = None) -> Iterator[Record]:
        """Return the records of partition 0 from `begin`, None for the oldest, to the newest."""
        where = self._place(topic, begin)
        deadline = time.monotonic() + DELIVERY_S
        while not self._at_end(where):
            for r in self._poll(where):
                deadline = time.monotonic() + DELIVERY_S
                yield Record(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value)
            if time.monotonic() > deadline:
                raise Unavailable(f"{topic}[0] gives no records")

    def reported_end(self, topic: str) -> int:
        """Return the end that the broker reports; it may lie below the true one."""
        where = TopicPartition(topic, 0)
        with translated():
            return int(self._consumer.end_offsets([where])[where])

    def follow(
        self, topic: str, stopping: threading.Event, *, begin: int | None = None
    ) -> Iterator[Record | None]:
        """Yield records of all partitions as they come, None when there is none for a moment.

        From `begin` in every partition, or from what is new if that is None.
        """
        with translated():
            partitions = self._consumer.partitions_for_topic(topic) or {0}
            places = [TopicPartition(topic, p) for p in sorted(partitions)]
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
                    yield Record(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value)
            if not found:
                yield None

    def close(self) -> None:
        """Let go."""
        try:
            self._consumer.close(autocommit=False, timeout_ms=1000)
        except _GONE as error:
            log.info("closing a log: %s", error)

    def _place(self, topic: str, begin: int | None, partition: int = 0) -> TopicPartition:
        where = TopicPartition(topic, partition)
        with translated():
            self._consumer.assign([where])
            if begin is None:
                self._consumer.seek_to_beginning(where)
            else:
                self._consumer.seek(where, begin)
        return where

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
            found = self._consumer.poll(timeout_ms=200)
        return list(found.get(where, []))


_DAY_MS = 24 * 3600 * 1000
_CONFIGS: dict[str, dict[str, str]] = {
    topics.SHOWERS: {"retention.ms": str(2 * _DAY_MS)},
    topics.WINDOWS: {"retention.ms": str(30 * _DAY_MS)},
    topics.STATE: {"cleanup.policy": "compact"},
    topics.REFERENCES: {"cleanup.policy": "compact"},
    topics.MODELS: {"cleanup.policy": "compact"},
    topics.QUALITY: {"retention.ms": "-1"},
    topics.ANOMALIES: {"retention.ms": str(7 * _DAY_MS)},
    topics.REJECTS: {"retention.ms": str(7 * _DAY_MS)},
}


def ensure_topics(
    connection: Connection, *, partitions: int, replication: int = 1, showers: str = topics.SHOWERS
) -> list[str]:
    """Create the topics that do not exist yet and return their names.

    The windows, state and quality topics have one partition each: their order is the state.
    """
    names = {**_CONFIGS, showers: _CONFIGS[topics.SHOWERS]}
    if showers != topics.SHOWERS:
        del names[topics.SHOWERS]
    with translated():
        admin = KafkaAdminClient(**connection.proven())
        try:
            missing = sorted(set(names) - set(_topic_names(admin)))
            for name in missing:
                _create(admin, name, partitions if name == showers else 1, replication, names[name])
        finally:
            admin.close()
    return missing


def describe_topics(connection: Connection) -> dict[str, int]:
    """Return the number of partitions of every topic."""
    with translated():
        admin = KafkaAdminClient(**connection.proven())
        try:
            found = admin.describe_topics()
        finally:
            admin.close()
    return {topic["name"]: len(topic["partitions"]) for topic in found}


def _create(
    admin: Any, name: str, partitions: int, replication: int, configs: dict[str, str]
) -> None:
    configs = {"max.message.bytes": str(MAX_RECORD_BYTES), **configs}
    topic = NewTopic(name, partitions, replication, topic_configs=configs)
    try:
        admin.create_topics([topic])
    except kafka_errors.TopicAlreadyExistsError:  # somebody else did, meanwhile
        log.info("topic %s exists", name)


def _topic_names(admin: Any) -> list[str]:
    return [t["name"] if isinstance(t, dict) else str(t) for t in admin.list_topics()]
