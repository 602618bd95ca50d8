"""Trials: real showers, drawn again and again, through a monitor in any setup."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.app import wiring
from consumers.bench.faults import SETTLED_S, FaultCase, cases_of
from consumers.bench.plan import START
from consumers.bench.pools import FAULTS, FILES, load, pools_of, source_of, struck, uniform
from consumers.bench.resampling import reference_of, window
from consumers.bench.setups import LATE_SHARE, RATE, as_seen
from models.scoring.absent import Absent
from monitor.detector.tree import Level
from monitor.quality.alarms import Alarm, Severity

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from consumers.bench.resampling import Pool
    from consumers.bench.setups import Setup
    from models.detector.geometry import Geometry
    from models.scoring.artefact import Artefact
    from models.scoring.scorer import Scorer
    from models.showers.batch import Showers
    from monitor.judging.monitor import Monitor
    from monitor.reference.expectation import Expectation
    from monitor.windows.window import Window

HOUR = 3600
POOL = 40_000
"""Showers, each with a mirror and noise of its own, from which an hour is drawn."""

WARM_S = 40
LIMIT_S = 120
PAIR = ("strange", "dead", "hot", "gain 5", "noise", "pedestal", "second", "silent", "nan")
"""Pools of the faults that come in pairs."""

LATE_S = 5
"""Data-seconds by which some regions come late."""


@dataclass
class ScoredFiles:
    """Showers of some files, scored once for all setups that see them alike."""

    path: Path
    showers: tuple[Path, ...]
    _artefact: Artefact | None = None
    _pools: dict[tuple[str, int, bool], dict[str, Pool]] = field(default_factory=dict)

    @property
    def artefact(self) -> Artefact:
        """Return the model that scores."""
        if self._artefact is None:
            self._artefact = load(self.path)
        return self._artefact

    @property
    def name(self) -> str:
        """Return what names the model."""
        return f"{self.path.name} {self.artefact.hash[:12]}"

    @property
    def geometry(self) -> Geometry:
        """Return the cells of a shower."""
        return self.artefact.geometry

    def has(self, setup: Setup, *, faults: bool) -> bool:
        """Return whether the showers of a setup have been scored."""
        return (setup.e_inc, setup.masked, faults) in self._pools

    def pools(self, setup: Setup, *, faults: bool) -> dict[str, Pool]:
        """Return the pools of a setup by name; `masked`: good showers without the masked cells."""
        key = (setup.e_inc, setup.masked, faults)
        if key not in self._pools:
            rng = np.random.default_rng([7, setup.masked, setup.e_inc == "known"])
            source = source_of(self.artefact, self.showers)
            seen = replace(source, scorer=_seen(source.scorer, setup.e_inc))
            if faults:
                made = pools_of(seen, (*FAULTS, *FILES), rng)
            else:
                made = {"good": uniform(seen, rng)}
            masked = tuple(setup.masked_cells(self.geometry).tolist())
            if masked:
                source.scorer.learn(masked, wiring.good_showers(self.artefact, None))
            blind = replace(source, scorer=_seen(source.scorer, setup.e_inc, masked))
            made["masked"] = blind.good(POOL // 4, rng)
            self._pools = {key: made}  # one at a time: they are large
        return self._pools[key]


@dataclass(frozen=True)
class _Seen:
    """Scores showers as a stream tells them."""

    scorer: Scorer
    e_inc: str
    masked: tuple[int, ...] = ()

    def score(self, showers: Showers) -> Any:
        absent = Absent.of_groups(np.zeros(showers.n, np.int64), {0: self.masked})
        return self.scorer.score(as_seen(showers, self.e_inc), absent)


def _seen(scorer: Scorer, e_inc: str, masked: tuple[int, ...] = ()) -> Any:
    return _Seen(scorer, e_inc, masked)


@dataclass
class _Stream:
    """Data-seconds of a setup, with any number of faults."""

    setup: Setup
    pools: dict[str, Pool]
    rng: np.random.Generator

    def second(self, t: int, cases: tuple[tuple[FaultCase, NDArray[np.int64]], ...]) -> Window:
        """Return a data-second with faults in the rows given."""
        r = self.setup.regions
        each = RATE / r
        mean, masked = np.full(r, each), np.zeros(r)
        if self.setup.masked:
            mean[self.setup.masked_row], masked[self.setup.masked_row] = 0.0, each
        parts = [(self.pools["good"], mean), (self.pools["masked"], masked)]
        for case, rows in cases:
            extra = np.zeros(r)
            extra[rows] = each * (case.share if not case.extra else case.extra * 1e-3)
            if not case.extra:
                mean[rows] *= 1 - case.share
                masked[rows] *= 1 - case.share
            if case.pool in self.pools:  # a silent region has none
                parts.append((self.pools[case.pool], extra))
        return window(self.rng, START + t, parts)


def _observed(
    judge: Monitor, seen: Window, held: list[Window], t: int, rng: np.random.Generator
) -> list[Alarm]:
    """Let a monitor see a second, some regions of which may come late."""
    said: list[Any] = []
    late = np.zeros(len(seen.regions), bool)
    if rng.random() < LATE_SHARE:
        late = rng.random(len(seen.regions)) < 1 / 4
    if late.any() and not late.all():
        held.append(_part(seen, late))
        seen = _part(seen, ~late)
        away = frozenset(held[-1].regions.tolist())
        said += judge.observe(seen, unknown=away, masked=True)
    else:
        said += judge.observe(seen, masked=True)
    while held and held[0].key.second <= START + t - LATE_S:
        said += judge.observe(held.pop(0), late=True, masked=True)
    return [alarm for alarm in said if isinstance(alarm, Alarm)]


def _part(seen: Window, rows: NDArray[np.bool_]) -> Window:
    names = [
        name
        for name in seen.__dataclass_fields__
        if name not in {"key", "score_bins", "score_counts", "channels"}
    ]
    return replace(seen, **{name: getattr(seen, name)[rows] for name in names})


@dataclass(frozen=True)
class _Bench:
    """A stream, and a reference of its own whose monitor has seen some of it."""

    stream: _Stream
    geometry: Geometry
    reference: Expectation
    warm: dict[str, NDArray[Any]]

    def judge(self) -> Monitor:
        """Return a monitor that has seen some of the stream."""
        judge = self.stream.setup.judge(self.geometry, self.reference)
        judge.restore(self.warm)
        return judge


def _bench(setup: Setup, seed: int, source: ScoredFiles, *, faults: bool) -> _Bench:
    rng = np.random.default_rng([seed, setup.n_ref, setup.regions, setup.masked])
    pools = source.pools(setup, faults=faults)
    reference = reference_of(pools["good"], setup.n_ref, rng)
    judge = setup.judge(source.geometry, reference)
    stream = _Stream(setup, pools, rng)
    for t in range(-WARM_S, 0):
        judge.observe(stream.second(t, ()), masked=True)
    return _Bench(stream, source.geometry, reference, judge.state())


def real_hour(setup: Setup, seed: int, source: ScoredFiles) -> dict[str, Any]:
    """Return the false pages of an hour of good data, with late seconds and masked cells."""
    bench = _bench(setup, seed, source, faults=False)
    stream, judge = bench.stream, bench.judge()
    held: list[Window] = []
    alarms: dict[str, Alarm] = {}
    for t in range(HOUR):
        seen = stream.second(t, ())
        alarms |= {a.id: a for a in _observed(judge, seen, held, t, stream.rng)}
    pages = [alarm for alarm in alarms.values() if alarm.severity is Severity.PAGE]
    return {
        "days": HOUR / 86_400,
        "pages": len(pages),
        "warnings": len(alarms) - len(pages),
        "said": [alarm.text for alarm in alarms.values()],
    }


def delays(setup: Setup, seed: int, source: ScoredFiles) -> dict[str, Any]:
    """Return one trial of every fault."""
    cases = [case for case in cases_of(struck(source.artefact)) if not case.live]
    bench = _bench(setup, seed, source, faults=True)
    return {"faults": {case.name: _trial(bench, (case,)) for case in cases}}


def pairs(setup: Setup, seed: int, source: ScoredFiles) -> dict[str, Any]:
    """Return one trial of every pair of faults that begin together, in two regions."""
    known = {case.pool: case for case in cases_of(struck(source.artefact)) if not case.everywhere}
    bench = _bench(setup, seed, source, faults=True)
    chosen = [known[name] for name in PAIR]
    return {
        "faults": {
            f"{a.name} + {b.name}": _trial(bench, (a, b)) for a, b in combinations(chosen, 2)
        }
    }


def _trial(bench: _Bench, cases: tuple[FaultCase, ...]) -> dict[str, Any]:
    """Return what became of one or two faults: delay until all are paged, places, kinds."""
    stream, judge = bench.stream, bench.judge()
    struck_ = tuple((case, _rows(case, stream.setup, i)) for i, case in enumerate(cases))
    held: list[Window] = []
    page: int | None = None
    limit = max(LIMIT_S, *(case.limit_s for case in cases))
    for t in range(limit):
        if page is not None and t >= page + SETTLED_S:
            break
        _observed(judge, stream.second(t, struck_), held, t, stream.rng)
        if page is None and all(_paged(judge, rows) for _, rows in struck_):
            page = t + 1
    right = [_right(judge, case, rows) for case, rows in struck_]
    return {
        "page_s": page,
        "place": all(place for place, _ in right),
        "kind": all(kind for _, kind in right),
        "pages": judge.standing().budget.pages,
    }


def _rows(case: FaultCase, setup: Setup, nth: int) -> NDArray[np.int64]:
    if case.everywhere:
        return np.arange(setup.regions)
    return np.array(setup.struck if case.n_struck > 1 else setup.struck[nth : nth + 1])


def _paged(judge: Monitor, rows: NDArray[np.int64]) -> bool:
    """Return whether an open page names these regions."""
    named = {
        share.region
        for alarm in judge.open_alarms()
        if alarm.severity is Severity.PAGE
        for share in alarm.regions
    }
    return set(rows.tolist()) <= named


def _right(judge: Monitor, case: FaultCase, rows: NDArray[np.int64]) -> tuple[bool, bool]:
    """Return whether some alarm has exactly the right place, and whether that has the right kind."""
    for alarm in judge.open_alarms():
        exact = {share.region for share in alarm.regions} == set(rows.tolist())
        if exact or (case.everywhere and alarm.level is Level.DETECTOR):
            return True, not case.kinds or alarm.kind.value in case.kinds
    return False, False
