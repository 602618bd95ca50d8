"""Closed: windows of one data-second, as they come out of the log to be judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.windows.window import Window

    ByModel = Mapping[str, Window]
    """What each model made of the showers of one key, by the model's hash."""


@dataclass(frozen=True, slots=True)
class Closed:
    """A data-second that is closed, or what came late for one."""

    second: int
    windows: tuple[ByModel, ...]
    """One for each run and lumisection."""

    late: bool = False
    """An addition to a second that was closed before."""

    unproven: frozenset[int] = frozenset()
    """Partitions of which it is not known whether more lies there for this second."""

    held: frozenset[int] = frozenset()
    """Regions of which showers are here whose second is not known."""


def rows(found: ByModel) -> int:
    """Return how many rows, of a window and a region, there are."""
    return sum(len(window.regions) for window in found.values())


def regions(found: ByModel) -> list[int]:
    """Return the regions that have showers."""
    found_regions: list[int] = next(iter(found.values())).regions.tolist()
    return found_regions


def together(one: ByModel, other: ByModel) -> ByModel:
    """Return the sum of windows of one key."""
    both = dict(one)
    for model, window in other.items():
        both[model] = both[model] + window if model in both else window
    return both
