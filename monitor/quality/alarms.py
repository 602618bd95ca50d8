"""Alarm: a sequential test that crossed its threshold, with the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.detector.tree import Level


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
    TRANSPORT = "transport"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CellShare:
    """A cell and its share of the excess."""

    cell: int
    name: str
    share: float
    """In [0, 1]; the shares of an alarm's cells need not add up to 1."""


@dataclass(frozen=True, slots=True)
class RegionShare:
    """A region and its share of the excess."""

    region: int
    name: str
    share: float


@dataclass(frozen=True, slots=True)
class ReferenceSummary:
    """What "good" was measured against."""

    id: str
    origin: str
    """certified, generated or live."""

    showers: int
    model: str
    """Content hash of the artefact."""


@dataclass(frozen=True, slots=True)
class WorstShower:
    """A shower to look at: where it is and how strange."""

    event_id: int
    topic: str
    partition: int
    offset: int
    row: int
    """Row in the record's block."""

    region: int
    p: float
    time_ns: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """One fault, one alarm. The same id with a higher version replaces what was said before."""

    id: str
    """Deterministic: a judge that replays the same windows gives the same id."""

    version: int
    state: State
    severity: Severity
    level: Level
    place: str
    """Name of the detector, sector or region."""

    test: str
    """Which test crossed: exceedances, p-histogram, latent mean, latent spread, too few, silent..."""

    onset_ns: int
    """Most likely start of the fault, data time, ns since 1970 UTC."""

    raised_ns: int
    """Data time at which the test crossed."""

    now_ns: int
    """Data time of this version."""

    run: int
    lumisection: int
    showers: int
    """Showers seen at this place since the onset."""

    observed: float
    """What was counted since the onset (exceedances, or the test's own statistic)."""

    expected: float
    expected_sd: float
    """Uncertainty of the expectation, from the finite reference."""

    log10_odds: float
    """Evidence against "nothing is wrong", log10 of the e-value."""

    reference: ReferenceSummary
    kind: Kind
    kind_margin: float
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
    """Name of the page in deploy/runbooks."""
