"""Verdict: the quality of a region in a lumisection, versioned and with provenance."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import with_config

from monitor.quality.bounds import SPOKEN, Count, Number32, Real, RegionId, Whole
from monitor.quality.quality import Quality


@with_config(SPOKEN)
@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of one region in one lumisection. A higher version replaces a lower one."""

    run: Number32
    lumisection: Number32
    region: RegionId
    name: str
    quality: Quality
    version: Count
    """1 for the first verdict; late data amend it as 2, 3, ..."""

    showers: Count
    exceedances: Count
    """At α = 1e-2."""

    expected: Real
    known: tuple[tuple[Whole, Whole], ...]
    """Data-seconds covered by data, as half-open segments [start, end)."""

    active: tuple[tuple[Whole, Whole], ...]
    """Data-seconds in which an alarm was open."""

    alarms: tuple[str, ...]
    reason: str
    """One line: why not GOOD, and whether showers were left out; or empty."""

    model: str
    reference: str
    software: str
    skipped: Count = 0
    """Showers that were counted and not scored, because more came than could be."""

    channels: tuple[str, ...] = ()
    """Names of channels, and of groups of them, that are not to be used though the region is."""
