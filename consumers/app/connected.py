"""Connected: the connections of one run of a job."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from consumers.kafka.log import KafkaLog
from consumers.kafka.sink import KafkaSink
from consumers.kafka.source import KafkaSource
from consumers.wire.record import Clients

if TYPE_CHECKING:
    from consumers.kafka.connection import Connection


class Connected:
    """Connections of one run of a job, closed at its end."""

    def __init__(
        self,
        connection: Connection,
        topic: str,
        group: str,
        session_s: float,
        instance: str | None,
    ) -> None:
        self._make_source = partial(
            KafkaSource, connection, topic, group, session_s=session_s, instance=instance
        )
        self._connection = connection
        self._sink: KafkaSink | None = None
        self._log: KafkaLog | None = None
        self._source: KafkaSource | None = None

    def __enter__(self) -> Clients:
        self._sink = KafkaSink(self._connection)
        self._log = KafkaLog(self._connection)
        self._source = self._make_source()
        return Clients(self._source, self._sink, self._log)

    def __exit__(self, *_: object) -> None:
        # Also where what was to use them could not be made; a second time does no harm.
        for client in (self._source, self._log, self._sink):
            if client is not None:
                client.close()
