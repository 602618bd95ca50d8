"""Sink: a producer that never drops in silence."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from kafka import KafkaProducer
from kafka import errors as kafka_errors

from consumers.kafka.connection import opened, translated
from consumers.wire.record import MAX_RECORD_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumers.kafka.connection import Connection, Meanings

DELIVERY_S = 20.0
"""A record that is not taken within this is given up, and what it belongs to is done again."""


class _Append:
    def __init__(self, future: Any, meanings: Meanings) -> None:
        self._future, self._meanings = future, meanings

    def offset(self) -> int:
        with translated(self._meanings):
            return int(self._future.get(timeout=DELIVERY_S + 5).offset)

    def once_safe(self, act: Callable[[], None]) -> None:
        self._future.add_callback(lambda _: act())


def _too_large(topic: str, size: int) -> str:
    return (
        f"a record of {size:,} bytes is larger than topic {topic} takes: "
        f"raise its max.message.bytes to {MAX_RECORD_BYTES}"
    )


class KafkaSink:
    """An idempotent producer that never drops in silence; see `consumers.wire.record.Sink`."""

    def __init__(self, connection: Connection, *, linger_ms: int = 0) -> None:
        self._there = connection.there
        self._producer = opened(
            KafkaProducer,
            connection,
            acks="all",
            enable_idempotence=True,
            delivery_timeout_ms=int(DELIVERY_S * 1000),
            request_timeout_ms=int(DELIVERY_S * 500),
            max_block_ms=int(DELIVERY_S * 1000),
            max_request_size=MAX_RECORD_BYTES,
            batch_size=1 << 20,
            linger_ms=linger_ms,
            metrics_enabled=False,
        )

    def append(
        self, topic: str, value: bytes, *, key: str, partition: int | None = None
    ) -> _Append:
        """Send a record; it is safe only once its `offset` returned."""
        name = self._there(topic)
        said = partial(_too_large, name, len(value))
        meanings = {
            kafka_errors.MessageSizeTooLargeError: said,
            kafka_errors.RecordListTooLargeError: said,
        }
        with translated(meanings):
            future = self._producer.send(name, value, key.encode(), partition=partition)
        return _Append(future, meanings)

    def close(self) -> None:
        """Send what is under way and let go."""
        with translated():
            self._producer.close(timeout=DELIVERY_S)
