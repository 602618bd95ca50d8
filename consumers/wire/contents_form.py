"""Contents form: where on the quality topic a run or an alarm stands, as JSON on a compacted topic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import orjson
from pydantic import Field, TypeAdapter, with_config

from consumers.wire import schema
from consumers.wire.block import DecodeError
from monitor.quality.alarms import State
from monitor.quality.bounds import TOLD, Count, Number32
from monitor.quality.rejection import Rejection


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class RunEntry:
    """A run, and the stretch of the quality topic that holds all its verdicts."""

    run: Number32
    begin: Count
    end: Count

    @property
    def key(self) -> str:
        """Return the Kafka key: the newest of a run tells."""
        return f"run/{self.run}"


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class AlarmEntry:
    """An alarm, as it stood when it was last spoken of."""

    alarm: str
    state: State
    summary: str

    @property
    def key(self) -> str:
        """Return the Kafka key: the newest of an alarm tells."""
        return f"alarm/{self.alarm}"


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class Reached:
    """How far the quality topic is listed."""

    end: Count
    epoch: Annotated[int, Field(ge=-1, lt=2**31)] = -1
    """Leader epoch of the last record that is listed."""

    last: str = ""
    """Digest of that record, `consumers.wire.record.digest`."""

    @property
    def key(self) -> str:
        """Return the Kafka key: the newest tells."""
        return "reached"


Entry = RunEntry | AlarmEntry | Reached


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class _Line:
    """One line; one of the three is there."""

    id: str = ""
    """Of the quality topic; empty where the broker has none."""

    run: RunEntry | None = None
    alarm: AlarmEntry | None = None
    reached: Reached | None = None


_LINE = TypeAdapter(_Line)
_NAMES = {RunEntry: "run", AlarmEntry: "alarm", Reached: "reached"}


def encode(entry: Entry, id_: str) -> bytes:
    """Return the wire form of an entry about the quality topic of an id."""
    return orjson.dumps({"id": id_, _NAMES[type(entry)]: entry})


def decode(value: bytes | None) -> tuple[Entry, str]:
    """Return an entry and the id of the quality topic that it is about, or raise `DecodeError`."""
    line = schema.read(_LINE, value)
    entry = line.run or line.alarm or line.reached
    if entry is None:
        raise DecodeError(Rejection.SCHEMA, "neither a run, an alarm, nor how far it reaches")
    return entry, line.id
