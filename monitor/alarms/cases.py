"""Cases: the open ones and those of late, and what is the same for every kind of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from monitor.alarms.any_case import AnyCase
from monitor.quality.alarms import Severity, State

REOPEN_S = 600
"""A place that crosses again this soon after it cleared, with the same kind of fault, goes on with
the same alarm: the same id, another span of time."""

CLEAR_AFTER_S = 45
"""An alarm clears when so many data-seconds, or as many as it took to find, speak against it."""

UPDATE_AGES_S = (5, 15, 60, 300)
"""An open alarm says how it stands at these ages; then at every last of them."""

KEPT = 50
"""Cleared cases that are kept."""


C = TypeVar("C", bound=AnyCase)


@dataclass(frozen=True, slots=True)
class Change(Generic[C]):
    """What became of a case in a step."""

    case: C
    state: State


class Cases(Generic[C]):
    """The open cases and those of late.

    Parameters
    ----------
    kind
        Of the cases.
    """

    def __init__(self, kind: type[C]) -> None:
        self._kind = kind
        self.open: list[C] = []
        self.closed: list[C] = []
        self.pages = 0
        """Cases that ever paged."""

    def alike(self, old: C, case: C) -> bool:
        """Return whether a case may be an old one that has come back, as to what it is about."""
        return old.place == case.place

    def enter(self, case: C, now: int) -> Change[C]:
        """Take up a case, under the name that it had if it has come back."""
        before = next(
            (
                old
                for old in self.closed
                if old.closed is not None
                and case.onset - old.closed <= REOPEN_S
                and self.alike(old, case)
            ),
            None,
        )
        if before is not None:  # the same trouble again: one alarm, not a flicker
            self.closed.remove(before)
            case.id, case.version, case.children = before.id, before.version, before.children
            case.paged = before.paged
        if case.severity is Severity.PAGE:
            self.count(case)
        self.open.append(case)
        return self.say(case, State.RAISED, now)

    def close(self, case: C, now: int) -> Change[C]:
        """Clear a case."""
        self.open.remove(case)
        self.keep(case, now)
        return self.say(case, State.CLEARED, now)

    def keep(self, case: C, now: int) -> None:
        """Remember a case that is over."""
        case.closed = now
        self.closed = [case, *self.closed][:KEPT]

    def upgrade(self, case: C, severity: Severity) -> None:
        """Make a case a page, if that is what it has become."""
        if severity is Severity.PAGE and case.severity is not Severity.PAGE:
            case.severity = severity
            self.count(case)

    def count(self, case: C) -> None:
        """Count a page, once for each case however often it comes back."""
        self.pages += not case.paged
        case.paged = True

    def say(self, case: C, state: State, now: int) -> Change[C]:
        """Return the next version of a case."""
        case.version += 1
        case.said = now
        return Change(case, state)

    def state(self) -> dict[str, Any]:
        """Return all that changes, as JSON values."""
        return {
            "open": [case.to_json() for case in self.open],
            "closed": [case.to_json() for case in self.closed],
            "pages": self.pages,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned."""
        self.open = [self._kind.from_json(values) for values in state["open"]]
        self.closed = [self._kind.from_json(values) for values in state["closed"]]
        self.pages = int(state["pages"])


def due(case: AnyCase, now: int) -> bool:
    """Return whether an open case should say again how it stands."""
    ages = [age for age in UPDATE_AGES_S if case.raised + age > case.said]
    last = UPDATE_AGES_S[-1]
    return now >= (case.raised + ages[0] if ages else case.said + last)
