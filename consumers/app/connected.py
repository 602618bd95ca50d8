"""Connected: the connections of one run of a job."""

from __future__ import annotations

from contextlib import ExitStack, closing
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
        self._opened = ExitStack()

    def __enter__(self) -> Clients:
        # What was opened is closed again, also if the next cannot be: this is tried for ever.
        with ExitStack() as opened:
            sink = opened.enter_context(closing(KafkaSink(self._connection)))
            log = opened.enter_context(closing(KafkaLog(self._connection)))
            source = opened.enter_context(closing(self._make_source()))
            self._opened = opened.pop_all()
        return Clients(source, sink, log)

    def __exit__(self, *_: object) -> None:
        self._opened.close()
