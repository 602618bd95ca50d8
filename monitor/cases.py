"""Cases: one open alarm each, from the first crossing until its evidence has melted."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.alarms import Severity, State
from monitor.budget import shares
from monitor.rates import Test
from monitor.sequential import e_benjamini_hochberg

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from monitor.alarms import Kind
    from monitor.places import Places
    from monitor.watch import Watch

SAME_FAULT_S = 15
"""Crossings whose onsets are this close are one fault, unless they are surely of two kinds."""

MAX_APART = 4
"""Regions of a case that are asked whether each has a fault of its own."""

SURE_KIND = 1.0
"""Log10 odds over the next likely kind with which a kind is sure."""

REOPEN_S = 600
"""A place that crosses again this soon after it cleared goes on with the same alarm."""

CLEAR_AFTER_S = 45
"""An alarm clears when so many data-seconds, or as many as it took to find, speak against it."""

UPDATE_AGES_S = (5, 15, 60, 300)
"""An open alarm says how it stands at these ages; then at every last of them."""

LISTED_FALSE = 0.05
"""Share of a list of regions that may be there by chance."""

WIDE = 0.5
"""A fault in more than this share of a place's regions is one of the place."""

STANDS_OUT = 1e6
"""Evidence over the median of its neighbours with which a region is a fault of its own."""

KEPT = 50
"""Cleared cases that are kept."""


