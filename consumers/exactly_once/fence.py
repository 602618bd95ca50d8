"""Fence: which ranges of windows count, read from the order of the windows topic alone.

A worker that takes a partition over first appends an `Open`; the offset of that record is its
token. From then on ranges under an older token do not count, so a worker that was thought dead
cannot count anything twice, and nobody needs transactions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from consumers.wire import topics
from consumers.wire.ranges import Stream

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


@dataclass(slots=True)
class Fence:
    """Latest token and accepted end of each source partition."""

    tokens: dict[Stream, int] = field(default_factory=dict)
    ends: dict[Stream, int] = field(default_factory=dict)
    seqs: dict[Stream, dict[str, int]] = field(default_factory=dict)
    """Newest count of each producer, as the last accepted range has it."""

    tails: dict[Stream, Tail] = field(default_factory=dict)
    holders: dict[Stream, str] = field(default_factory=dict)
    """Worker that opened each stream last, as far as its `Open` was read."""

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
        the first under an open that is older than all that can be read.
        """
        stream, token = entry.stream, self.tokens.get(entry.stream, -1)
        unseen = token < entry.token < self.since
        if token != entry.token and not unseen:
            return "fenced"
        if not unseen and entry.after != self.ends.get(stream, entry.after):
            return "gap"
        self.tokens[stream], self.ends[stream] = entry.token, entry.end
        self.seqs[stream] = entry.seqs
        self.tails[stream] = Tail(entry.watermark_ns, entry.epoch, entry.last)
        return ""

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
        tails = [[*s, t.watermark_ns, t.epoch, t.last] for s, t in self.tails.items()]
        tables = {n: [[*s, v] for s, v in getattr(self, n).items()] for n in _PLAIN}
        return {**tables, "tails": tails, "since": self.since}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Fence:
        """Return the fence of plain values."""
        tails = {_stream(row[:-3]): Tail(*row[-3:]) for row in values.get("tails", ())}
        tables = {n: {_stream(row[:-1]): row[-1] for row in values.get(n, ())} for n in _PLAIN}
        return cls(**tables, tails=tails, since=values.get("since", 0))


def _stream(row: list[Any]) -> Stream:
    # Snapshots of before streams had names tell the partition alone.
    return Stream(*row) if len(row) > 1 else Stream(topics.SHOWERS, "", row[0])
