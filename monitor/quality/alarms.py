"""Alarm: a sequential test that crossed its threshold, with the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import with_config

from monitor.detector.tree import Level
from monitor.quality.bounds import (
    SPOKEN,
    Count,
    EventId,
    Number32,
    P,
    Real,
    RegionId,
    Whole,
)


class State(StrEnum):
    """Where an alarm stands."""

    RAISED = "raised"
    UPDATED = "updated"
    """More evidence, or children folded in: same alarm, same onset, next version."""

    CLEARED = "cleared"


class Severity(StrEnum):
    """What the crew is asked to do."""

    PAGE = "page"
    WARNING = "warning"


class Kind(StrEnum):
    """The likely kind of fault."""

    DEAD = "dead"
    HOT = "hot"
    GAIN = "gain"
    NOISE = "noise"
    PEDESTAL = "pedestal"
    SWAP = "swap"
    SECOND = "second shower"
    CONDITIONS = "conditions"
    MODEL = "model"
    SILENT = "silent"
    CROWDED = "crowded"
    TRANSPORT = "transport"
    UNKNOWN = "unknown"


@with_config(SPOKEN)
@dataclass(frozen=True, slots=True)
class CellShare:
    """A cell and its share of the excess."""

    cell: Count
    name: str
    share: Real
    """In [0, 1]; the shares of an alarm's cells need not add up to 1."""


@with_config(SPOKEN)
@dataclass(frozen=True, slots=True)
class RegionShare:
    """A region and its share of the excess."""

    region: RegionId
    name: str
    share: Real


@with_config(SPOKEN)
@dataclass(frozen=True, slots=True)
class ChannelShare:
    """A read-out channel and its share of the excess."""

    channel: Count
    """Its id: the row in the detector's table."""

    name: str
    share: Real


@with_config(SPOKEN)
@dataclass(frozen=True, slots=True)
class ReferenceSummary:
    """What "good" was measured against."""

    id: str
    origin: str
    """certified, generated, anchored or live."""

    showers: Count
    model: str
    """Content hash of the artefact."""


@with_config(SPOKEN)
@dataclass(frozen=True, slots=True)
class WorstShower:
    """A shower to look at: where it is and how strange."""

    event_id: EventId
    topic: str
    partition: Number32
    offset: Count
    row: Number32
    """Row in the record's block."""

    region: RegionId
    p: P
    time_ns: Count


@with_config(SPOKEN)
@dataclass(frozen=True, slots=True)
class Alarm:
    """One fault, one alarm. The same id with a higher version replaces what was said before."""

    id: str
    """Deterministic: a judge that replays the same windows gives the same id."""

    version: Count
    state: State
    severity: Severity
    level: Level
    place: str
    """Name of the detector, sector, region, group of channels or channel."""

    test: str
    """Which test crossed: exceedances, p-histogram, latent mean, latent spread, too few, silent..."""

    onset_ns: Whole
    """Most likely start of the fault, data time, ns since 1970 UTC."""

    raised_ns: Whole
    """Data time at which the test crossed."""

    now_ns: Whole
    """Data time of this version."""

    run: Number32
    lumisection: Number32
    showers: Count
    """Showers seen at this place since the onset."""

    observed: Real
    """What the test that crossed looks at, since the onset: exceedances counted, a mean of latents,
    showers of a place that should have more. `text` says which."""

    expected: Real
    expected_sd: Real
    """Uncertainty of the expectation, from the finite reference."""

    log10_odds: Real
    """Log10 of how much likelier the data since the onset are under a fault than without one. The
    onset is the likeliest, so this is no false-alarm rate; see `text` for that."""

    reference: ReferenceSummary
    kind: Kind
    kind_margin: Real
    """Log10 odds of this kind over the next likely one."""

    regions: tuple[RegionShare, ...]
    cells: tuple[CellShare, ...]
    worst: tuple[WorstShower, ...]
    children: tuple[str, ...]
    """Ids of alarms folded into this one."""

    summary: str
    """One line that a tired shifter understands."""

    text: str
    """The evidence in a few sentences."""

    runbook: str
    """Name of the page in monitor/display/runbooks."""

    channels: tuple[ChannelShare, ...] = ()
    """Channels that are at fault, where the detector has channels; the most telling first."""
