"""Control: which models score and what is masked, as the judge last said it on the models topic.

The judge decides, from what people say on the windows topic, and says the outcome here under one
key: compaction keeps the newest. Workers follow it. Nothing is counted by it: a range names the
models whose windows it carries, so workers may follow late.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import TypeAdapter, with_config

from consumers.wire import schema, topics
from consumers.wire.block import DecodeError
from consumers.wire.letters import Unsent
from monitor.quality.acknowledgements import NOTHING_MASKED, Masked
from monitor.quality.bounds import TOLD, Count

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
