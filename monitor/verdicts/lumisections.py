"""Lumisections: the verdict on every region of each, as it forms and as late data amend it."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.verdicts.claims import changes
from monitor.verdicts.grounds import Grounds
from monitor.verdicts.section import Section

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from monitor.detector.places import Places
    from monitor.quality.verdicts import Verdict
    from monitor.verdicts.claims import Span
    from monitor.verdicts.grounds import Loss
    from monitor.verdicts.section import Part

KEPT = 80
"""Lumisections that late data can still amend."""

LONG_S = 600
"""A lumisection that does not end gets verdicts so often, data-seconds."""

GRACE_S = 3
"""Data-seconds around a lumisection's own in which its number is believed though another is in force:
clocks differ."""

MOST_BETWEEN = 40
"""Lumisections without a shower that are named between two with some: beyond, it is a jump."""


class Lumisections:
    """Counts of the lumisections seen last, and the verdicts on them.

    Parameters
    ----------
    places
        The detector.
    min_showers
        With fewer in a lumisection, a region's verdict is NULL.
    """

    def __init__(self, places: Places, min_showers: int, model: str, software: str) -> None:
        self._places = places
        self.grounds = Grounds(places, min_showers, model, software)
        self._sections: dict[tuple[int, int], Section] = {}

    def turn(self, run: int, lumisection: int) -> list[Verdict]:
        """Put a lumisection in force; return verdicts on all that were before."""
        return self._end(all_but=(run, lumisection))

    def go_on(self, run: int, lumisection: int) -> None:
        """Take note that more comes of a lumisection that was taken to be over."""
        section = self._sections.get((run, lumisection))
        if section is not None:
            section.open = True

    def add(
        self, part: Part, unknown: NDArray[np.bool_] | None = None, *, late: bool = False
    ) -> list[Verdict]:
        """Count windows in, and return the verdicts that they complete or amend.

        Parameters
        ----------
        unknown
            Regions of which it is not known whether they lack showers in this second, shape (R,).
        late
            Whether the lumisection is over, though nothing of it may have come before.
        """
        section = self._sections.get((part.run, part.lumisection))
        if section is None:
            section = Section.new(part.run, part.lumisection, self._places.n_regions)
            section.open = not late
            named = [] if late else self._name_between(part)
            self._sections[part.run, part.lumisection] = section
        else:
            named = []
        section.showers += part.showers
        section.exceedances += part.exceedances
        section.expected += part.expected
        section.outside += part.outside
        section.note(part.second, part.present, unknown)
        if not section.open:
            rows = np.flatnonzero(part.present).tolist()
            return named + [self.grounds.verdict(section, row) for row in rows]
        if part.second - max(section.said, section.span[0]) < LONG_S:
            return named
        section.said = part.second  # it has no end, and people wait
        return named + [self.grounds.verdict(section, row) for row in range(self._places.n_regions)]

    def _name_between(self, part: Part) -> list[Verdict]:
        """Return verdicts on the lumisections since the last of a run of which no shower came."""
        before = [
            section
            for (run, lumisection), section in self._sections.items()
            if run == part.run and lumisection < part.lumisection
        ]
        if not before:
            return []
        last = max(before, key=lambda section: section.lumisection)
        between = range(last.lumisection + 1, part.lumisection)
        if len(between) > MOST_BETWEEN:
            return []
        named: list[Verdict] = []
        nobody = np.zeros(self._places.n_regions, bool)
        for number in between:
            empty = Section.new(part.run, number, self._places.n_regions)
            empty.note(min(last.span[1], part.second), nobody)
            empty.open = False
            self._sections[part.run, number] = empty
            named += [self.grounds.verdict(empty, row) for row in range(self._places.n_regions)]
        return named

    def lose(self, loss: Loss) -> list[Verdict]:
        """Take note of records that are gone; return the verdicts that this amends."""
        self.grounds.lose(loss)
        return [
            self.grounds.verdict(section, row)
            for section in self._sections.values()
            if section.versions and section.span[0] < loss.end and loss.start < section.span[1]
            for row in range(self._places.n_regions)
        ]

    def covering(self, second: int) -> tuple[int, int] | None:
        """Return the lumisection that has a data-second, the newest first; None if none is kept."""
        for key, section in reversed(self._sections.items()):
            if section.span[0] <= second < section.span[1]:
                return key
        return None

    def reaches(self, second: int) -> bool:
        """Return whether a data-second is not older than what is kept."""
        return any(section.span[0] <= second for section in self._sections.values())

    def knows(self, run: int, lumisection: int, second: int) -> bool:
        """Return whether a data-second may be of a lumisection that has been in force."""
        section = self._sections.get((run, lumisection))
        if section is None:
            return False
        return section.span[0] - GRACE_S <= second < section.span[1] + GRACE_S

    def _end(self, all_but: tuple[int, int] | None) -> list[Verdict]:
        """Return verdicts on every lumisection that is open."""
        done = []
        for key, section in self._sections.items():
            if key == all_but:
                section.open = True
            elif section.open:
                section.open = False
                done += [
                    self.grounds.verdict(section, row) for row in range(self._places.n_regions)
                ]
        while len(self._sections) > KEPT:
            self._sections.pop(min(self._sections, key=lambda key: self._sections[key].span))
            oldest = min(section.span[0] for section in self._sections.values())
            self.grounds.claims.forget(oldest)
        return done

    def leave_out(self, shed: Iterable[tuple[int, int, int, int]]) -> list[Verdict]:
        """Count showers that were not scored: run, lumisection, region id and how many."""
        row_of = {region.id: row for row, region in enumerate(self._places.detector.regions)}
        amended = []
        for run, lumisection, region, n in shed:
            row = row_of.get(region)
            if row is None:
                continue
            self.grounds.skipped[run, lumisection, row] += n
            section = self._sections.get((run, lumisection))
            if section is not None and not section.open:
                amended.append(self.grounds.verdict(section, row))
        self.grounds.forget_skipped(KEPT * self._places.n_regions)
        return amended

    def close(self) -> list[Verdict]:
        """Return first verdicts of all that has none: the stream has ended."""
        return self._end(all_but=None)

    def claim(self, regions: Iterable[int], span: Span) -> list[Verdict]:
        """Set what an alarm claims of these rows, and return the verdicts that it amends."""
        changed: list[Verdict] = []
        for row in regions:
            before = self.grounds.claims.put(row, span)
            changed += [
                self.grounds.verdict(section, row)
                for section in self._sections.values()
                if section.versions and changes(span, before, *section.span)
            ]
        return changed

    def succeed(self, former: Lumisections) -> None:
        """Take over from what has counted the same seconds by another model.

        Versions of verdicts go on from those that were said, and so does what alarms claim. A
        lumisection that was only seen in part is taken over as the former counted it.
        """
        kept = {}
        for key, theirs in former.sections().items():
            mine = self._sections.get(key)
            whole = mine is not None and mine.seconds.keys() == theirs.seconds.keys()
            kept[key] = mine if mine is not None and whole else theirs
            kept[key].versions = theirs.versions
            kept[key].open, kept[key].said = theirs.open, theirs.said
        self._sections = kept
        self.grounds.succeed(former.grounds)

    def sections(self) -> dict[tuple[int, int], Section]:
        """Return copies of the sections."""
        return {key: deepcopy(section) for key, section in self._sections.items()}

    def state(self) -> dict[str, Any]:
        """Return all that changes, as JSON values."""
        return {
            **self.grounds.state(),
            "sections": [section.to_json() for section in self._sections.values()],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned."""
        self.grounds.restore(state)
        sections = [Section.from_json(s, self._places.n_regions) for s in state["sections"]]
        self._sections = {(s.run, s.lumisection): s for s in sections}
