"""Handover in the benchmark of the alarms: a judge is killed in the middle of a fault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.bench.faults import SETTLED_S, bench_of, cases_of
from monitor.quality.alarms import Alarm, Severity

if TYPE_CHECKING:
    from consumers.bench.faults import FaultCase, TrialSetup
    from consumers.bench.plan import Plan, Tell
    from monitor.judging.monitor import Monitor
    from monitor.windows.window import Window


def handover(plan: Plan, tell: Tell) -> dict[str, Any]:
    """Return, for every fault, whether a judge that is replaced says what one would have said.

    The second judge has nothing but the state of the first one, half-way between the onset and
    the page, and the windows after it.
    """
    rng = np.random.default_rng([plan.seed, 6])
    bench = bench_of(plan, rng)
    lines = [
        _line(case, bench, rng)
        for case in cases_of(bench.core)
        for _ in range(plan.handovers)
        if not case.live
    ]
    tell(f"{sum(line['same'] for line in lines)} of {len(lines)} the same")
    return {"lines": lines}


def _line(case: FaultCase, bench: TrialSetup, rng: np.random.Generator) -> dict[str, Any]:
    windows, said, page = _alone(case, bench, rng)
    at = max((page or 2) // 2, 1)
    judge = bench.judge()
    again = _watch(judge, windows[:at])
    heir = bench.judge()
    heir.restore(judge.state())
    again += _watch(heir, windows[at:])
    ids = {alarm.id for alarm in again}
    return {
        "fault": case.name,
        "page_s": page,
        "replaced_after_s": at,
        "alarms": len(ids),
        "onsets": len({(alarm.id, alarm.onset_ns) for alarm in again}),
        "same": again == said,
    }


def _alone(
    case: FaultCase, bench: TrialSetup, rng: np.random.Generator
) -> tuple[list[Window], list[Alarm], int | None]:
    """Return windows, what one judge says of them, and the second of its page."""
    judge, windows, said, page = bench.judge(), [], [], None
    for t in range(case.limit_s):
        windows.append(bench.second(case, t, rng))
        new = _watch(judge, windows[-1:])
        said += new
        if page is None and any(alarm.severity is Severity.PAGE for alarm in new):
            page = t + 1
        if page is not None and t >= page + SETTLED_S:
            break
    return windows, said, page


def _watch(judge: Monitor, windows: list[Window]) -> list[Alarm]:
    return [said for window in windows for said in judge.observe(window) if isinstance(said, Alarm)]
