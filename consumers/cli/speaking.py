"""What the commands that look at a running service share: reading its topics, speaking to it."""

from __future__ import annotations

import getpass
import os
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from consumers.exactly_once import quality_log
from consumers.kafka.log import KafkaLog
from consumers.kafka.sink import KafkaSink
from consumers.wire import topics
from consumers.wire.failure import UserError
from consumers.wire.ranges import Said, encode_said
from consumers.wire.record import Refused, Unavailable
from monitor.quality import records

if TYPE_CHECKING:
    import argparse
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


def said_so_far(log: KafkaLog) -> list[records.Record]:
    """Return all that judges have published."""
    return quality_log.read(log.read_all(topics.QUALITY))


def speak(settings: Settings, record: records.Record) -> None:
    """Put what a person says where the judge reads it: in the order of the windows."""
    value = encode_said(Said("record", records.to_json(record)))
    with broker_errors(settings):
        sink = KafkaSink(settings.connection())
        try:
            sink.append(topics.WINDOWS, value, key="said", partition=0).offset()
        finally:
            sink.close()


def add_who(parser: argparse.ArgumentParser) -> None:
    """Add the option that says who speaks."""
    parser.add_argument("--who", default=_login(), metavar="NAME", help="who says so")


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return f"uid {os.getuid()}"


def time_ns(text: str) -> int:
    """Return ns since 1970 UTC of ISO 8601, or of how long ago, such as 30m."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    if text == "now":
        return time.time_ns()
    if text[-1:] in units and text[:-1].isdigit():
        return time.time_ns() - int(text[:-1]) * units[text[-1]] * 10**9
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"time {text!r}: write ISO 8601, now, or how long ago: 30m") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1e6) * 1000
