"""Sums: what the windows of each lumisection come to, to be kept long after the windows are gone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from consumers.wire.lumisection_form import Part
from monitor.windows.channel_sums import NO_CHANNELS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.windows.window import Window

WAIT_S = 30
"""Data-seconds after its last window that a lumisection is taken to be over."""

LONGEST_S = 600
"""Data-seconds after which a part of one that goes on is written."""


class SumKey(NamedTuple):
    """What is summed together: windows of two models do not add up."""

    run: int
    lumisection: int
    model: str


@dataclass(slots=True)
class Sum:
    """What has come of one lumisection since its last part was written."""

    window: Window
    begun: int
    """Newest data-second of the stream when it began."""

    touched: int
    """The same at its last addition."""

    first: int
    last: int
    seconds: int = 1

    def add(self, window: Window, newest: int) -> None:
        """Add a window."""
        self.window += window
        self.touched = newest
        self.first, self.last = (
            min(self.first, window.key.second),
            max(self.last, window.key.second),
        )
        self.seconds += 1

    def part(self, key: SumKey, at: int) -> Part:
        """Return what the wire says of it, less its counts."""
        return Part(*key, at, self.first, self.last, self.seconds)


@dataclass(slots=True)
class Sums:
    """Sums that are not written yet."""

    pending: dict[SumKey, Sum] = field(default_factory=dict)
    newest: int = 0
    """Newest data-second that was judged."""

    def add(self, windows: Iterable[Window], model: str) -> None:
        """Add windows that a model made, less their sums by channel: a year of those is too much."""
        for whole in windows:
            window = replace(whole, channels=NO_CHANNELS)
            second = window.key.second
            self.newest = max(self.newest, second)
            key = SumKey(window.key.run, window.key.lumisection, model)
            known = self.pending.get(key)
            if known is None:
                self.pending[key] = Sum(window, self.newest, self.newest, second, second)
            else:
                known.add(window, self.newest)

    def due(self, *, all_: bool = False) -> list[tuple[SumKey, Sum]]:
        """Return what is over, or all of it, and forget it."""
        found = [
            (key, sum_)
            for key, sum_ in sorted(self.pending.items())
            if all_ or self.newest - sum_.touched >= WAIT_S or self.newest - sum_.begun >= LONGEST_S
        ]
        for key, _ in found:
            del self.pending[key]
        return found

    def to_json(self) -> list[list[Any]]:
        """Return all but the windows as plain values, in the order of `pending`."""
        return [
            [*key, s.begun, s.touched, s.first, s.last, s.seconds]
            for key, s in self.pending.items()
        ]
