"""What stands on the windows topic: opens, ranges of windows, and what people say.

The windows of a range are an Arrow stream (`consumers.wire.window_form`); its coordinates are in
the schema's metadata, so that a reader who needs only those does not expand the counts. Where a
second model scored the same showers in shadow, its windows follow as a stream of their own in the
same record: a range carries both or is not there.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import orjson
from pydantic import Field, TypeAdapter, with_config

from consumers.wire import arrow_stream, schema, topics
from consumers.wire.block import LATEST_NS, DecodeError
from consumers.wire.window_form import FORMAT, WindowForm, encode_windows
from monitor.judging.comparison import Joint
from monitor.quality.bounds import SPOKEN, TOLD, Count, Counted, EventId, Number32, P, RegionId
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.windows.window import Window

MAX_WORST = 8
"""Most worst showers that a range points at."""


class Stream(NamedTuple):
    """A partition of showers, as the windows topic knows it."""

    topic: str
    id: str
    """Of the topic: one that is made again has another. Empty where the broker has none."""

    partition: int


Moment = Annotated[int, Field(ge=0, le=LATEST_NS)]
"""Data time, ns since 1970 UTC."""

Reasons = dict[Annotated[str, Field(pattern="^[a-z][a-z ]{0,31}$")], Count]
NOT_REASONS = frozenset({"showers", "records", "missing"})
"""What is counted beside the reasons, by the same judge."""


@dataclass(frozen=True, slots=True)
class Open:
    """A worker takes a partition over; the offset of this record is its token."""

    partition: Number32
    worker: str
    topic: str = topics.SHOWERS
    topic_id: str = ""
    group: str = ""
    """Consumer group that gave it the partition."""

    @property
    def stream(self) -> Stream:
        """Return what is taken over."""
        return Stream(self.topic, self.topic_id, self.partition)


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class Worst:
    """Where a strange shower is."""

    p: P
    partition: Number32
    offset: Count
    row: Number32
    event_id: EventId
    region: RegionId
    time_ns: Moment


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class Range:
    """What a contiguous stretch of one source partition came to, less its windows."""

    topic: str
    partition: Number32
    token: Count
    """Offset of the worker's `Open` on the windows topic."""

    begin: Count
    end: Count
    """Source offsets [begin, end) that are covered; equal if there is only news of being idle."""

    watermark_ns: Moment
    """Newest data time of the stretch, ns since 1970 UTC; 0 if it has none."""

    caught_up: bool
    """Nothing more was to be read."""

    showers: Count
    records: Count
    rejects: Reasons
    """Records that could not be taken, by reason."""

    missing: Count
    """Blocks that producers counted and nobody saw."""

    seqs: dict[str, Counted]
    """What each producer counted of each key, so that a hole shows across workers too: newest count
    and data time, ns; see `consumers.score.producer_counts`."""

    worker: str
    model: str
    """Content hash of the artefact."""

    worst: tuple[Worst, ...] = ()
    shadow: str = ""
    """Content hash of the artefact that scored the same showers in shadow; empty if none did."""

    shadow_bytes: Count = 0
    """Length of the shadow's windows at the end of the record."""

    joint: tuple[Count, ...] = ()
    """Sums over both models' p-values, `monitor.judging.comparison.Joint`; empty without a shadow."""

    shed: tuple[tuple[Number32, Number32, RegionId, Count], ...] = ()
    """Run, lumisection, region and number of showers that were counted and not scored."""

    shed_until: Annotated[int, Field(ge=0, le=LATEST_NS // 10**9)] = 0
    """Newest data-second of such showers; 0 if there are none."""

    masked: str = ""
    """Digest of the cells that were masked in scoring, `Masked.digest`; empty for none."""

    answered_ms: Count = 0
    """How long ago the partition's broker last answered, ms: `caught_up` is as old as that."""

    said_ms: Count = 0
    """When it was said, by the worker's clock, ms since 1970 UTC; nothing is judged by it."""

    topic_id: str = ""
    group: str = ""
    """Consumer group of the worker."""

    follows: Count | None = None
    """End of the range before, where it is another place than `begin`: below it, what lies between
    had expired unread; above it, the log had become shorter and goes on from there."""

    lost_ns: tuple[Moment, Moment] = (0, 0)
    """Newest data time before what was lost and first after it, ns; 0 where unknown."""

    epoch: Annotated[int, Field(ge=-1, lt=2**31)] = -1
    """Leader epoch of the last record taken in the partition."""

    last: str = ""
    """Digest of that record, `consumers.wire.record.digest`; empty before the first."""

    def __post_init__(self) -> None:
        if self.end < self.begin:
            raise ValueError(f"ends at {self.end}, before it begins at {self.begin}")
        if self.shadow_bytes and not self.shadow:
            raise ValueError("windows of a shadow without a name")
        if self.joint:
            Joint.from_list([*self.joint])
        if not NOT_REASONS.isdisjoint(self.rejects):
            raise ValueError("a reason for rejects has a name that is taken")

    @property
    def stream(self) -> Stream:
        """Return the partition that it covers a part of."""
        return Stream(self.topic, self.topic_id, self.partition)

    @property
    def after(self) -> int:
        """Return the end of the range that it goes on from."""
        return self.begin if self.follows is None else self.follows

    @property
    def lost(self) -> int:
        """Return how many offsets had expired unread before `begin`."""
        return max(0, self.begin - self.after)

    @property
    def cut(self) -> int:
        """Return how many offsets that had counted the log has no more, or has with others."""
        return max(0, self.after - self.begin)


@with_config(SPOKEN)
@dataclass(frozen=True, slots=True)
class PersonSaid:
    """Something that a person has said to the judge: an acknowledgement, a command."""

    what: str
    body: dict[str, Any] = field(default_factory=dict)


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class _Opened:
    """What an open has said since the first release, which takes nothing beside it in its place."""

    partition: Number32
    worker: str


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class _Whose:
    """Which partitions, and by whose order: nothing where all of it is the default."""

    topic: str = topics.SHOWERS
    topic_id: str = ""
    group: str = ""


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class _Plain:
    """A record of the windows topic that is JSON: opens or says something."""

    open: _Opened | None = None
    whose: _Whose = _Whose()
    said: PersonSaid | None = None


_LATER = ("answered_ms", "said_ms", "topic_id", "group", "follows", "lost_ns", "epoch", "last")
_PLAIN = TypeAdapter(_Plain)
_RANGE = TypeAdapter(Range)


def encode_open(entry: Open) -> bytes:
    """Return the wire form of an `Open`."""
    whose = schema.told(_Whose(entry.topic, entry.topic_id, entry.group), *_Whose.__slots__)
    opened = {"open": _Opened(entry.partition, entry.worker)}
    return orjson.dumps(opened | ({"whose": whose} if whose else {}))


def encode_said(entry: PersonSaid) -> bytes:
    """Return the wire form of what was said."""
    return orjson.dumps({"said": entry})


def encode_range(
    entry: Range, windows: Sequence[Window], form: WindowForm, shadow: bytes = b""
) -> bytes:
    """Return the wire form of a range with its windows, and those of a shadow that are encoded."""
    entry = replace(entry, shadow_bytes=len(shadow))
    text = orjson.dumps(schema.told(entry, *_LATER)).decode()
    return encode_windows(windows, form, {"calodqm.range": text}) + shadow


def header(value: bytes | None) -> Open | Range | PersonSaid:
    """Return what a record of the windows topic is, without its windows.

    Raises
    ------
    DecodeError
        If it is none of the three.
    """
    if not value:
        raise DecodeError(Rejection.EMPTY, "no bytes")
    if value[:1] == b"{":
        plain = schema.read(_PLAIN, value)
        if plain.open is not None:
            of = plain.whose
            opened = plain.open
            return Open(opened.partition, opened.worker, of.topic, of.topic_id, of.group)
        if plain.said is None:
            raise DecodeError(Rejection.SCHEMA, "neither opens nor says anything")
        return plain.said
    metadata = arrow_stream.peek(value)
    form = metadata.get("calodqm.windows")
    if form != FORMAT:
        raise DecodeError(Rejection.SCHEMA, f"form {form!r} of windows; this reads {FORMAT!r}")
    told = schema.read(_RANGE, metadata.get("calodqm.range"))
    return told if len(told.worst) <= MAX_WORST else replace(told, worst=told.worst[:MAX_WORST])


def parts(value: bytes, entry: Range) -> dict[str, bytes]:
    """Return the windows of a range whose `header` was read, by model, for `windows` to read.

    Raises
    ------
    DecodeError
        If the record is shorter than it says.
    """
    if not entry.shadow:
        return {entry.model: value}
    cut = len(value) - entry.shadow_bytes
    if cut <= 0:
        raise DecodeError(Rejection.TRUNCATED, f"{len(value)} bytes, {entry.shadow_bytes} of them")
    return {entry.model: value[:cut], entry.shadow: value[cut:]}
