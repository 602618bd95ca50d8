"""Faults in the benchmark of the alarms: how soon they are found, where, and as what."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.bench.plan import N_REF, RATE, REGIONS, START, judge_of
from consumers.bench.pools import EDGE, FAULTS, FILES, load, pools_of, source_of, struck
from consumers.bench.resampling import accepted, reference_of, window
from consumers.bench.rivals import NAMES, Rivals
from models.scoring.scales import LEVELS
from monitor.detector.tree import Level
from monitor.quality.alarms import Alarm, Severity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from consumers.bench.plan import Plan, Tell
    from consumers.bench.resampling import Pool
    from models.scoring.artefact import Artefact
    from monitor.judging.monitor import Monitor
    from monitor.reference.accepted import Accepted
    from monitor.reference.expectation import Expectation
    from monitor.windows.window import Window

WARM_S = 60
LIMIT_S = 120
"""Data-seconds after which a fault counts as not found."""

FAINT_LIMIT_S = 400
"""The same for what is known to take minutes."""

SETTLED_S = 16
"""Data-seconds after the page at which place, cell and kind are assessed."""

STRUCK, OTHER = 11, 52
"""Rows of the regions that faults strike: B4, and G5 for what needs two."""


@dataclass(frozen=True, slots=True)
class FaultCase:
    """One fault to be found: how it comes, and what should be said of it."""

    name: str
    pool: str
    """What the struck regions' showers come from."""

    share: float = 1.0
    """Share of their showers that does."""

    kinds: tuple[str, ...] = ()
    """Kinds that are right; empty: any."""

    everywhere: bool = False
    cell: int | None = None
    extra: float = 0.0
    """Instead of a share: so many more showers of the pool per good one with p <= 1e-3."""

    n_struck: int = 1
    live: bool = False
    """Whether the monitor has a live reference of an hour."""

    limit_s: int = LIMIT_S

    @property
    def rows(self) -> NDArray[np.int64]:
        """Return the rows of the struck regions."""
        return np.arange(REGIONS) if self.everywhere else np.array((STRUCK, OTHER)[: self.n_struck])


def cases_of(core: int) -> tuple[FaultCase, ...]:
    """Return all faults, with the core cell that some of them strike."""
    return (
        *(_rate(k, live=live) for k in (2, 5, 20) for live in (False, True)),
        FaultCase("10 % strange showers, one region", "strange", share=0.1),
        FaultCase("100 % strange showers, one region", "strange"),
        FaultCase("dead core cell", "dead", kinds=("dead",), cell=core),
        FaultCase("dead edge cell", "dead edge", kinds=("dead",), cell=EDGE),
        FaultCase("hot core cell", "hot", kinds=("hot",), cell=core),
        FaultCase("hot edge cell", "hot edge", kinds=("hot",), cell=EDGE),
        FaultCase("gain +1 %", "gain 1", kinds=("gain",)),
        FaultCase("gain +2 %", "gain 2", kinds=("gain",)),
        FaultCase("gain +5 %", "gain 5", kinds=("gain",)),
        FaultCase("noise ×2, one layer", "noise", kinds=("noise",)),
        FaultCase("pedestal +1 σ, one layer", "pedestal", kinds=("pedestal",)),
        FaultCase("second photon", "second", kinds=("second shower",)),
        FaultCase("two regions swapped", "swap", kinds=("swap",), n_struck=2),
        FaultCase("positrons for photons", "eplus", kinds=("conditions",), everywhere=True),
        FaultCase("3 mm more lead", "lead3", kinds=("conditions",), everywhere=True),
        FaultCase("silent region", "silent", kinds=("silent",)),
        FaultCase("no finite scores, one region", "nan", kinds=("transport",)),
    )


def _rate(k: int, *, live: bool) -> FaultCase:
    name = f"anomaly rate ×{k}, {'live' if live else 'certified'} reference"
    limit_s = FAINT_LIMIT_S if k == 2 else LIMIT_S
    return FaultCase(name, "strange", extra=k - 1, everywhere=True, live=live, limit_s=limit_s)


@dataclass(frozen=True)
class TrialSetup:
    """What trials need: showers, a certified reference of them, and a monitor that has run."""

    artefact: Artefact
    pools: dict[str, Pool]
    certified: Expectation
    warm: dict[str, NDArray[Any]]
    """State of a monitor that has seen a minute of good data."""

    @property
    def core(self) -> int:
        """Return the core cell that faults strike."""
        return struck(self.artefact)

    def judge(self, reference: Expectation | None = None, *, guarded: bool = True) -> Monitor:
        """Return a monitor that has seen a minute of good data.

        Parameters
        ----------
        reference
            What it is certified against; the bench's own if not given.
        """
        judge = judge_of(self.artefact, reference or self.certified, guarded=guarded)
        judge.restore(self.warm)
        return judge

    def second(self, case: FaultCase | None, t: int, rng: np.random.Generator) -> Window:
        """Return a data-second, with a fault or without."""
        mean = np.full(REGIONS, RATE / REGIONS)
        parts = [(self.pools["good"], mean)]
        if case is not None:
            extra = np.zeros(REGIONS)
            extra[case.rows] = RATE / REGIONS * (case.share if not case.extra else self._more(case))
            if not case.extra:
                mean[case.rows] *= 1 - case.share
            if case.pool in self.pools:  # a silent region has none
                parts.append((self.pools[case.pool], extra))
        return window(rng, START + t, parts)

    def _more(self, case: FaultCase) -> float:
        return case.extra * float((self.pools["good"].p <= LEVELS[-1]).mean())

    def hour(self, rng: np.random.Generator, pool: str = "good", share: float = 0.0) -> Accepted:
        """Return the sums of an hour of accepted showers, a share of them from a fault's pool."""
        n = int(RATE * 3600)
        bad = int(rng.binomial(n, share))
        return accepted([(self.pools["good"], n - bad), (self.pools[pool], bad)], rng)


