"""Contamination in the benchmark of the alarms: what a live reference that has learnt costs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.bench.faults import bench_of, cases_of, quantile
from monitor.quality.alarms import Alarm, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.bench.faults import FaultCase, TrialSetup
    from consumers.bench.plan import Plan, Tell
    from monitor.reference.accepted import Accepted

SHARES = (0.0, 0.001, 0.01)
"""Of the showers that the live reference of an hour was made of, those with the fault."""

THIN = 0.01
"""Share of all showers of the detector that have the fault where it is spread thin."""

LIMIT_S = 60
"""Data-seconds after which a fault counts as not found."""


def contamination(plan: Plan, tell: Tell) -> dict[str, Any]:
    """Return delays of every fault, by how much of it the live reference has learnt.

    The fault's showers are put into the live reference: quarantine and subtraction have failed
    already, and of the guards only the certified reference is left, or nothing.
    """
    rng = np.random.default_rng([plan.seed, 4])
    bench = bench_of(plan, rng)
    lines: list[dict[str, Any]] = []
    good: list[dict[str, Any]] = []
    for case in _cases(bench.core):
        found: list[int] = []
        for share in SHARES:
            if found and not any(found):
                break  # what a clean reference does not show costs nothing more
            hours = [bench.hour(rng, case.pool, share) for _ in range(plan.learnt_trials)]
            learnt = [_learnt(case, share, hours, bench, rng, guarded=g) for g in (True, False)]
            found += [line["found"] for line in learnt]
            lines += learnt
            if share and case.pool not in {line["pool"] for line in good if line["share"] == share}:
                good += [_good(case, share, hours, bench, rng, guarded=g) for g in (True, False)]
        tell(f"{case.name}: {found}")
    return {"lines": lines, "good": good, "limit_s": LIMIT_S, "live_showers": bench.hour(rng).n}


def _cases(core: int) -> Iterator[FaultCase]:
    """Yield the faults that latents and p-values show, as they come and spread thin."""
    every = [case for case in cases_of(core) if case.pool not in {"silent", "nan"}]
    for case in every:
        if case.live or not case.extra:
            yield case
    for case in every:
        if case.share == 1 and not case.extra:
            name = f"{case.name.removesuffix(', one region')}, {THIN:.0%} of all showers"
            yield replace(case, name=name, share=THIN, everywhere=True)


def _learnt(
    case: FaultCase,
    share: float,
    hours: list[Accepted],
    bench: TrialSetup,
    rng: np.random.Generator,
    *,
    guarded: bool,
) -> dict[str, Any]:
    """Return the figures of a fault that live references of these hours have learnt."""
    pages = [_page(case, hour, bench, rng, guarded=guarded) for hour in hours]
    return {
        "fault": case.name,
        "contamination": share,
        "guards": guarded,
        "trials": len(hours),
        "found": sum(page is not None for page in pages),
        "page_median_s": quantile(pages, 0.5),
        "page_90_s": quantile(pages, 0.9),
    }


def _good(
    case: FaultCase,
    share: float,
    hours: list[Accepted],
    bench: TrialSetup,
    rng: np.random.Generator,
    *,
    guarded: bool,
) -> dict[str, Any]:
    """Return how often good data page against live references that have learnt a fault."""
    pages = [_page(None, hour, bench, rng, guarded=guarded) for hour in hours]
    return {
        "fault": "strange showers" if case.pool == "strange" else case.name,
        "pool": case.pool,
        "share": share,
        "guards": guarded,
        "trials": len(hours),
        "paged": sum(page is not None for page in pages),
    }


def _page(
    case: FaultCase | None,
    hour: Accepted,
    bench: TrialSetup,
    rng: np.random.Generator,
    *,
    guarded: bool,
) -> float | None:
    judge = bench.judge(guarded=guarded)
    judge.live.total = hour
    judge.adopt_live()
    for t in range(LIMIT_S):
        said = judge.observe(bench.second(case, t, rng))
        if any(isinstance(a, Alarm) and a.severity is Severity.PAGE for a in said):
            return float(t + 1)
    return None
