"""Fence: which ranges of windows count, read from the order of the windows topic alone.

A worker that takes a partition over first appends an `Open`; the offset of that record is its
token. From then on ranges under an older token do not count, so a worker that was thought dead
cannot count anything twice, and nobody needs transactions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, with_config
from pydantic_core import to_json

from monitor.quality.bounds import TOLD, Count, Counted, Number32

if TYPE_CHECKING:
    from consumers.wire.ranges import Open, Range


@dataclass(slots=True)
class Fence:
    """Latest token and accepted end of each source partition."""

    tokens: dict[int, int] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    seqs: dict[int, dict[str, Counted]] = field(default_factory=dict)
    """What producers counted, as the last accepted range has it."""

    def open(self, offset: int, entry: Open) -> None:
        """Take note of an `Open` at an offset of the windows topic."""
        self.tokens[entry.partition] = offset

    def accept(self, entry: Range) -> str:
        """Return why a range does not count (fenced, gap); empty if it does, and it is then in.

        The first range of a partition may begin anywhere: older records may be gone. A later one
        may begin beyond the end, for under one token ranges come in order: what lies between was in
        a range that could not be read (`hole`), and is all that is lost with it.
        """
        if self.tokens.get(entry.partition) != entry.token:
            return "fenced"
        if entry.begin < self.ends.get(entry.partition, entry.begin):
            return "gap"
        self.ends[entry.partition] = entry.end
        self.seqs[entry.partition] = entry.seqs
        return ""

    def hole(self, entry: Range) -> int:
        """Return how many offsets before a range that would count are in no range."""
        if self.tokens.get(entry.partition) != entry.token:
            return 0
        return max(0, entry.begin - self.ends.get(entry.partition, entry.begin))

    def to_json(self) -> dict[str, Any]:
        """Return plain values; `from_json` is the inverse."""
        return {name: [*getattr(self, name).items()] for name in ("tokens", "ends", "seqs")}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Fence:
        """Return the fence of plain values, or raise `ValueError`."""
        return _FENCE.validate_json(to_json(values)).fence()


@with_config(TOLD)
@dataclass(frozen=True, slots=True)
class _Form:
    """Pairs: keys of JSON objects are texts."""

    tokens: tuple[tuple[Number32, Count], ...]
    ends: tuple[tuple[Number32, Count], ...]
    seqs: tuple[tuple[Number32, dict[str, Counted]], ...]

    def fence(self) -> Fence:
        return Fence(dict(self.tokens), dict(self.ends), dict(self.seqs))


_FENCE = TypeAdapter(_Form)