def bench_of(plan: Plan, rng: np.random.Generator) -> TrialSetup:
    """Return the bench: showers of the plan's file, and a reference drawn from the same."""
    source = source_of(load(plan.artefact), plan.showers)
    pools = pools_of(source, (*FAULTS, *FILES), rng)
    certified = reference_of(pools["good"], N_REF, rng)
    cold = TrialSetup(source.artefact, pools, certified, {})
    judge = judge_of(source.artefact, certified)
    for t in range(-WARM_S, 0):
        judge.observe(cold.second(None, t, rng))
    return TrialSetup(source.artefact, pools, certified, judge.state())


@dataclass(slots=True)
class Trial:
    """What came of one injected fault."""

    warning: float | None = None
    page: float | None = None
    onset_error: float | None = None
    place: bool = False
    cell: bool | None = None
    kind: str = ""
    first_kind: str = ""
    """What the crew is told first; `kind` is what it settles on."""

    rivals: dict[str, float | None] = field(default_factory=dict)


def delays(plan: Plan, tell: Tell) -> dict[str, Any]:
    """Return delays, places and kinds of every fault, and the rivals' delays on the same data."""
    rng = np.random.default_rng([plan.seed, 2])
    bench = bench_of(plan, rng)
    out: dict[str, Any] = {}
    for case in cases_of(bench.core):
        out[case.name] = told([_trial(case, bench, rng) for _ in range(plan.trials)], case)
        tell(f"{case.name}: {out[case.name]['page_median_s']} s")
    return {
        "faults": out,
        "limit_s": LIMIT_S,
        "faint_limit_s": FAINT_LIMIT_S,
        "n_ref": N_REF,
        "references": "one a trial",
        "regions": REGIONS,
        "rate_hz": RATE,
        "distinct_showers": bench.pools["good"].n,
    }


def _trial(case: FaultCase, bench: TrialSetup, rng: np.random.Generator) -> Trial:
    # One reference may be off in a tail by chance: every trial has its own.
    reference = reference_of(bench.pools["good"], N_REF, rng)
    judge = bench.judge(reference)
    if case.live:
        judge.live.total = bench.hour(rng)
        judge.adopt_live()
    rivals = Rivals(judge.places, reference, int(rng.integers(0, 60)))
    trial = Trial()
    for t in range(case.limit_s):
        settled = trial.page is not None and t >= trial.page + SETTLED_S
        if settled and rivals.all_found:
            break
        seen = bench.second(case, t, rng)
        rivals.observe(seen)
        if not settled:
            _note(trial, [a for a in judge.observe(seen) if isinstance(a, Alarm)], t + 1)
    if judge.open_alarms():
        _assess(trial, case, judge.open_alarms()[0])
    trial.rivals = rivals.found
    return trial


def _note(trial: Trial, said: list[Alarm], delay: int) -> None:
    for alarm in said:
        trial.first_kind = trial.first_kind or alarm.kind.value
        trial.warning = trial.warning if trial.warning is not None else delay
        if alarm.severity is Severity.PAGE and trial.page is None:
            trial.page = delay
            trial.onset_error = alarm.onset_ns / 1e9 - START


def _assess(trial: Trial, case: FaultCase, alarm: Alarm) -> None:
    if case.everywhere:
        trial.place = alarm.level is Level.DETECTOR
    else:
        trial.place = {share.region for share in alarm.regions} == set(case.rows.tolist())
    if case.cell is not None:
        trial.cell = bool(alarm.cells) and alarm.cells[0].cell == case.cell
    trial.kind = alarm.kind.value


def told(trials: list[Trial], case: FaultCase) -> dict[str, Any]:
    """Return the figures of a fault's trials; a delay is None where it was not found."""
    pages = [trial.page for trial in trials]
    onsets = [abs(t.onset_error) for t in trials if t.onset_error is not None]
    cells = [trial.cell for trial in trials if trial.cell is not None]
    return {
        "trials": len(trials),
        "found": sum(page is not None for page in pages),
        "warning_median_s": quantile([t.warning for t in trials], 0.5),
        "page_median_s": quantile(pages, 0.5),
        "page_90_s": quantile(pages, 0.9),
        "onset_error_median_s": float(np.median(onsets)) if onsets else None,
        "place_right": float(np.mean([t.place for t in trials])),
        "cell_right": float(np.mean(cells)) if cells else None,
        "kind_right": float(np.mean([t.kind in case.kinds for t in trials])) if case.kinds else None,
        "first_kind_right": (
            float(np.mean([t.first_kind in case.kinds for t in trials])) if case.kinds else None
        ),
        "kinds": dict(Counter(trial.kind or "not found" for trial in trials)),
        "rivals_median_s": {
            name: quantile([trial.rivals.get(name) for trial in trials], 0.5) for name in NAMES
        },
    }  # fmt: skip


def quantile(delays_s: list[float | None], q: float) -> float | None:
    """Return a quantile of delays; what was not found counts as never."""
    values = [np.inf if delay is None else delay for delay in delays_s]
    value = float(np.quantile(values, q, method="higher"))
    return value if np.isfinite(value) else None
