"""Control: which models score and what is masked, as the judge last said it on the models topic.

The judge decides, from what people say on the windows topic, and says the outcome here under one
key: compaction keeps the newest. Workers follow it. Nothing is counted by it: a range names the
models whose windows it carries, so workers may follow late.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import orjson
from pydantic import TypeAdapter, with_config

from consumers.wire import schema, topics
from consumers.wire.block import DecodeError
from consumers.wire.letters import Unsent
from consumers.wire.ranges import Stream
from monitor.quality.acknowledgements import NOTHING_MASKED, Masked
from monitor.quality.bounds import TOLD, Count, Number32

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consumers.wire.letters import Letters
    from consumers.wire.record import Record, Sink

KEY = "control"


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class Control:
    """What is in force."""

    at: Count
    """Offset of the windows topic up to which the judge had come: a lower one is older."""

    first: str
    """Hash of the model with which the log began: a judge without a snapshot begins with it."""

    primary: str
    """Hash of the model that is judged by."""

    shadow: str = ""
    """Hash of the model that runs beside it, empty if there is none."""

    masked: Masked = NOTHING_MASKED
    """What the crew has masked."""

    comparison: dict[str, Any] = field(default_factory=dict)
    """How the two compare, for people; see `monitor.judging.comparison.Comparison.report`."""


def publish(sink: Sink, control: Control) -> None:
    """Say what is in force; whoever missed it hears it again with the next snapshot."""
    told = {name: getattr(control, name) for name in Control.__slots__}
    value = orjson.dumps({"control": told | {"masked": control.masked.to_json()}})
    sink.append(topics.MODELS, value, key=KEY, partition=0)


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class _Record:
    control: Control


_CONTROL = TypeAdapter(_Record)
UNSENT = Unsent()


def control_of(record: Record, letters: Letters = UNSENT) -> Control | None:
    """Return what a record of the models topic puts in force, None if it is of another kind."""
    if record.key != KEY.encode() or record.value is None:
        return None
    try:
        return schema.read(_CONTROL, record.value).control
    except DecodeError as error:
        letters.refuse(record, error)
        return None


def newest(records: Iterable[Record], letters: Letters = UNSENT) -> Control | None:
    """Return what is in force by the records of the topic, None if nothing is said yet."""
    found: Control | None = None
    for record in records:
        control = control_of(record, letters)
        if control is not None and (found is None or control.at >= found.at):
            found = control
    return found


NOTICE = "notice/"
"""Under a key of its own for each partition: the newest stays."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What a judge tells a worker whose ranges do not count."""

    stream: Stream
    token: int
    """Under which the ranges came."""

    why: str
    """`gap` or `fenced`, as `consumers.exactly_once.fence.Fence.accept` says."""

    holder: str = ""
    """Worker that opened the partition last, if it is another; empty if none is known."""


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class _Told:
    stream: tuple[str, str, Number32]
    token: Count
    why: Literal["gap", "fenced"]
    holder: str = ""


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class _Noticed:
    notice: _Told


_NOTICE = TypeAdapter(_Noticed)


def warn(sink: Sink, notice: Notice) -> None:
    """Tell the workers that ranges under a token do not count."""
    told = {
        "stream": [*notice.stream],
        "token": notice.token,
        "why": notice.why,
        "holder": notice.holder,
    }
    key = f"{NOTICE}{notice.stream.topic}/{notice.stream.partition}"
    sink.append(topics.MODELS, orjson.dumps({"notice": told}), key=key, partition=0)


def notice_of(record: Record) -> Notice | None:
    """Return what a record of the models topic says to a worker, None if it is of another kind."""
    if record.key is None or not record.key.startswith(NOTICE.encode()):
        return None
    try:
        told = schema.read(_NOTICE, record.value).notice
    except DecodeError:  # the next notice on the same says it again
        return None
    return Notice(Stream(*told.stream), told.token, told.why, told.holder)
