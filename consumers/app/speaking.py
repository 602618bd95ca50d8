"""Speaking to a running service, and reading its topics: for commands and for the page."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from consumers.kafka.log import KafkaLog
from consumers.kafka.sink import KafkaSink
from consumers.wire import topics
from consumers.wire.ranges import PersonSaid, encode_said
from consumers.wire.record import Refused, Unavailable
from consumers.wire.user_error import UserError
from monitor.quality import records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.app.settings import Settings


@contextmanager
def broker_errors(settings: Settings) -> Iterator[None]:
    """Turn what a broker does to us into one line for the person at the prompt."""
    try:
        yield
    except (Refused, Unavailable) as error:
        raise UserError(f"broker {settings.bootstrap}: {error}") from None


@contextmanager
def opened_log(settings: Settings) -> Iterator[KafkaLog]:
    """Open a log for as long as the block lasts."""
    with broker_errors(settings):
        log = KafkaLog(settings.connection())
        try:
            yield log
        finally:
            log.close()


def speak(settings: Settings, record: records.QualityRecord) -> None:
    """Put what a person says where the judge reads it: in the order of the windows."""
    value = encode_said(PersonSaid("record", records.to_json(record)))
    with broker_errors(settings):
        sink = KafkaSink(settings.connection())
        try:
            sink.append(topics.WINDOWS, value, key="said", partition=0).offset()
        finally:
            sink.close()
