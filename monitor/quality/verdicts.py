"""Verdict: the quality of a region in a lumisection, versioned and with provenance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.quality.quality import Quality


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of one region in one lumisection. A higher version replaces a lower one."""

    run: int
    lumisection: int
    region: int
    name: str
    quality: Quality
    version: int
    """1 for the first verdict; late data amend it as 2, 3, ..."""

    showers: int
    exceedances: int
    """At α = 1e-2."""

    expected: float
    known: tuple[tuple[int, int], ...]
    """Data-seconds covered by data, as half-open segments [start, end)."""

    active: tuple[tuple[int, int], ...]
    """Data-seconds in which an alarm was open."""

    alarms: tuple[str, ...]
    reason: str
    """One line: why not GOOD, and whether showers were left out; or empty."""

    model: str
    reference: str
    software: str
    skipped: int = 0
    """Showers that were counted and not scored, because more came than could be."""
