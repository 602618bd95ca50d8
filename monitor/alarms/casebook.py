"""Casebook: the open ones and those of late, and what becomes of them as evidence comes in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.alarms.case import Case, Change
from monitor.quality.alarms import Severity, State
from monitor.sequential.budget import shares

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from monitor.alarms.crossings import Crossings, Moment
    from monitor.detector.places import Places
    from monitor.sequential.watch import Watch

REOPEN_S = 600
"""A place that crosses again this soon after it cleared, with the same kind of fault, goes on with
the same alarm: the same id, another span of time."""

CLEAR_AFTER_S = 45
"""An alarm clears when so many data-seconds, or as many as it took to find, speak against it."""

UPDATE_AGES_S = (5, 15, 60, 300)
"""An open alarm says how it stands at these ages; then at every last of them."""

KEPT = 50
"""Cleared cases that are kept."""


class Casebook:
    """The open cases, and the rules by which evidence opens, extends, folds and clears them.

    Parameters
    ----------
    places
        The detector's places.
    crossings
        Say which place has crossed, and what case that makes.
    """

    def __init__(self, places: Places, crossings: Crossings) -> None:
        self._places, self._crossings = places, crossings
        self._shares = shares(places)
        self.open: list[Case] = []
        self.closed: list[Case] = []
        self.pages = 0
        """Cases that ever paged."""

    def take(self, at: Moment) -> list[Change]:
        """Open the case that the evidence of a step makes, if it makes one, or fold it."""
        place = self._crossings.crossing(at, self.open)
        if place is not None:
            fresh = self._crossings.case(place, at, self.claimed())
        else:
            beside = self._crossings.lacking(at, self.open)
            if beside is None:
                return []
            fresh = beside
        same = [case for case in self.open if self._crossings.same(case, fresh)]
        return self._fold(same, fresh, at.now) if same else [self._open(fresh, at.now)]

    def succeed(self, former: Casebook, now: int) -> list[Change]:
        """Take over from a casebook that has seen the same seconds by another model.

        A case that both have open goes on under the former's name and onset; what only the former
        sees is cleared; what only this one sees is raised. The former stays as it is.
        """
        left = sorted(former.open, key=lambda case: case.onset)
        known = {case.id: case.version for case in (*former.closed, *former.open)}
        self.closed = [case.copy() for case in former.closed]
        self.pages = former.pages
        changes = []
        for case in self.open:
            same = max(left, key=case.shared, default=None)
            if same is not None and case.shared(same):
                left.remove(same)
                case.id, case.onset, case.raised = same.id, same.onset, same.raised
                case.version, case.children = same.version, list(same.children)
                case.paged = same.paged
                if same.severity is Severity.PAGE:
                    case.severity = same.severity
                changes.append(self._say(case, State.UPDATED, now))
                continue
            self.closed = [old for old in self.closed if old.id != case.id]
            self.pages += case.severity is Severity.PAGE and case.id not in known
            case.version = max(case.version, known.get(case.id, 0))
            changes.append(self._say(case, State.RAISED, now))
        for ended in left:
            case = ended.copy()
            case.closed = now
            self.closed = [case, *self.closed][:KEPT]
            changes.append(self._say(case, State.CLEARED, now))
        return changes

    def restart(self, places: NDArray[np.bool_] | None = None) -> None:
        """Judge open cases by what comes from now on: their evidence has been started anew.

        Parameters
        ----------
        places
            Of those whose evidence is that of one of these, shape (P,); by default of all.
        """
        for case in self.open:
            if places is None or places[self._rows(case)].any():
                case.heard, case.checked_path, case.peak = 0, 0.0, 0.0

    def known(self) -> dict[str, NDArray[np.bool_]]:
        """Return the regions of open cases of whole places, by id, shape (R,): the outermost ones."""
        found: dict[str, NDArray[np.bool_]] = {}
        every = np.arange(self._places.n_regions)
        for case in sorted(self.open, key=lambda case: -len(case.regions)):
            regions = np.isin(every, case.regions)
            if case.diffuse and not any((regions & other).any() for other in found.values()):
                found[case.id] = regions
        return found

    def struck(self) -> NDArray[np.bool_]:
        """Return the regions of open cases that are not of a whole place, shape (R,)."""
        rows = np.zeros(self._places.n_regions, bool)
        for case in self.open:
            if not case.diffuse:
                rows[case.regions] = True
        return rows

    def explained(self) -> NDArray[np.bool_]:
        """Return the regions that each place must not count, shape (P, R)."""
        members = self._places.members
        out = np.zeros_like(members)
        for case in self.open:
            claimed = np.zeros(self._places.n_regions, bool)
            claimed[case.regions] = True
            # Places that reach beyond the case go on without its regions; those inside keep them.
            beyond = (members & ~claimed).any(1) & (members & claimed).any(1)
            out[beyond] |= claimed
        return out

    def claimed(self) -> NDArray[np.bool_]:
        """Return the regions that open cases claim, shape (R,)."""
        rows = np.zeros(self._places.n_regions, bool)
        for case in self.open:
            rows[case.regions] = True
        return rows

    def _open(self, case: Case, now: int) -> Change:
        case.kind = self._crossings.kind(case)
        before = next(
            (
                old
                for old in self.closed
                if old.place == case.place
                and old.kind is case.kind
                and old.closed is not None
                and case.onset - old.closed <= REOPEN_S
            ),
            None,
        )
        if before is not None:  # the same trouble again: one alarm, not a flicker
            self.closed.remove(before)
            case.id, case.version, case.children = before.id, before.version, before.children
            case.paged = before.paged
        if case.severity is Severity.PAGE:
            self._count(case)
        self.open.append(case)
        return self._say(case, State.RAISED, now)

    def _fold(self, same: list[Case], fresh: Case, now: int) -> list[Change]:
        """Make one case of several with one onset."""
        first, others = same[0], same[1:]
        changes = []
        for case in others:
            self.open.remove(case)
            case.closed = now
            first.children += [case.id, *case.children]
            changes.append(self._say(case, State.CLEARED, now))
        wide = max(len(case.regions) for case in same)
        rows = np.zeros(self._places.n_regions, bool)
        for case in (*same, fresh):
            rows[case.regions] = True
        first.place, regions, first.diffuse = self._crossings.extent(rows)
        first.regions = np.flatnonzero(regions).tolist()
        self._upgrade(first, fresh.severity)
        if fresh.odds > first.odds or len(fresh.regions) > wide:  # it is what goes on everywhere
            first.test, first.stream, first.odds = fresh.test, fresh.stream, fresh.odds
            first.peak, first.heard, first.checked_path = fresh.odds, 0, 0.0
        first.once_in = max(first.once_in, fresh.once_in)
        return [*changes, self._say(first, State.UPDATED, now)]

    def follow(self, at: Moment) -> Iterator[Change]:
        """Yield updates of open cases, and of those that are over one by one.

        The evidence of what a cleared case claims is forgotten before the next is looked at.
        """
        watch, total, now = at.watch, at.total, at.now
        for case in list(self.open):
            rows = self._rows(case)
            once_in = float((total[rows] * self._shares[rows]).max())
            case.once_in = max(case.once_in, once_in)
            best = max(rows, key=lambda row: float(total[row]))
            case.odds = max(case.odds, watch.evidence.leading(best)[3])
            if self._crossings.severity(total, rows) is not case.severity is Severity.WARNING:
                self._upgrade(case, Severity.PAGE)
                yield self._say(case, State.UPDATED, now)
            elif self._over(case, watch, now):
                yield self.close(case, now)
                self.restart(self.inside(case))  # those inside go on by evidence of their own
            elif _due(case, now):
                yield self._say(case, State.UPDATED, now)

    def _rows(self, case: Case) -> list[int]:
        """Return the places whose evidence is the case's."""
        return (
            [case.place] if case.diffuse else [self._places.first_region + r for r in case.regions]
        )

    def inside(self, case: Case) -> NDArray[np.bool_]:
        """Return the places that a case claims wholly, shape (P,)."""
        claimed = np.isin(np.arange(self._places.n_regions), case.regions)
        return np.asarray(~(self._places.members & ~claimed).any(1))

    def _over(self, case: Case, watch: Watch, now: int) -> bool:
        """Return whether the last stretch speaks against a case.

        The likelihood ratio of the stream that found it, over as long as it took to find: what is
        still there goes on to add evidence at the same pace. Where there are no data, or nobody
        knows whether there are, nothing speaks against it.
        """
        rows = self._rows(case)
        path = float(watch.evidence.path(case.test, case.stream)[rows].sum())
        if path > case.peak:
            case.peak, case.peak_at = path, now
        case.heard += bool(watch.heard(case.test)[rows].any())
        if case.heard < max(CLEAR_AFTER_S, case.raised - case.onset):
            return False
        over = path <= max(case.checked_path, 0.0)
        case.heard, case.checked_path = 0, path
        return over

    def close(self, case: Case, now: int) -> Change:
        """Clear a case by hand: what it was about is masked."""
        self.open.remove(case)
        case.closed = now
        self.closed = [case, *self.closed][:KEPT]
        return self._say(case, State.CLEARED, now)

    def _upgrade(self, case: Case, severity: Severity) -> None:
        if severity is Severity.PAGE and case.severity is not Severity.PAGE:
            case.severity = severity
            self._count(case)

    def _count(self, case: Case) -> None:
        """Count a page, once for each case however often it comes back."""
        self.pages += not case.paged
        case.paged = True

    def _say(self, case: Case, state: State, now: int) -> Change:
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
        self.open = [Case.from_json(values) for values in state["open"]]
        self.closed = [Case.from_json(values) for values in state["closed"]]
        self.pages = int(state["pages"])


def _due(case: Case, now: int) -> bool:
    """Return whether an open case should say again how it stands."""
    ages = [age for age in UPDATE_AGES_S if case.raised + age > case.said]
    last = UPDATE_AGES_S[-1]
    return now >= (case.raised + ages[0] if ages else case.said + last)