@dataclass(slots=True)
class Case:
    """One fault: what is open, where, since when."""

    id: str
    place: int
    """Row of the place that is named."""

    regions: list[int]
    """Rows of the regions that it claims, in [0, R)."""

    diffuse: bool
    """No region of the place stands out: the place's own evidence keeps it open."""

    onset: int
    """Data-second."""

    raised: int
    severity: Severity
    test: Test
    stream: int
    odds: float
    """Natural log of the likelihood ratio since the onset, the largest so far."""

    once_in: float
    """Data-seconds after which chance alone would bring as much, the largest so far."""

    version: int = 0
    peak: float = 0.0
    """Largest log likelihood ratio of the stream that found it."""

    peak_at: int = 0
    """Data-second of it: the most likely end, once it is over."""

    checked: int = 0
    """Data-second of the last look at whether it goes on."""

    checked_path: float = 0.0
    """Log likelihood ratio then."""

    said: int = 0
    """Data-second of the newest version."""

    closed: int | None = None
    children: list[str] = field(default_factory=list)

    def shared(self, other: Case) -> int:
        """Return how many regions two cases have in common."""
        return len(set(self.regions) & set(other.regions))

    def copy(self) -> Case:
        """Return a case of its own with the same values."""
        return Case.from_json(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return plain values; `from_json` is the inverse."""
        return asdict(self) | {"severity": self.severity.value, "test": self.test.value}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Case:
        """Return the case of plain values."""
        named = {"severity": Severity(values["severity"]), "test": Test(values["test"])}
        return cls(**(values | named))


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a case in a step."""

    case: Case
    state: State


class Casebook:
    """The open cases, and the rules by which evidence opens, extends, folds and clears them.

    Parameters
    ----------
    places
        The detector's places.
    page_at, warn_at
        Evidence that pages and warns at each place, data-seconds, shape (P,).
    kind_of
        Returns the likely kind of a case, and the log10 odds over the next likely one.
    """

    def __init__(
        self,
        places: Places,
        page_at: NDArray[np.float64],
        warn_at: NDArray[np.float64],
        kind_of: Callable[[Case], tuple[Kind, float]],
    ) -> None:
        self._places = places
        self._kind_of = kind_of
        self._shares = shares(places)
        self._page_at, self._warn_at = page_at, np.minimum(warn_at, page_at)
        self.open: list[Case] = []
        self.closed: list[Case] = []
        self.pages = 0
        """Cases that ever paged."""

    def step(self, watch: Watch, now: int, watched: int) -> list[Change]:
        """Return what the evidence of a step changes.

        Parameters
        ----------
        watch
            Holds the evidence; places are arranged anew when cases open or close.
        now
            Newest data-second.
        watched
            Data-seconds since the evidence was last started anew.
        """
        total = watch.total()
        changes: list[Change] = []
        place = self._crossing(total, watch)
        if place is not None:
            changes += self._take(place, total, watch, now, watched)
            watch.arrange(watch.masked, self.explained())
        changes += self._follow(total, watch, now)
        if any(change.state is State.CLEARED for change in changes):
            watch.arrange(watch.masked, self.explained())
        return changes

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

    def restart(self, now: int) -> None:
        """Judge open cases by what comes from now on: their evidence has been started anew."""
        for case in self.open:
            case.checked, case.checked_path = now, 0.0

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

    def share(self, case: Case) -> float:
        """Return the share of the budget of a case's place."""
        return float(self._shares[case.place])

    def claimed(self) -> NDArray[np.bool_]:
        """Return the regions that open cases claim, shape (R,)."""
        rows = np.zeros(self._places.n_regions, bool)
        for case in self.open:
            rows[case.regions] = True
        return rows

    def _crossing(self, total: NDArray[np.float64], watch: Watch) -> int | None:
        """Return the place that stands out most among those that cross and are not explained."""
        ratio = total / self._warn_at
        for place in np.argsort(-ratio).tolist():
            if ratio[place] < 1:
                return None
            if not self._held(place, total, watch):
                return int(place)
        return None

    def _held(self, place: int, total: NDArray[np.float64], watch: Watch) -> bool:
        """Return whether an open case explains what crosses at a place.

        A case of a whole place explains its regions, unless one began later and stands far out.
        """
        rows = self._places.members[place]
        for case in self.open:
            claimed = np.isin(np.arange(self._places.n_regions), case.regions)
            if (rows & ~claimed).any():
                continue
            if not case.diffuse or place < self._places.first_region:
                return True
            others = float(np.median(total[self._places.first_region :][claimed]))
            later = watch.leading(place)[2] > case.raised
            if not (later and total[place] > STANDS_OUT * others):
                return True
        return False

    def _take(
        self, place: int, total: NDArray[np.float64], watch: Watch, now: int, watched: int
    ) -> list[Change]:
        fresh = self._fresh(place, self._suspects(place, total, watched), total, watch, now)
        fresh = self._first_of_several(fresh, total, watch, now)
        same = [
            case
            for case in self.open
            if abs(case.onset - fresh.onset) <= SAME_FAULT_S
            and case.test is not Test.SILENT
            and not self._apart(case, fresh)
        ]
        if same:
            return self._fold(same, fresh, now)
        return [self._open(fresh, now)]

    def _fresh(
        self,
        place: int,
        suspects: NDArray[np.bool_],
        total: NDArray[np.float64],
        watch: Watch,
        now: int,
    ) -> Case:
        """Return the case of a place that crosses, where these regions stand out."""
        named, regions, diffuse = self._locate(place, suspects)
        test, stream, onset, odds = watch.leading(place)
        once_in = float(total[place] * self._shares[place])
        return Case(
            id=f"{self._places.names[named]}-{now}",
            place=named,
            regions=np.flatnonzero(regions).tolist(),
            diffuse=diffuse,
            onset=min(onset, now),
            raised=now,
            severity=self._severity(total, [place]),
            test=test,
            stream=stream,
            odds=odds,
            once_in=once_in,
            peak=odds,
            peak_at=now,
            checked=now,
            checked_path=odds,
        )

    def _first_of_several(
        self, case: Case, total: NDArray[np.float64], watch: Watch, now: int
    ) -> Case:
        """Return the case, or that of its strongest region if its regions have several faults.

        The others cross by themselves, once this one is explained.
        """
        if case.diffuse or not 1 < len(case.regions) <= MAX_APART:
            return case
        none = np.zeros(self._places.n_regions, bool)
        first = self._places.first_region
        rows = sorted(case.regions, key=lambda row: -float(total[first + row]))
        parts = [self._fresh(first + row, none, total, watch, now) for row in rows]
        return parts[0] if any(self._apart(parts[0], other) for other in parts[1:]) else case

    def _apart(self, case: Case, fresh: Case) -> bool:
        """Return whether two cases are surely two faults: of two kinds, and in other sectors."""
        regions = self._places.detector.regions
        sectors = [{regions[row].sector for row in c.regions} for c in (case, fresh)]
        if case.diffuse or fresh.diffuse or sectors[0] & sectors[1]:
            return False
        (one, sure), (other, also) = self._kind_of(case), self._kind_of(fresh)
        return one is not other and min(sure, also) >= SURE_KIND

    def _suspects(self, place: int, total: NDArray[np.float64], watched: int) -> NDArray[np.bool_]:
        """Return the regions of a place that stand out, by e-BH, shape (R,)."""
        rows = self._places.members[place] & ~self.claimed()
        e_values = total[self._places.first_region :] / max(watched, 60)
        listed = np.zeros(len(rows), bool)
        listed[rows] = e_benjamini_hochberg(e_values[rows], LISTED_FALSE)
        return listed

    def _locate(
        self, place: int, suspects: NDArray[np.bool_]
    ) -> tuple[int, NDArray[np.bool_], bool]:
        """Return the place to name, its regions, and whether no region stands out."""
        members = self._places.members
        if place >= self._places.first_region:
            return place, members[place], False
        if not suspects.any():
            return place, members[place], True
        named = self._places.smallest(suspects)
        if suspects[members[named]].mean() > WIDE and suspects.sum() > 1:
            return named, members[named], True
        return named, suspects, False

    def _open(self, case: Case, now: int) -> Change:
        before = next(
            (
                old
                for old in self.closed
                if old.place == case.place
                and old.closed is not None
                and case.onset - old.closed <= REOPEN_S
            ),
            None,
        )
        if before is not None:  # the same trouble again: one alarm, not a flicker
            self.closed.remove(before)
            case.id, case.version, case.children = before.id, before.version, before.children
            case.onset, case.raised = before.onset, before.raised
        else:
            self.pages += case.severity is Severity.PAGE
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
        rows = np.zeros(self._places.n_regions, bool)
        for case in (*same, fresh):
            rows[case.regions] = True
        named = self._places.smallest(rows)
        wide = bool(rows[self._places.members[named]].mean() > WIDE and rows.sum() > 1)
        first.place, first.diffuse = named, wide
        first.regions = np.flatnonzero(self._places.members[named] if wide else rows).tolist()
        self._upgrade(first, fresh.severity)
        if fresh.odds > first.odds:
            first.test, first.stream, first.odds = fresh.test, fresh.stream, fresh.odds
            first.peak, first.checked, first.checked_path = fresh.odds, now, 0.0
        first.once_in = max(first.once_in, fresh.once_in)
        return [*changes, self._say(first, State.UPDATED, now)]

    def _follow(self, total: NDArray[np.float64], watch: Watch, now: int) -> list[Change]:
        """Return updates of open cases, and clear those that are over."""
        changes = []
        for case in list(self.open):
            rows = self._rows(case)
            once_in = float((total[rows] * self._shares[rows]).max())
            case.once_in = max(case.once_in, once_in)
            best = max(rows, key=lambda row: float(total[row]))
            case.odds = max(case.odds, watch.leading(best)[3])
            if self._severity(total, rows) is not case.severity is Severity.WARNING:
                self._upgrade(case, Severity.PAGE)
                changes.append(self._say(case, State.UPDATED, now))
            elif self._over(case, watch, now):
                changes.append(self.close(case, now))
                watch.forget(self._inside(case))
            elif _due(case, now):
                changes.append(self._say(case, State.UPDATED, now))
        return changes

    def _rows(self, case: Case) -> list[int]:
        """Return the places whose evidence is the case's."""
        return (
            [case.place] if case.diffuse else [self._places.first_region + r for r in case.regions]
        )

    def _inside(self, case: Case) -> NDArray[np.bool_]:
        """Return the places that a case claims wholly, shape (P,)."""
        claimed = np.isin(np.arange(self._places.n_regions), case.regions)
        return np.asarray(~(self._places.members & ~claimed).any(1))

    def _over(self, case: Case, watch: Watch, now: int) -> bool:
        """Return whether the last stretch speaks against a case.

        The likelihood ratio of the stream that found it, over as long as it took to find: what is
        still there goes on to add evidence at the same pace.
        """
        path = float(watch.path(case.test, case.stream)[self._rows(case)].sum())
        if path > case.peak:
            case.peak, case.peak_at = path, now
        if now - case.checked < max(CLEAR_AFTER_S, case.raised - case.onset):
            return False
        over = path <= max(case.checked_path, 0.0)
        case.checked, case.checked_path = now, path
        return over

    def close(self, case: Case, now: int) -> Change:
        """Clear a case by hand: what it was about is masked."""
        self.open.remove(case)
        case.closed = now
        self.closed = [case, *self.closed][:KEPT]
        return self._say(case, State.CLEARED, now)

    def _severity(self, total: NDArray[np.float64], rows: list[int]) -> Severity:
        pages = bool((total[rows] >= self._page_at[rows]).any())
        return Severity.PAGE if pages else Severity.WARNING

    def _upgrade(self, case: Case, severity: Severity) -> None:
        if severity is Severity.PAGE and case.severity is not Severity.PAGE:
            case.severity = severity
            self.pages += 1

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
