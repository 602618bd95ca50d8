"""Losses: records of showers that are gone, in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from consumers.exactly_once.stands import SECOND_NS

if TYPE_CHECKING:
    from consumers.wire.ranges import Range


@dataclass(frozen=True, slots=True)
class Loss:
    """Records of showers that the topic does not have any more."""

    topic: str
    partition: int
    records: int
    """Offsets, so that it may be some more than there were records."""

    why: str
    """`expired`: nobody had read them; `cut`: they had counted, the log became shorter;
    `unreadable`: the record that counted them cannot be read."""

    since_ns: int
    """Newest data time before them, ns since 1970 UTC; 0 where unknown."""

    until_ns: int
    """First data time after them; 0 where nothing came yet."""

    @classmethod
    def of(cls, entry: Range) -> Loss | None:
        """Return what a range says is gone before it, None if nothing is."""
        why = "expired" if entry.lost else "cut"
        records = entry.lost or entry.cut
        if not records:
            return None
        return cls(entry.topic, entry.partition, records, why, *entry.lost_ns)

    def __str__(self) -> str:
        words = _GONE[self.why]
        since, until = _moment(self.since_ns), _moment(self.until_ns)
        where = f"{self.topic}[{self.partition}]"
        return f"{self.records:,} records of {where} {words}, between {since} and {until}"


_GONE = {
    "expired": "expired unread",
    "cut": "that had counted are gone",
    "unreadable": "were scored, but what was said of them cannot be read",
}


def _moment(time_ns: int) -> str:
    if not time_ns:
        return "a time unknown"
    return datetime.fromtimestamp(time_ns // SECOND_NS, UTC).strftime("%Y-%m-%d %H:%M:%S")
