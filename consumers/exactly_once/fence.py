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
        known = self._other_name(entry.stream)
        if entry.stream not in self.ends and known in self.ends:
            self._rename(known, entry.stream)
        self.tokens[entry.stream], self.holders[entry.stream] = offset, entry.worker

    def accept(self, entry: Range) -> str:
        """Return why a range does not count (fenced, gap); empty if it does, and it is then in.

        The first range of a stream may begin anywhere: older records may be gone. So it is with
        the first under an open that is older than all that can be read. Where a record that could
        not be read came in between, a range may begin beyond the end, for under one token ranges
        come in order: what lies between was in that record (`hole`), and is all that is lost.
        """
        stream, known = entry.stream, self._other_name(entry.stream)
        if stream not in self.tokens and self.tokens.get(known) == entry.token:
            self._rename(known, stream)
        token = self.tokens.get(stream, -1)
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

    def _other_name(self, stream: Stream) -> Stream:
        """Return what a stream is also known as: without its id, or by it where none is told.

        So it is where a broker has begun to tell ids, and where processes of the release before,
        which tell none, take turns with others.
        """
        unnamed = stream._replace(id="")
        return unnamed if stream != unnamed else self.former(stream) or stream

    def _rename(self, old: Stream, new: Stream) -> None:
        for name in (*_TABLES, "holders", "tails"):
            table = getattr(self, name)
            if old in table:
                table[new] = table.pop(old)

    def to_json(self) -> dict[str, Any]:
        """Return plain values; `from_json` is the inverse.

        Releases of before know partitions by their number alone: the table of each is that of the
        stream that was opened last, and which one that is stands beside it.
        """
        order = [*self.ends, *sorted(self.tokens, key=self.tokens.__getitem__)]
        last = {stream.partition: stream for stream in order}
        ours = set(last.values())
        tables = {
            n: [[s.partition, v] for s, v in getattr(self, n).items() if s in ours] for n in _TABLES
        }
        former = {
            n: [[*s, v] for s, v in getattr(self, n).items() if s not in ours] for n in _TABLES
        }
        further = {
            "streams": [[*s] for s in last.values() if s[:2] != _DEFAULT],
            "former": former if any(former.values()) else {},
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


_TABLES = ("tokens", "ends", "seqs")
_DEFAULT = (topics.SHOWERS, "")
"""Topic and id of a stream of which nothing is said."""

_Key = tuple[str, str, Number32]
_Seqs = dict[str, Counted]
_Epoch = Annotated[int, Field(ge=-1, lt=2**31)]


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class _Former:
    """What is known of streams whose topic was made again, or is another by now."""

    tokens: tuple[tuple[str, str, Number32, Count], ...] = ()
    ends: tuple[tuple[str, str, Number32, Count], ...] = ()
    seqs: tuple[tuple[str, str, Number32, _Seqs], ...] = ()


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class _Form:
    """Rows that begin with a partition or a stream: keys of JSON objects are texts."""

    tokens: tuple[tuple[Number32, Count], ...]
    ends: tuple[tuple[Number32, Count], ...]
    seqs: tuple[tuple[Number32, _Seqs], ...]
    streams: tuple[_Key, ...] = ()
    former: _Former = _Former()
    holders: tuple[tuple[str, str, Number32, str], ...] = ()
    tails: tuple[tuple[str, str, Number32, Count, _Epoch, str], ...] = ()
    holes: tuple[_Key, ...] = ()
    since: Count = 0

    def fence(self) -> Fence:
        last = {row[2]: Stream(*row) for row in self.streams}
        tables = {
            name: {Stream(*row[:-1]): row[-1] for row in getattr(self.former, name)}
            | {last.get(p, Stream(*_DEFAULT, p)): value for p, value in getattr(self, name)}
            for name in _TABLES
        }
        holders = {Stream(*row[:-1]): row[-1] for row in self.holders}
        tails = {Stream(*row[:3]): Tail(*row[3:]) for row in self.tails}
        holes = {Stream(*row) for row in self.holes}
        return Fence(**tables, holders=holders, tails=tails, holes=holes, since=self.since)


_FENCE = TypeAdapter(_Form)
