"""Self-test: faults injected into a copy of the stream, to know whether they would be found.

A second monitor sees the very windows of the stream, changed as a known fault would change them,
one fault at a time on a schedule. Nothing that it says leaves as an alarm: only how many of the
faults it found, and after how long. It watches a part of the regions, that of the fault among them,
and needs at least the evidence that the real one needs there: the tests of a region do not depend
on how many others there are, and so neither does the cost of the self-test. The changes act on the counts of a window, because a judge has
no showers; they are exact for latents and p-values, which is where the tests look.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from models.scoring.scales import LEVELS, P_EDGES, Z_UNIT
from monitor.detector.places import Places
from monitor.judging.monitor import Monitor
from monitor.quality.alarms import Alarm, Severity
from monitor.quality.self_tests import SelfTestResult
from monitor.reference.live import LiveSettings
from monitor.sequential.budget import Allowance, places_part, shares

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.detector.geometry import Geometry
    from models.scoring.reference import ReferenceTable
    from monitor.detector.tree import Detector, Level
    from monitor.judging.settings import MonitorSettings
    from monitor.reference.expectation import Expectation
    from monitor.windows.window import Window

WATCHED = 16
"""Regions that the copy watches, at most: traffic needs some beside that of the fault."""

CLEAN_S = 30
"""Data-seconds that the copy sees unchanged before a fault."""

FAULT_S = 120
"""Data-seconds that a fault lasts unless it is found."""

KEPT = 200
"""Delays of a fault that are kept for their median."""

STRANGE = 0.10
"""Share of showers that are strange in the fault of that name."""

GAIN = 0.5
"""Shift of the total energy's latent that stands for a gain of +1 or +2 %, in deviations."""


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault of the schedule: a name, and what it does to a row of a window."""

    name: str
    change: Callable[[Window, int, int, np.random.Generator], Window]
    """Window, row, cell to strike, randomness; returns the changed window."""


def _strange(window: Window, row: int, _cell: int, rng: np.random.Generator) -> Window:
    """Return the window with a tenth of the showers at the smallest p."""
    p_counts, exceedances = window.p_counts.copy(), window.exceedances.copy()
    taken = rng.binomial(p_counts[row], STRANGE)
    p_counts[row] -= taken
    p_counts[row, :, 0] += taken.sum(1)
    edges = [int(np.searchsorted(P_EDGES, level)) - 1 for level in LEVELS]
    moved = [int(taken[-1, edge + 1 :].sum()) for edge in edges]
    cell = int(np.argmax(window.showers[row]))
    exceedances[row, cell] += np.array(moved)
    return replace(window, p_counts=p_counts, exceedances=exceedances)


def _dead(window: Window, row: int, cell: int, _rng: np.random.Generator) -> Window:
    """Return the window with a cell that reads its mean and nothing else, and is never lit."""
    square, lit = window.z_square.copy(), window.lit.copy()
    total = window.z_sum.copy()
    square[row, cell], lit[row, cell], total[row, cell] = 0, 0, 0
    return replace(window, z_sum=total, z_square=square, lit=lit)


def _hot(window: Window, row: int, cell: int, _rng: np.random.Generator) -> Window:
    """Return the window with a cell three deviations too high in every third shower."""
    return _shifted(window, row, cell, 3.0, 1 / 3)


def _gain(window: Window, row: int, _cell: int, _rng: np.random.Generator) -> Window:
    """Return the window with every shower's total energy a little too high."""
    return _shifted(window, row, window.lit.shape[1], GAIN, 1.0)


def _silent(window: Window, row: int, _cell: int, _rng: np.random.Generator) -> Window:
    """Return the window without the region."""
    keep = np.arange(len(window.regions)) != row
    dense = {
        name: getattr(window, name)[keep]
        for name in (
            "regions", "showers", "exceedances", "p_counts", "z_sum", "z_square", "lit",
            "layer_energy", "unscored", "unknown",
        )
    }  # fmt: skip
    return replace(window, **dense)


def _shifted(window: Window, row: int, latent: int, shift: float, share: float) -> Window:
    n = int(window.showers[row].sum())
    z, square = window.z_sum.copy(), window.z_square.copy()
    mean = z[row, latent] * Z_UNIT / max(n, 1)
    z[row, latent] += round(n * share * shift / Z_UNIT)
    square[row, latent] += round(n * share * (2 * shift * mean + shift**2) / Z_UNIT)
    return replace(window, z_sum=z, z_square=square)


SCHEDULE = (
    Injection("strange showers", _strange),
    Injection("dead cell", _dead),
    Injection("hot cell", _hot),
    Injection("gain", _gain),
    Injection("silent region", _silent),
)
"""One fault after the other, round and round, each in the next region."""


