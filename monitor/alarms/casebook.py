"""Casebook: the open ones and those of late, and what becomes of them as evidence comes in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms.case import Case
from monitor.alarms.cases import CLEAR_AFTER_S, Cases, Change, due
from monitor.quality.alarms import Severity, State
from monitor.sequential.budget import shares

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from monitor.alarms.crossings import Crossings, Moment
    from monitor.detector.places import Places
    from monitor.sequential.watch import Watch


class Casebook(Cases[Case]):
    """The open cases, and the rules by which evidence opens, extends, folds and clears them.

    Parameters
    ----------
    places
        The detector's places.
    crossings
        Say which place has crossed, and what case that makes.
    """

    def __init__(self, places: Places, crossings: Crossings) -> None:
        super().__init__(Case)
        self._places, self._crossings = places, crossings
        self._shares = shares(places)

    def take(self, at: Moment) -> list[Change[Case]]:
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

    def succeed(self, former: Casebook, now: int) -> list[Change[Case]]:
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
                changes.append(self.say(case, State.UPDATED, now))
                continue
            self.closed = [old for old in self.closed if old.id != case.id]
            self.pages += case.severity is Severity.PAGE and case.id not in known
            case.version = max(case.version, known.get(case.id, 0))
            changes.append(self.say(case, State.RAISED, now))
        for ended in left:
            case = ended.copy()
            self.keep(case, now)
            changes.append(self.say(case, State.CLEARED, now))
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
                case.heard, case.checked, case.peak = 0, [], 0.0

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
        """Return the memberships that their places must not count, shape (M,)."""
        out = np.zeros(len(self._places.region_of), bool)
        for case in self.open:
            claimed = np.zeros(self._places.n_regions, bool)
            claimed[case.regions] = True
            # Places that reach beyond the case go on without its regions; those inside keep them.
            out |= self._places.explained(claimed)
        return out

    def claimed(self) -> NDArray[np.bool_]:
        """Return the regions that open cases claim, shape (R,)."""
        rows = np.zeros(self._places.n_regions, bool)
        for case in self.open:
            rows[case.regions] = True
        return rows

    def alike(self, old: Case, case: Case) -> bool:
        """Return whether a case may be an old one that has come back: there, and of its kind."""
        return super().alike(old, case) and old.kind is case.kind

    def _open(self, case: Case, now: int) -> Change[Case]:
        case.kind = self._crossings.kind(case)
        return self.enter(case, now)

    def _fold(self, same: list[Case], fresh: Case, now: int) -> list[Change[Case]]:
        """Make one case of several with one onset."""
        first, others = same[0], same[1:]
        changes = []
        for case in others:
            self.open.remove(case)
            case.closed = now
            first.children += [case.id, *case.children]
            changes.append(self.say(case, State.CLEARED, now))
        wide = max(len(case.regions) for case in same)
        rows = np.zeros(self._places.n_regions, bool)
        for case in (*same, fresh):
            rows[case.regions] = True
        first.place, regions, first.diffuse = self._crossings.extent(rows)
        first.regions = np.flatnonzero(regions).tolist()
        self.upgrade(first, fresh.severity)
        if fresh.odds > first.odds or len(fresh.regions) > wide:  # it is what goes on everywhere
            first.test, first.stream, first.odds = fresh.test, fresh.stream, fresh.odds
            first.peak, first.heard, first.checked = fresh.odds, 0, []
        first.once_in = max(first.once_in, fresh.once_in)
        return [*changes, self.say(first, State.UPDATED, now)]

    def follow(self, at: Moment) -> Iterator[Change[Case]]:
        """Yield updates of open cases, and of those that are over one by one.

        The evidence of what a cleared case claims is forgotten before the next is looked at.
        """
        watch, total, now = at.watch, at.total, at.now
        for case in list(self.open):
            if due(case, now):
                self._leave(case, self._crossings.astray(case, at), at)
            rows = self._rows(case)
            once_in = float((total[rows] * self._shares[rows]).max())
            case.once_in = max(case.once_in, once_in)
            best = max(rows, key=lambda row: float(total[row]))
            case.odds = max(case.odds, watch.evidence.leading(best)[3])
            if self._crossings.severity(total, rows) is not case.severity is Severity.WARNING:
                self.upgrade(case, Severity.PAGE)
                yield self.say(case, State.UPDATED, now)
            elif self._over(case, watch, now):
                yield self.close(case, now)
                self.restart(self.inside(case))  # those inside go on by evidence of their own
            elif due(case, now):
                yield self.say(case, State.UPDATED, now)

    def _leave(self, case: Case, astray: list[int], at: Moment) -> None:
        """Let go of regions that have a fault of their own: they cross by themselves."""
        if not astray:
            return
        rest = self._crossings.without(case, astray, at)
        case.place, case.regions, case.diffuse = rest.place, rest.regions, rest.diffuse
        case.test, case.stream, case.onset = rest.test, rest.stream, rest.onset
        case.odds, case.peak, case.heard, case.checked = rest.odds, rest.odds, 0, []
        case.kind = self._crossings.kind(case)

    def _rows(self, case: Case) -> list[int]:
        """Return the places whose evidence is the case's."""
        return (
            [case.place] if case.diffuse else [self._places.first_region + r for r in case.regions]
        )

    def inside(self, case: Case) -> NDArray[np.bool_]:
        """Return the places that a case claims wholly, shape (P,)."""
        claimed = np.zeros(self._places.n_regions, bool)
        claimed[case.regions] = True
        return self._places.inside(claimed)

    def _over(self, case: Case, watch: Watch, now: int) -> bool:
        """Return whether the last stretch speaks against a case.

        The likelihood ratio of the likeliest stream of the test that found it, over as long as it
        took to find: what is still there goes on to add evidence at the same pace. Where there are
        no data, or nobody knows whether there are, nothing speaks against it.
        """
        rows = self._rows(case)
        paths = watch.evidence.paths_alike(case.test, case.stream, rows)
        case.hear(paths, now)
        case.heard += bool(watch.heard(case.test)[rows].any())
        if case.heard < max(CLEAR_AFTER_S, case.raised - case.onset):
            return False
        case.heard = 0
        return not case.goes_on(paths)
