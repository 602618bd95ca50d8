"""Sink: a producer that never drops in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka import KafkaProducer

from consumers.kafka.connection import opened, translated
from consumers.wire.record import MAX_RECORD_BYTES

if TYPE_CHECKING:
    from consumers.kafka.connection import Connection

DELIVERY_S = 20.0
"""A record that is not taken within this is given up, and what it belongs to is done again."""


class _Append:
    def __init__(self, future: Any) -> None:
        self._future = future

    def offset(self) -> int:
        with translated():
            return int(self._future.get(timeout=DELIVERY_S + 5).offset)


class KafkaSink:
    """An idempotent producer that never drops in silence; see `consumers.wire.record.Sink`."""

    def __init__(self, connection: Connection, *, linger_ms: int = 0) -> None:
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
        with translated():
            return _Append(self._producer.send(topic, value, key.encode(), partition=partition))

    def close(self) -> None:
        """Send what is under way and let go."""
        with translated():
            self._producer.close(timeout=DELIVERY_S)
