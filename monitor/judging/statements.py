"""Statements: what a monitor says, and the newest version of every alarm that is remembered."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from monitor.quality import records
from monitor.quality.alarms import Alarm, Severity, State
from monitor.quality.quality import Quality
from monitor.quality.reference_acts import ReferenceAct
from monitor.quality.verdicts import Verdict
from monitor.verdicts.claims import OPEN, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.alarms.case import Case
    from monitor.alarms.casebook import Casebook
    from monitor.alarms.cases import Change
    from monitor.alarms.reports import Reporter
    from monitor.judging.crew import Crew
    from monitor.windows.clock import Clock

Statement = Alarm | Verdict | ReferenceAct
"""What a monitor has to say."""

CLEARED_SHOWN = 10
"""Cleared alarms that people are shown."""

OTHER_MODEL = (
    "Cleared with a change of the model: the new one, which saw the same data, has no alarm."
)
"""What is said of an alarm that a new model does not have."""


class Statements:
    """Makes alarms of cases, and remembers them as long as the casebook does.

    Parameters
    ----------
    cases
        Open ones, and those of late.
    reporter
        Writes an alarm.
    clock
        The time, as it stands.
    crew
        What people have said; of alarms that nobody remembers it is forgotten.
    """

    def __init__(self, cases: Casebook, reporter: Reporter, clock: Clock, crew: Crew) -> None:
        self._cases, self._reporter, self._clock, self._crew = cases, reporter, clock, crew
        self.alarms: dict[str, Alarm] = {}

    def alarm(self, change: Change[Case], moved: float) -> Alarm:
        """Return the alarm of a change; `moved`: largest move of a median, in MADs."""
        case = change.case
        if change.state is State.CLEARED and case.id in self.alarms:
            alarm = self._cleared(case)
        else:
            alarm = self._reporter.alarm(case, change.state, moved)
            case.kind = alarm.kind
        self.alarms[case.id] = alarm
        kept = {known.id for known in (case, *self._cases.open, *self._cases.closed)}
        for gone in self.alarms.keys() - kept:
            del self.alarms[gone]
            self._crew.forget(gone)
        return alarm

    def _cleared(self, case: Case) -> Alarm:
        return replace(
            self.alarms[case.id],
            version=case.version,
            state=State.CLEARED,
            now_ns=self._clock.now_ns,
            children=tuple(case.children),
        )

    def open(self) -> tuple[Alarm, ...]:
        """Return the newest version of every open alarm."""
        return tuple(self.alarms[case.id] for case in self._cases.open)

    def cleared(self) -> tuple[Alarm, ...]:
        """Return the alarms that were cleared of late, newest first."""
        return tuple(self.alarms[case.id] for case in self._cases.closed[:CLEARED_SHOWN])

    def succeed(self, said: dict[str, Alarm], changes: Sequence[Change[Case]]) -> None:
        """Take over what another monitor, with another model, has said."""
        for change in changes:
            if change.state is State.CLEARED and change.case.id in said:
                was = said[change.case.id]
                said[was.id] = replace(was, text=f"{was.text} {OTHER_MODEL}")
        self.alarms = said

    def state(self) -> dict[str, Any]:
        """Return all that changes, as JSON values."""
        return {id_: records.to_json(alarm) for id_, alarm in self.alarms.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned."""
        alarms = {id_: records.from_json(values) for id_, values in state.items()}
        self.alarms = {id_: alarm for id_, alarm in alarms.items() if isinstance(alarm, Alarm)}


def span(case: Case, alarm: Alarm) -> Span:
    """Return from when to when a case makes its regions worse, and how much."""
    quality = Quality.BAD if case.severity is Severity.PAGE else Quality.MEDIUM
    end = OPEN if case.closed is None else max(case.peak_at, case.onset) + 1
    return Span(case.id, case.onset, end, quality, alarm.summary)
