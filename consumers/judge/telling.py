"""Telling: what a judge says to workers: models in force, masks, and ranges that do not count."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from consumers.wire import control, topics
from consumers.wire.control import Control, Notice
from consumers.wire.ranges import PersonSaid, encode_said
from monitor.quality import records

if TYPE_CHECKING:
    from consumers.judge.relay import Relay
    from consumers.judge.state import JudgeState
    from consumers.wire.ranges import Range, Stream
    from consumers.wire.record import Sink


@dataclass(slots=True)
class Telling:
    """Says each thing once, and again where it may have been lost."""

    sink: Sink
    shadow_s: int
    """Data-seconds that a model must have seen in shadow before it takes over."""

    _told: tuple[object, ...] | None = None
    """Models and masks that the workers were told of."""

    _noticed: dict[Stream, int] = field(default_factory=dict)
    """Newest token of each partition that its worker was told does not count."""

    def models(self, state: JudgeState, *, again: bool = False) -> tuple[str, dict[str, Any]]:
        """Tell which models are in force, where that is news; return the shadow and its report."""
        first, primary, shadow = state.models
        now = (first, primary, shadow, state.masked)
        report = state.comparison.report(self.shadow_s) if shadow else {}
        if again or now != self._told:
            self._told = now
            control.publish(self.sink, Control(state.at, *now, comparison=report))
        return shadow, report

    def refused(self, state: JudgeState, entry: Range, reason: str) -> None:
        """Tell the worker of ranges that do not count, once for each token."""
        if self._noticed.get(entry.stream) == entry.token:
            return
        self._noticed[entry.stream] = entry.token
        holder = state.fence.holders.get(entry.stream, "")
        other = "" if holder == entry.worker else holder
        control.warn(self.sink, Notice(entry.stream, entry.token, reason, other))

    def pass_on(self, relay: Relay, taken: int, now: float) -> None:
        """Put what is said of runs among the windows.

        Parameters
        ----------
        taken
            Offset of the runs topic up to which the state has taken it in.
        now
            By a clock that only goes on, s.
        """
        for act in relay.due(taken, now):
            value = encode_said(PersonSaid("record", records.to_json(act)))
            self.sink.append(topics.WINDOWS, value, key=topics.RUNS, partition=0)
