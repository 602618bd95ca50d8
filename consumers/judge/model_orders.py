"""Model orders: how a model comes beside the one in force, takes over from it, and goes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from consumers.judge.models import ModelMonitor
from consumers.wire.artefact_form import ModelAbsent
from monitor.judging.comparison import Comparison
from monitor.quality.model_acts import ModelOrder

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumers.judge.models import JudgingModel
    from consumers.judge.state import JudgeState
    from monitor.judging.statements import Statement
    from monitor.quality.model_acts import ModelAct

    JudgingModelOf = Callable[[str], JudgingModel]
    """Returns a model by its hash, or raises `ModelAbsent`."""

logger = logging.getLogger(__name__)


class Unwilling(Exception):  # noqa: N818 - what the judge is, in a word of people
    """An order that is not carried out; the message says why."""


def carry_out(
    bench: JudgeState, act: ModelAct, standard_of: JudgingModelOf, least_s: int
) -> tuple[Statement, ...]:
    """Change the models as ordered, between two data-seconds; return what that changes.

    Parameters
    ----------
    least_s
        Data-seconds that a shadow must have seen without a gap before it takes over.

    Raises
    ------
    Unwilling
        If it cannot be done; nothing is changed then.
    """
    if act.order is ModelOrder.ANNOUNCE:
        return _announce(bench, act.model, standard_of)
    if act.model == bench.primary.model.hash:
        raise Unwilling("it is the model in force")
    if bench.shadow is None or act.model != bench.shadow.model.hash:
        raise Unwilling("it is not in shadow: announce it first")
    return _switch(bench, least_s) if act.order is ModelOrder.SWITCH else _retire(bench)


def _announce(bench: JudgeState, model: str, standard_of: JudgingModelOf) -> tuple[()]:
    if model == bench.primary.model.hash:
        raise Unwilling("it is the model in force")
    if bench.shadow is not None:
        already = bench.shadow.model.hash
        known = "it" if already == model else f"model {already[:12]}"
        raise Unwilling(f"{known} is in shadow already" + _mend(already, model))
    try:
        shadow = ModelMonitor.new(standard_of(model))
    except ModelAbsent as absent:
        raise Unwilling(str(absent)) from None
    if shadow.model.misfits:
        raise Unwilling(f"it does not fit: {'; '.join(shadow.model.misfits)}")
    shadow.monitor.begin_beside(bench.monitor)
    bench.shadow, bench.comparison = shadow, Comparison()
    return ()


def _mend(already: str, model: str) -> str:
    return "" if already == model else ": retire that first"


def _switch(bench: JudgeState, least_s: int) -> tuple[Statement, ...]:
    assert bench.shadow is not None  # noqa: S101 - asked by the caller
    reason = bench.comparison.not_ready(least_s) or _under_way(bench)
    if reason:
        raise Unwilling(reason)
    said = bench.shadow.monitor.succeed(bench.monitor)
    bench.primary, bench.shadow = bench.shadow, bench.primary
    bench.comparison.turn()
    return said


def _under_way(bench: JudgeState) -> str:
    """Return whether a second that is not closed yet lacks showers by the shadow, one line."""
    assert bench.shadow is not None  # noqa: S101 - as above
    mine, its = bench.primary.model.hash, bench.shadow.model.hash
    for found in bench.seconds.windows.values():
        if mine in found and (its not in found or found[its].n != found[mine].n):
            return "showers that are under way were not scored by it: again in a moment"
    return ""


def _retire(bench: JudgeState) -> tuple[()]:
    bench.shadow, bench.comparison = None, Comparison()
    return ()
