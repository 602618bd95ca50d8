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
    state: JudgeState, act: ModelAct, judging_model_of: JudgingModelOf, least_s: int
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
        return _announce(state, act.model, judging_model_of)
    if act.model == state.primary.model.hash:
        raise Unwilling("it is the model in force")
    if state.shadow is None or act.model != state.shadow.model.hash:
        raise Unwilling("it is not in shadow: announce it first")
    return _switch(state, least_s) if act.order is ModelOrder.SWITCH else _retire(state)


def _announce(state: JudgeState, model: str, judging_model_of: JudgingModelOf) -> tuple[()]:
    if model == state.primary.model.hash:
        raise Unwilling("it is the model in force")
    if state.shadow is not None:
        already = state.shadow.model.hash
        known = "it" if already == model else f"model {already[:12]}"
        raise Unwilling(f"{known} is in shadow already" + _mend(already, model))
    try:
        shadow = ModelMonitor.new(judging_model_of(model))
    except ModelAbsent as absent:
        raise Unwilling(str(absent)) from None
    if shadow.model.misfits:
        raise Unwilling(f"it does not fit: {'; '.join(shadow.model.misfits)}")
    shadow.monitor.begin_beside(state.monitor)
    state.shadow, state.comparison = shadow, Comparison()
    return ()


def _mend(already: str, model: str) -> str:
    return "" if already == model else ": retire that first"


def _switch(state: JudgeState, least_s: int) -> tuple[Statement, ...]:
    assert state.shadow is not None  # noqa: S101 - asked by the caller
    reason = state.comparison.not_ready(least_s) or _under_way(state)
    if reason:
        raise Unwilling(reason)
    said = state.shadow.monitor.succeed(state.monitor)
    state.primary, state.shadow = state.shadow, state.primary
    state.comparison.turn()
    return said


def _under_way(state: JudgeState) -> str:
    """Return whether a second that is not closed yet lacks showers by the shadow, one line."""
    assert state.shadow is not None  # noqa: S101 - as above
    mine, its = state.primary.model.hash, state.shadow.model.hash
    for found in state.seconds.windows.values():
        if mine in found and (its not in found or found[its].n != found[mine].n):
            return "showers that are under way were not scored by it: again in a moment"
    return ""


def _retire(state: JudgeState) -> tuple[()]:
    state.shadow, state.comparison = None, Comparison()
    return ()
