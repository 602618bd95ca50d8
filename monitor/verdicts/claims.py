"""What alarms claim of the regions, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from monitor.quality.quality import Quality

if TYPE_CHECKING:
    from collections.abc import Iterable

OPEN = 2**62
"""End of a span that is still open."""


@dataclass(frozen=True, slots=True)
class Span:
    """A time that an alarm claims of a region; one that came back has several, by their starts."""

    alarm: str
    start: int
    """First data-second."""

    end: int
    """Data-second at which it ended; a very late one while it is open."""

    quality: Quality
    reason: str
    channels: tuple[str, ...] = ()
    """Names of the channels or groups that it is about; empty: it is about the whole region."""


class Claims:
    """The spans that alarms claim, by row of the region."""

    def __init__(self, spans: dict[int, list[Span]] | None = None) -> None:
        self._spans = spans or {}

    def put(self, row: int, span: Span) -> list[Span]:
        """Put a span in the place of what its alarm has claimed from the same start; return that."""
        known = self._spans.get(row, [])
        before = [old for old in known if (old.alarm, old.start) == (span.alarm, span.start)]
        self._spans[row] = [*(old for old in known if old not in before), span]
        return before

    def within(self, row: int, start: int, end: int) -> list[Span]:
        """Return the spans of a row that overlap the data-seconds [start, end)."""
        return [s for s in self._spans.get(row, []) if s.start < end and s.end > start]

    def forget(self, second: int) -> None:
        """Forget the spans that had ended before a data-second."""
        self._spans = {
            row: [span for span in spans if span.end >= second]
            for row, spans in self._spans.items()
        }

    def copy(self) -> Claims:
        """Return claims that change apart from these."""
        return Claims({row: list(spans) for row, spans in self._spans.items()})

    def to_json(self) -> dict[str, Any]:
        """Return all of them, as JSON values."""
        return {
            str(row): [
                [s.alarm, s.start, s.end, s.quality.value, s.reason, s.channels] for s in spans
            ]
            for row, spans in self._spans.items()
        }

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Claims:
        """Return what `to_json` made JSON of."""
        return cls(
            {
                int(row): [Span(s[0], s[1], s[2], Quality(s[3]), s[4], tuple(s[5])) for s in spans]
                for row, spans in told.items()
            }
        )


def changes(span: Span, before: Iterable[Span], start: int, end: int) -> bool:
    """Return whether a span says else of the data-seconds [start, end) than the one before it."""

    def part(of: Span) -> tuple[int, int, Quality, tuple[str, ...]] | None:
        inside = (max(of.start, start), min(of.end, end), of.quality, of.channels)
        return inside if inside[0] < inside[1] else None

    return part(span) != next((part(old) for old in before), None)
