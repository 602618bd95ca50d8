"""Producer counts: which records of a producer are missing, by what it counts itself.

A producer counts its records of each key, so that a hole in the count is lost data wherever the
partitioner puts the keys. What is kept of a (producer, key) is the newest count and the data time
up to which its records reach: a record that comes again is not newer than that, while a producer
that has started again sends newer data under a lower count.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumers.wire.block import Block

MAX_COUNTED = 256
"""Most (producer, key) of a partition that are kept: producers are untrusted. The one that has been
silent longest makes room."""

MAX_KEY = 64
"""Longest key that is kept as it is, bytes; of a longer one, a digest."""


class Heard(NamedTuple):
    """What is known of one (producer, key)."""

    seq: int
    """Newest count."""

    until_ns: int
    """Newest data time of its records, ns since 1970 UTC."""


@dataclass(slots=True)
class ProducerCounts:
    """Counts of the producers of one partition, in the order in which they were last heard."""

    seen: dict[str, Heard] = field(default_factory=dict)

    def missing(self, block: Block, key: bytes | None) -> int | None:
        """Take note of a block; return how many before it are missing, None if nobody can tell.

        That is so without a producer's name or count, and where its first count is not the first
        that there was: when it is new here.
        """
        if not block.producer or block.seq is None:
            return None
        name = _name(block.producer, key)
        first_ns, last_ns = int(block.time_ns.min()), int(block.time_ns.max())
        known = self.seen.pop(name, None)
        if known is None:
            self.seen[name] = Heard(block.seq, last_ns)
            if len(self.seen) > MAX_COUNTED:
                del self.seen[next(iter(self.seen))]
            return 0
        if block.seq > known.seq:
            hole, newest = block.seq - known.seq - 1, block.seq
        elif first_ns > known.until_ns:  # started again; what it sent before this one is lost
            hole, newest = block.seq, block.seq
        else:  # sent again
            hole, newest = 0, known.seq
        self.seen[name] = Heard(newest, max(known.until_ns, last_ns))
        return hole

    def to_json(self) -> dict[str, int | list[int]]:
        """Return plain values; `from_json` is the inverse."""
        return {name: list(seen) for name, seen in self.seen.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ProducerCounts:
        """Return the counts of plain values, less those that are none: of other versions."""
        found = {}
        for name, value in values.items():
            if isinstance(value, list) and len(value) == 2 and _are_whole(value):
                found[name] = Heard(*value)
        return cls(dict(list(found.items())[-MAX_COUNTED:]))


def _are_whole(values: list[Any]) -> bool:
    return all(type(value) is int and value >= 0 for value in values)


def _name(producer: str, key: bytes | None) -> str:
    """Return the name under which a (producer, key) is kept: no two of them share one."""
    shown = None if key is None else key.decode("latin-1")
    if key is not None and len(key) > MAX_KEY:
        shown = "sha256:" + hashlib.sha256(key).hexdigest()
    return orjson.dumps([producer, shown]).decode()
