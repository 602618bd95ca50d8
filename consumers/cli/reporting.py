"""Reporting: what runs came to, by the sums of their lumisections and the verdicts on them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.cli import kept
from consumers.exactly_once.appended import appended
from consumers.wire import lumisection_form, topics
from models.scoring.scales import LEVELS
from monitor.quality.quality import Quality

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from consumers.wire.lumisection_form import Part
    from consumers.wire.record import Log
    from consumers.wire.window_form import WindowForm
    from monitor.quality.verdicts import Verdict
    from monitor.windows.window import Window

MARGIN_S = 3600
"""A part of a lumisection is written within this of its data, if those came as they were taken."""

WORST = 5
"""Regions that are named of a run."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the model of a sum."""

    form: WindowForm
    rate: NDArray[np.float64]
    """Share of good showers beyond each level, by condition cell, shape (K, A)."""


@dataclass(slots=True)
class RunReport:
    """What one run came to, as far as it is kept."""

    run: int
    first: int
    last: int
    """Data-seconds of the first and of the last window."""

    lumisections: set[int] = field(default_factory=set)
    showers: int = 0
    """Scored ones."""

    unscored: int = 0
    """Showers without a score: outside of what the model knows, or of broken values."""

    energy_kev: int = 0
    seen: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(LEVELS), np.int64))
    """Showers with p at most each level of `LEVELS`."""

    expected: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(LEVELS)))
    """As many of good showers would have."""

    unread: Counter[str] = field(default_factory=Counter)
    """Parts that were left out, by the model that nobody has any more."""

    qualities: Counter[str] = field(default_factory=Counter)
    """Verdicts, one a region and lumisection."""

    not_usable: Counter[str] = field(default_factory=Counter)
    """Lumisections that are not GOOD, by the name of the region."""

    alarms: set[str] = field(default_factory=set)
    """Ids of alarms that verdicts name."""

    def add(self, part: Part, window: Window, rate: NDArray[np.float64]) -> None:
        """Add a part of a lumisection."""
        self.stretch(part)
        self.showers += int(window.showers.sum())
        self.unscored += int(window.unscored.sum() + window.unknown.sum())
        self.energy_kev += int(window.layer_energy.sum())
        self.seen += window.exceedances.sum((0, 1))
        self.expected += window.showers.sum(0) @ rate

    def stretch(self, part: Part) -> None:
        """Take note of a part, whether or not it can be read."""
        self.lumisections.add(part.lumisection)
        self.first, self.last = min(self.first, part.first), max(self.last, part.last)

    def judge(self, verdicts: Iterable[Verdict]) -> None:
        """Add the newest verdicts on the run."""
        for verdict in verdicts:
            self.qualities[verdict.quality.value] += 1
            self.alarms.update(verdict.alarms)
            if verdict.quality is not Quality.GOOD:
                self.not_usable[verdict.name] += 1

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        strange = {
            f"{level:g}": {"seen": int(self.seen[i]), "expected": round(float(self.expected[i]), 1)}
            for i, level in enumerate(LEVELS)
        }
        return {
            "run": self.run,
            "first": self.first,
            "last": self.last,
            "lumisections": len(self.lumisections),
            "showers": self.showers,
            "without a score": self.unscored,
            "energy of a shower, MeV": round(self.energy_kev / max(self.showers, 1) / 1000, 3),
            "strange": strange,
            "verdicts": dict(sorted(self.qualities.items())),
            "not good, lumisections": dict(self.not_usable.most_common(WORST)),
            "alarms": sorted(self.alarms),
            "parts by unknown models": dict(sorted(self.unread.items())),
        }


def by_run(
    log: Log, begin: int, end: int, known: Callable[[str], Known | None]
) -> dict[int, RunReport]:
    """Return what runs came to in data-seconds [begin, end), without their verdicts.

    Parameters
    ----------
    known
        Returns what is known of a model, by its hash; None where nobody has it any more.
    """
    found: dict[int, RunReport] = {}
    seen: set[str] = set()
    for part, value in _parts(log, begin, end):
        if part.key in seen:  # one that was written again is the same
            continue
        seen.add(part.key)
        report = found.setdefault(part.run, RunReport(part.run, part.first, part.last))
        model = known(part.model)
        if model is None:
            report.stretch(part)
            report.unread[part.model[:12]] += 1
        else:
            report.add(part, lumisection_form.window(value, model.form), model.rate)
    return dict(sorted(found.items()))


def _parts(log: Log, begin: int, end: int) -> Iterator[tuple[Part, bytes]]:
    since = appended(log, topics.LUMISECTIONS, (begin - MARGIN_S) * 1000)
    for record in log.read_all(topics.LUMISECTIONS, since):
        part = kept.part_of(record)
        if part is None:
            continue
        if part.first >= end and record.timestamp_ms >= (end + MARGIN_S) * 1000:
            return
        if begin <= part.first < end:
            yield part, record.value or b""