class SelfTesting:
    """Injects the schedule into a copy of the stream and keeps the score.

    Parameters
    ----------
    judge
        The real monitor: its detector, geometry, settings and certified reference are the copy's.
    """

    def __init__(self, judge: Monitor, schedule: tuple[Injection, ...] = SCHEDULE) -> None:
        self._judge, self._schedule = judge, schedule
        self._round = 0
        self._age = 0
        self._since: int | None = None
        """Age at which the fault was first injected: not while its region has no data, or an alarm."""

        self._injected: dict[str, int] = defaultdict(int)
        self._delays: dict[str, deque[int]] = defaultdict(_delays)
        self._found: dict[str, int] = defaultdict(int)
        self._copy = self._fresh()

    def _fresh(self) -> Monitor:
        whole, references = self._judge.places.detector, self._judge.watch.references
        part = watched_part(whole, self._region())
        settings = replace(
            self._judge.settings,
            live=LiveSettings(enabled=False),
            allowance=as_strict(self._judge.settings.allowance, whole, part),
        )
        copy = Monitor(part, self._judge.geometry, references.certified, settings)
        copy.measure_by(references)  # as sharp as the real one
        return copy

    @property
    def fault(self) -> Injection:
        """Return the fault whose turn it is."""
        return self._schedule[self._round % len(self._schedule)]

    def observe(self, *windows: Window, unknown: frozenset[int] = frozenset()) -> None:
        """Take in a data-second of the real stream, after the real monitor has."""
        window = max(windows, key=lambda window: window.n)  # the others are few, and no fault's
        second = window.key.second
        self._age += 1
        row = self._row(window)
        if self._age > CLEAN_S and row is not None:
            self._since = self._age if self._since is None else self._since
            rng = np.random.default_rng([second, self._round])
            cell = (self._round * 97) % self._judge.geometry.n_cells
            window = self.fault.change(window, row, cell, rng)
        region = self._region()
        if any(_finds(said, region) for said in self._copy.observe(window, unknown=unknown)):
            if self._since is not None:
                self._delays[self.fault.name].append(self._age - self._since + 1)
                self._found[self.fault.name] += 1
            self._next()
        elif self._age >= CLEAN_S + FAULT_S:
            self._next()

    def _next(self) -> None:
        """Go on to the next fault; the one that is over counts as injected if it ever was."""
        self._injected[self.fault.name] += self._since is not None
        self._round += 1
        self._age, self._since = 0, None
        self._copy = self._fresh()

    def _region(self) -> int:
        regions = self._judge.places.detector.regions
        return regions[(self._round * 7) % len(regions)].id

    def _row(self, window: Window) -> int | None:
        """Return the row of the region whose turn it is; None if it has no data or an alarm."""
        region = self._region()
        alarmed = {share.region for a in self._judge.open_alarms() for share in a.regions}
        where = np.flatnonzero(window.regions == region)
        return int(where[0]) if len(where) and region not in alarmed else None

    def results(self) -> tuple[SelfTestResult, ...]:
        """Return what became of the faults, by name."""
        return tuple(
            SelfTestResult(
                fault=name,
                injected=count,
                found=self._found[name],
                delay_s=float(median(self._delays[name])) if self._delays[name] else float("nan"),
            )
            for name, count in sorted(self._injected.items())
        )

    def state(self) -> dict[str, Any]:
        """Return the score, as JSON values: a fault under way is begun anew."""
        return {
            "round": self._round,
            "injected": dict(self._injected),
            "found": dict(self._found),
            "delays": {name: list(delays) for name, delays in self._delays.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned."""
        self._round, self._age, self._since = int(state["round"]), 0, None
        self._injected = defaultdict(int, state["injected"])
        self._found = defaultdict(int, state["found"])
        self._delays = defaultdict(_delays)
        for name, delays in state["delays"].items():
            self._delays[name].extend(delays)
        self._copy = self._fresh()


def _delays() -> deque[int]:
    return deque(maxlen=KEPT)


def _finds(said: object, region: int) -> bool:
    """Return whether an alarm pages for a region."""
    return (
        isinstance(said, Alarm)
        and said.severity is Severity.PAGE
        and any(share.region == region for share in said.regions)
    )


def watched_part(whole: Detector, region: int) -> Detector:
    """Return the part of a detector that a copy watches for a fault in a region (id)."""
    ids = [each.id for each in whole.regions]
    first = ids.index(region) // WATCHED * WATCHED
    first = max(min(first, len(ids) - WATCHED), 0)
    return whole.part(first, first + WATCHED)


def as_strict(allowance: Allowance, whole: Detector, part: Detector) -> Allowance:
    """Return the allowance of a part by which no place of it needs less evidence than in the whole.

    A region needs as much, unless its sector would need less by that.

    Examples
    --------
    >>> from monitor.detector.tree import grid
    >>> whole = grid("calo", sectors=8, regions_per_sector=8)
    >>> as_strict(Allowance(days_per_page=30), whole, watched_part(whole, 0)).days_per_page
    120.0
    """
    of_whole = _shares(whole)
    times = max(share / of_whole[place] for place, share in _shares(part).items())
    return Allowance(allowance.days_per_page * times, allowance.days_per_warning * times)


def _shares(detector: Detector) -> dict[tuple[Level, str], float]:
    places = Places(detector)
    budget = (shares(places) * places_part(places)).tolist()
    return dict(zip(zip(places.levels, places.names, strict=True), budget, strict=True))


def self_testing(
    detector: Detector,
    geometry: Geometry,
    reference: ReferenceTable | Expectation,
    settings: MonitorSettings,
) -> Monitor:
    """Return a monitor with a copy that tests it."""
    judge = Monitor(detector, geometry, reference, settings)
    judge.self_test = SelfTesting(judge)
    return judge
