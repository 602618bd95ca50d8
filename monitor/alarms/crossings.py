"""Crossings: which place has crossed, and what fault that is a sign of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms.case import Case
from monitor.alarms.likeness import unlike
from monitor.quality.alarms import Severity
from monitor.sequential.bank import e_benjamini_hochberg
from monitor.sequential.budget import shares
from monitor.sequential.evidence import TRAFFIC

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from monitor.alarms.symptoms import Symptoms
    from monitor.detector.places import Places
    from monitor.quality.alarms import Kind
    from monitor.sequential.rates import Test
    from monitor.sequential.watch import Watch

SAME_FAULT_S = 15
"""Crossings whose onsets are this close are one fault, unless they are surely two faults."""

MAX_APART = 4
"""Regions of a case that are asked whether each has a fault of its own."""

SURE_KIND = 1.0
"""Log10 odds over the next likely kind with which a kind is sure."""

LISTED_FALSE = 0.05
"""Share of a list of regions, or of cells, that may be there by chance."""

ALIKE = 0.25
"""Share of the evidence of the regions that are listed with which another has the fault too."""

LEAST_WATCHED_S = 60
"""A run that began less long ago is taken to be this old."""


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """What is known when a step has been taken."""

    watch: Watch
    total: NDArray[np.float64]
    """Evidence against each place, data-seconds, shape (P,)."""

    now: int
    """Newest data-second."""

    watched: int
    """Data-seconds since the evidence was last started anew."""


class Crossings:
    """The rules by which evidence becomes a case.

    Parameters
    ----------
    places
        The detector's places.
    page_at, warn_at
        Evidence that pages and warns at each place, data-seconds, shape (P,).
    symptoms_of
        Returns what the regions of a case have shown since its onset.
    kind_of
        Returns the likely kind of what is shown, and the log10 odds over the next likely one.
    """

    def __init__(
        self,
        places: Places,
        page_at: NDArray[np.float64],
        warn_at: NDArray[np.float64],
        symptoms_of: Callable[[Case], Symptoms],
        kind_of: Callable[[Symptoms], tuple[Kind, float]],
    ) -> None:
        self._places, self._symptoms_of, self._kind_of = places, symptoms_of, kind_of
        self._page_at, self._warn_at = page_at, np.minimum(warn_at, page_at)
        self._shares = shares(places)

    def crossing(self, at: Moment, open_: Sequence[Case]) -> int | None:
        """Return the place that stands out most among those that cross and are not explained."""
        ratio = at.total / self._warn_at
        if not (ratio >= 1).any():
            return None
        order = np.argsort(-ratio)
        crossing = order[(ratio >= 1)[order] & ~self._held(at, open_)[order]]
        return int(crossing[0]) if len(crossing) else None

    def _held(self, at: Moment, open_: Sequence[Case]) -> NDArray[np.bool_]:
        """Return the places at which an open case explains what crosses, shape (P,).

        Inside of a case of a whole place, what is watched is what the case does not explain.
        """
        held = np.zeros(self._places.n, bool)
        watched_inside = at.watch.evidence.places_inside()
        for case in open_:
            claimed = np.zeros(self._places.n_regions, bool)
            claimed[case.regions] = True
            inside = self._places.inside(claimed)
            if case.diffuse:
                inside &= (self._places.sizes == claimed.sum()) | ~watched_inside
            held |= inside
        return held

    def lacking(self, at: Moment, open_: Sequence[Case]) -> Case | None:
        """Return the case of a region that lacks showers, or has too many, beside another fault.

        A case of its cells explains neither; all the evidence of the region is taken up by it.
        """
        first, told = self._places.first_region, at.watch.evidence.traffic_total()
        ratio = (told / self._warn_at)[first:]
        for case in open_:
            if case.test in TRAFFIC:
                ratio[case.regions] = 0
        row = int(np.argmax(ratio))
        if ratio[row] < 1:
            return None
        place = first + row
        said = at.watch.evidence.leading(place, TRAFFIC)
        none = np.zeros(self._places.n_regions, bool)
        return self._case(place, none, replace(at, total=told), said)

    def case(self, place: int, at: Moment, claimed: NDArray[np.bool_]) -> Case:
        """Return the case of a place that crosses.

        Parameters
        ----------
        claimed
            Regions that open cases claim, shape (R,).
        """
        suspects = self._suspects(place, at, claimed)
        test, stream, onset, _ = at.watch.evidence.leading(place)
        if test in TRAFFIC:
            suspects |= self._together(place, stream, onset, at) & ~claimed
        elif suspects.any():
            suspects |= (
                self._alike(place, suspects, at.watch.evidence.path(test, stream)) & ~claimed
            )
        found = self._case(place, suspects, at)
        return self._first_of_several(found, at)

    def _alike(
        self, place: int, suspects: NDArray[np.bool_], path: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Return the regions of a place that show what those that stand out do, shape (R,)."""
        of_region = path[self._places.first_region :]
        usual = float(np.median(of_region[suspects]))
        rows: NDArray[np.bool_] = self._places.member(place) & (of_region > ALIKE * usual)
        return rows if usual > 0 else suspects

    def _together(self, place: int, stream: int, onset: int, at: Moment) -> NDArray[np.bool_]:
        """Return the regions of which the same is said since the same time, shape (R,)."""
        first, test = self._places.first_region, at.watch.evidence.leading(place)[0]
        path = at.watch.evidence.path(test, stream)[first:]
        near = np.abs(at.watch.evidence.onsets(test, stream)[first:] - onset) <= SAME_FAULT_S
        most = float(path[self._places.member(place)].max())
        rows: NDArray[np.bool_] = near & (path > ALIKE * most)
        return rows

    def same(self, case: Case, fresh: Case) -> bool:
        """Return whether a fresh case is an open one that has spread."""
        if TRAFFIC & {case.test, fresh.test} and case.test is not fresh.test:
            return False
        near = abs(case.onset - fresh.onset) <= SAME_FAULT_S
        return near and not self._apart(case, fresh)

    def kind(self, case: Case) -> Kind:
        """Return the likely kind of a case."""
        return self._kind_of(self._symptoms_of(case))[0]

    def extent(self, rows: NDArray[np.bool_]) -> tuple[int, NDArray[np.bool_], bool]:
        """Return the place to name for some regions, its regions, and whether it is all of them."""
        named = self._places.smallest(rows)
        whole = bool(rows[self._places.member(named)].all() and rows.sum() > 1)
        return named, rows, whole

    def severity(self, total: NDArray[np.float64], places: list[int]) -> Severity:
        """Return what the evidence of some places calls for."""
        pages = bool((total[places] >= self._page_at[places]).any())
        return Severity.PAGE if pages else Severity.WARNING

    def _case(
        self,
        place: int,
        suspects: NDArray[np.bool_],
        at: Moment,
        said: tuple[Test, int, int, float] | None = None,
    ) -> Case:
        """Return the case of a place that crosses, where these regions stand out.

        Parameters
        ----------
        said
            What says so: test, stream, onset and log odds; by default what says most.
        """
        said = at.watch.evidence.leading(place) if said is None else said
        named, regions, diffuse = self._locate(place, suspects)
        test, stream, onset, odds = said
        once_in = float(at.total[place] * self._shares[place])
        return Case(
            id=f"{self._places.names[named]}-{at.now}",
            place=named,
            regions=np.flatnonzero(regions).tolist(),
            diffuse=diffuse,
            onset=min(onset, at.now),
            raised=at.now,
            severity=self.severity(at.total, [place]),
            test=test,
            stream=stream,
            odds=odds,
            once_in=once_in,
            peak=odds,
            peak_at=at.now,
            heard=0,
        )

    def astray(self, case: Case, at: Moment) -> list[int]:
        """Return the regions of a case that surely have another fault than its first, rows."""
        if case.diffuse or not 1 < len(case.regions) <= MAX_APART:
            return []
        first, *others = self._parts(case, at)
        return [row for part in others if self._apart(first, part) for row in part.regions]

    def without(self, case: Case, rows: list[int], at: Moment) -> Case:
        """Return the case of those regions of a case that are not some rows."""
        left = np.zeros(self._places.n_regions, bool)
        left[[row for row in case.regions if row not in rows]] = True
        first = self._places.first_region
        strongest = max(np.flatnonzero(left).tolist(), key=lambda row: float(at.total[first + row]))
        return self._case(first + strongest, left, at)

    def _first_of_several(self, case: Case, at: Moment) -> Case:
        """Return the case, or that of the regions with its fault if others have faults of their own.

        The others cross by themselves, once this one is explained.
        """
        astray = self.astray(case, at)
        return self.without(case, astray, at) if astray else case

    def _parts(self, case: Case, at: Moment) -> list[Case]:
        """Return a case for each of its regions: that of the first, if it is open, or strongest."""
        none = np.zeros(self._places.n_regions, bool)
        first, names = self._places.first_region, self._places.names

        def order(row: int) -> tuple[bool, float]:
            return names[first + row] != case.first_place, -float(at.total[first + row])

        rows = sorted(case.regions, key=order)
        return [self._case(first + row, none, at) for row in rows]

    def _apart(self, case: Case, fresh: Case) -> bool:
        """Return whether two cases are surely two faults.

        By what their latents show; in two sectors by their kinds too.
        """
        if case.diffuse or fresh.diffuse:
            return False
        symptoms = self._symptoms_of(case), self._symptoms_of(fresh)
        if not TRAFFIC & {case.test, fresh.test} and unlike(*symptoms):
            return True
        regions = self._places.detector.regions
        sectors = [{regions[row].sector for row in c.regions} for c in (case, fresh)]
        if sectors[0] & sectors[1]:
            return False
        (one, sure), (other, also) = map(self._kind_of, symptoms)
        return one is not other and min(sure, also) >= SURE_KIND

    def _suspects(self, place: int, at: Moment, claimed: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the regions of a place that stand out, by e-BH, shape (R,)."""
        rows = self._places.member(place) & ~claimed
        e_values = at.total[self._places.first_region :] / max(at.watched, LEAST_WATCHED_S)
        listed = np.zeros(len(rows), bool)
        listed[rows] = e_benjamini_hochberg(e_values[rows], LISTED_FALSE)
        return listed

    def _locate(
        self, place: int, suspects: NDArray[np.bool_]
    ) -> tuple[int, NDArray[np.bool_], bool]:
        """Return the place to name, its regions, and whether no region stands out."""
        members = self._places.member(place)
        if place < self._places.first_region:
            return self.extent(suspects) if suspects.any() else (place, members, True)
        if (suspects & ~members).any():  # others failed with it
            return self.extent(suspects | members)
        return place, members, False
