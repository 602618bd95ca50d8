"""Revival: a judge's state out of the newest snapshot that can be taken up."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from consumers.exactly_once.fence import Fence, Tail
from consumers.exactly_once.seconds import Seconds
from consumers.exactly_once.snapshots import NOTHING, Manifest, Snapshots
from consumers.judge import state_form
from consumers.judge.deputy import mask
from consumers.judge.models import ModelMonitor
from consumers.judge.state import JudgeState
from consumers.judge.state_form import StateError
from consumers.wire import control, topics
from consumers.wire.artefact_form import ModelAbsent
from consumers.wire.record import Unavailable
from monitor.judging.comparison import Comparison
from monitor.quality.acknowledgements import NOTHING_MASKED

if TYPE_CHECKING:
    from consumers.judge.model_orders import JudgingModelOf
    from consumers.judge.settings import JudgeSettings
    from consumers.wire.letters import Letters
    from consumers.wire.record import Log

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Revival:
    """Finds what a judge begins with."""

    judging_model_of: JudgingModelOf
    log: Log
    snapshots: Snapshots
    letters: Letters
    settings: JudgeSettings

    def revived(self) -> tuple[JudgeState, Manifest]:
        """Return a state out of the newest snapshot that can be read, with its manifest."""
        found = self.snapshots.found()
        alike = [m for m in found if m.fingerprint == self.settings.fingerprint]
        for manifest in alike:
            state = self._anew(manifest.models)
            if self._restore(state, manifest):
                return state, manifest
        if found and not alike:
            logger.warning("the last snapshot is of another kind: judging from anew")
            # What was counted stays counted; only its judgement is of no use here.
            state = self._anew(found[0].models)
            state.totals.update(found[0].totals)
            return state, found[0]
        first = found[0].models[0] if found else ""
        turn = found[0].turn if found else NOTHING.turn
        return self._anew((first, first, "")), replace(NOTHING, turn=turn)

    def deputy(self, state: JudgeState, manifest: Manifest, at: int) -> JudgeState:
        """Return a state that begins at an offset of the windows topic, with what another knows."""
        copy = self._anew(state.models)
        if manifest.chunks:
            state_form.restore(copy, state_form.arrays_of(state), manifest)
        else:
            said = control.newest(self.log.read_all(topics.MODELS))
            mask(copy, NOTHING_MASKED if said is None else said.masked)
        copy.seconds = Seconds(latency_s=self.settings.latency_s)
        copy.fence, copy.at, copy.tail = Fence(since=at), at, Tail()
        return copy

    def _anew(self, models: tuple[str, str, str]) -> JudgeState:
        """Return a state that has seen nothing, with these models as far as they can be had."""
        first, primary, shadow = models
        if not primary:
            said = control.newest(self.log.read_all(topics.MODELS), self.letters)
            first = primary = self.settings.model if said is None else said.first
        try:
            state = JudgeState(ModelMonitor.new(self.judging_model_of(primary)), first)
        except ModelAbsent as absent:
            # By no other: workers score by it, and what another judges is nobody's verdict.
            raise Unavailable(f"{absent}; judging waits for it") from None
        state.seconds.latency_s = self.settings.latency_s
        if shadow:
            state.shadow = self._shadow(shadow)
        return state

    def _shadow(self, model: str) -> ModelMonitor | None:
        try:
            return ModelMonitor.new(self.judging_model_of(model))
        except ModelAbsent as absent:
            logger.error("%s", absent)  # noqa: TRY400 - no fault of ours, and no trace to show
            return None

    def _restore(self, state: JudgeState, manifest: Manifest) -> bool:
        """Take a snapshot up; return whether it could be."""
        arrays = self.snapshots.state(manifest) if manifest.chunks else None
        if arrays is None:
            return False
        try:
            state_form.restore(state, arrays, manifest)
        except StateError as error:
            logger.warning("%s", error)
            return False
        if state.shadow is None:  # it cannot be had any more
            state.comparison = Comparison()
        return True
