"""Fence: which ranges of windows count, read from the order of the windows topic alone.

A worker that takes a partition over first appends an `Open`; the offset of that record is its
token. From then on ranges under an older token do not count, so a worker that was thought dead
cannot count anything twice, and nobody needs transactions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, TypeAdapter, with_config
from pydantic_core import to_json

from consumers.wire import topics
from consumers.wire.ranges import Stream
from monitor.quality.bounds import TOLD, Count, Counted, Number32

if TYPE_CHECKING:
    from consumers.wire.ranges import Open, Range

_PLAIN = ("tokens", "ends", "seqs", "holders")


@dataclass(frozen=True, slots=True)
class Tail:
    """Where the last accepted range of a stream ended, to be found again in its log."""

    watermark_ns: int = 0
    """Newest data time of the stream."""

    epoch: int = -1
    """Leader epoch of the last record that was taken."""

    last: str = ""
    """Digest of that record, `consumers.wire.record.digest`."""


_NO_TAIL = Tail()


@dataclass(slots=True)
class Fence:
    """Latest token and accepted end of each source partition."""

    tokens: dict[Stream, int] = field(default_factory=dict)
    ends: dict[Stream, int] = field(default_factory=dict)
    seqs: dict[Stream, dict[str, Counted]] = field(default_factory=dict)
    """What producers counted, as the last accepted range has it."""

    tails: dict[Stream, Tail] = field(default_factory=dict)
    holders: dict[Stream, str] = field(default_factory=dict)
    """Worker that opened each stream last, as far as its `Open` was read."""

    holes: set[Stream] = field(default_factory=set)
    """Streams of which a record that could not be read may have been, since their last range."""

    since: int = 0
    """Offset of the windows topic from which the opens are known; those before it may be gone."""

    def open(self, offset: int, entry: Open) -> None:
        """Take note of an `Open` at an offset of the windows topic."""
        unnamed = Stream(entry.topic, "", entry.partition)
        if entry.stream not in self.ends and unnamed in self.ends:
            self._rename(unnamed, entry.stream)
        self.tokens[entry.stream], self.holders[entry.stream] = offset, entry.worker

    def accept(self, entry: Range) -> str:
        """Return why a range does not count (fenced, gap); empty if it does, and it is then in.

        The first range of a stream may begin anywhere: older records may be gone. So it is with
        the first under an open that is older than all that can be read. Where a record that could
        not be read came in between, a range may begin beyond the end, for under one token ranges
        come in order: what lies between was in that record (`hole`), and is all that is lost.
        """
        stream, token = entry.stream, self.tokens.get(entry.stream, -1)
        unseen = token < entry.token < self.since
        if token != entry.token and not unseen:
            return "fenced"
        if (
            not unseen
            and entry.after != self.ends.get(stream, entry.after)
            and not self.hole(entry)
        ):
            return "gap"
        self.tokens[stream], self.ends[stream] = entry.token, entry.end
        self.seqs[stream] = entry.seqs
        # A range without showers has no time of its own.
        watermark_ns = entry.watermark_ns or self.tails.get(stream, _NO_TAIL).watermark_ns
        self.tails[stream] = Tail(watermark_ns, entry.epoch, entry.last)
        self.holes.discard(stream)
        return ""

    def unreadable(self) -> None:
        """Take note of a record of which nobody can tell what it was."""
        self.holes |= set(self.ends)

    def hole(self, entry: Range) -> int:
        """Return how many offsets before a range that would count are in no range."""
        stream = entry.stream
        if stream not in self.holes or self.tokens.get(stream) != entry.token:
            return 0
        return max(0, entry.after - self.ends.get(stream, entry.after))

    def former(self, stream: Stream) -> Stream | None:
        """Return the stream of the same name and partition that was known under another id."""
        place = (stream.topic, stream.partition)
        others = [s for s in self.ends if (s.topic, s.partition) == place and s.id != stream.id]
        return others[-1] if others else None

    def _rename(self, old: Stream, new: Stream) -> None:
        """Go on with a stream whose broker has begun to tell ids."""
        for name in (*_PLAIN, "tails"):
            table = getattr(self, name)
            if old in table:
                table[new] = table.pop(old)

    def to_json(self) -> dict[str, Any]:
        """Return plain values; `from_json` is the inverse."""
        tables = {n: [[*_row(s), v] for s, v in getattr(self, n).items()] for n in _PLAIN[:3]}
        further = {
            "holders": [[*s, holder] for s, holder in self.holders.items()],
            "tails": [[*s, t.watermark_ns, t.epoch, t.last] for s, t in self.tails.items()],
            "holes": [[*s] for s in sorted(self.holes)],
            "since": self.since,
        }
        return tables | {name: rows for name, rows in further.items() if rows}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Fence:
        """Return the fence of plain values, or raise `ValueError`."""
        return _FENCE.validate_json(to_json(values)).fence()


# Of the topic that there is by default, and without an id, the partition alone is told.
_Key = tuple[str, str, Number32]
_Placed = tuple[str, str, Number32, Count] | tuple[Number32, Count]
_Epoch = Annotated[int, Field(ge=-1, lt=2**31)]


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class _Form:
    """Rows that begin with a stream: keys of JSON objects are texts."""

    tokens: tuple[_Placed, ...]
    ends: tuple[_Placed, ...]
    seqs: tuple[
        tuple[str, str, Number32, dict[str, Counted]] | tuple[Number32, dict[str, Counted]], ...
    ]
    holders: tuple[tuple[str, str, Number32, str], ...] = ()
    tails: tuple[tuple[str, str, Number32, Count, _Epoch, str], ...] = ()
    holes: tuple[_Key, ...] = ()
    since: Count = 0

    def fence(self) -> Fence:
        tables = {n: {_stream(row[:-1]): row[-1] for row in getattr(self, n)} for n in _PLAIN}
        tails = {Stream(*row[:3]): Tail(*row[3:]) for row in self.tails}
        holes = {Stream(*row) for row in self.holes}
        return Fence(**tables, tails=tails, holes=holes, since=self.since)


_FENCE = TypeAdapter(_Form)


def _row(stream: Stream) -> list[Any]:
    return [*stream] if stream[:2] != (topics.SHOWERS, "") else [stream.partition]


def _stream(row: tuple[Any, ...]) -> Stream:
    return Stream(*row) if len(row) > 1 else Stream(topics.SHOWERS, "", row[0])
