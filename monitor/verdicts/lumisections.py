"""Lumisections: the verdict on every region of each, as it forms and as late data amend it."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.quality.quality import Quality
from monitor.quality.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from monitor.detector.places import Places

KEPT = 80
"""Lumisections that late data can still amend."""


@dataclass(frozen=True, slots=True)
class Span:
    """The time that an alarm claims of a region."""

    alarm: str
    start: int
    """First data-second."""

    end: int
    """Data-second at which it ended; a very late one while it is open."""

    quality: Quality
    reason: str


MOST_BETWEEN = 40
"""Lumisections without a shower that are named between two with some: beyond, it is a jump."""

KEPT_LOSSES = 64

OPEN = 2**62
"""End of a span that is still open."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Data-seconds of which records are gone: [start, end)."""

    start: int
    end: int
    words: str


@dataclass(slots=True)
class _Section:
    run: int
    lumisection: int
    showers: NDArray[np.int64]
    exceedances: NDArray[np.int64]
    expected: NDArray[np.float64]
    seconds: dict[int, NDArray[np.bool_]] = field(default_factory=dict)
    versions: dict[int, int] = field(default_factory=dict)


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
        self._min_showers = min_showers
        self._model, self._software = model, software
        self.reference = ""
        self._sections: dict[tuple[int, int], _Section] = {}
        self._spans: dict[int, list[Span]] = {}
        self._skipped: Counter[tuple[int, int, int]] = Counter()
        """Showers that were not scored, by run, lumisection and row of the region."""

        self._losses: list[Loss] = []
        self.masked: dict[int, str] = {}
        """Cause by row of the region."""

    def add(
        self,
        key: tuple[int, int, int],
        present: NDArray[np.bool_],
        showers: NDArray[np.int64],
        exceedances: NDArray[np.int64],
        expected: NDArray[np.float64],
    ) -> list[Verdict]:
        """Count a window in, and return the verdicts that it completes or amends.

        Parameters
        ----------
        key
            Run, lumisection, data-second.
        present, showers, exceedances, expected
            By region, shape (R,); exceedances at α = 1e-2.
        """
        run, lumisection, second = key
        section = self._sections.get((run, lumisection))
        completed: list[Verdict] = []
        if section is None:
            self._name_between(run, lumisection, second)
            completed = self._complete((run, lumisection))
            section = self._begin(run, lumisection)
        section.showers += showers
        section.exceedances += exceedances
        section.expected += expected
        seen = section.seconds.get(second, np.zeros(self._places.n_regions, bool))
        section.seconds[second] = seen | present
        if section.versions:  # it was judged before: this is late
            rows = np.flatnonzero(present).tolist()
            return completed + [self._verdict(section, row) for row in rows]
        return completed

    def _begin(self, run: int, lumisection: int) -> _Section:
        n = self._places.n_regions
        section = _Section(
            run, lumisection, np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n)
        )
        self._sections[run, lumisection] = section
        return section

    def _name_between(self, run: int, lumisection: int, second: int) -> None:
        """Begin the lumisections since the last of a run of which no shower came."""
        before = [s for (r, other), s in self._sections.items() if r == run and other < lumisection]
        if not before:
            return
        last = max(before, key=lambda section: section.lumisection)
        between = range(last.lumisection + 1, lumisection)
        if len(between) <= MOST_BETWEEN:
            middle = min(max(last.seconds) + 1, second)
            for number in between:
                empty = self._begin(run, number)
                empty.seconds[middle] = np.zeros(self._places.n_regions, bool)

    def lose(self, loss: Loss) -> list[Verdict]:
        """Take note of records that are gone; return the verdicts that this amends."""
        self._losses = [*self._losses, loss][-KEPT_LOSSES:]
        return [
            self._verdict(section, row)
            for section in self._sections.values()
            if section.versions and min(section.seconds) < loss.end
            if loss.start <= max(section.seconds)
            for row in range(self._places.n_regions)
        ]

    def _complete(self, key: tuple[int, int]) -> list[Verdict]:
        """Return first verdicts of every earlier lumisection that has none."""
        rows = range(self._places.n_regions)
        done = [
            self._verdict(section, row)
            for other, section in self._sections.items()
            if other < key and not section.versions
            for row in rows
        ]
        while len(self._sections) > KEPT:
            self._sections.pop(min(self._sections))
            oldest = min(min(section.seconds) for section in self._sections.values())
            self._spans = {
                row: [span for span in spans if span.end >= oldest]
                for row, spans in self._spans.items()
            }
        return done

    def leave_out(self, shed: Iterable[tuple[int, int, int, int]]) -> list[Verdict]:
        """Count showers that were not scored: run, lumisection, region id and how many."""
        row_of = {region.id: row for row, region in enumerate(self._places.detector.regions)}
        amended = []
        for run, lumisection, region, n in shed:
            row = row_of.get(region)
            if row is None:
                continue
            self._skipped[run, lumisection, row] += n
            section = self._sections.get((run, lumisection))
            if section is not None and section.versions:
                amended.append(self._verdict(section, row))
        for key in sorted(self._skipped)[: -KEPT * self._places.n_regions]:
            del self._skipped[key]
        return amended

    def close(self) -> list[Verdict]:
        """Return first verdicts of all that has none: the stream has ended."""
        return self._complete((2**63, 0))

    def claim(self, regions: Iterable[int], span: Span) -> list[Verdict]:
        """Set what an alarm claims of these rows, and return the verdicts that it amends."""
        changed: list[Verdict] = []
        for row in regions:
            spans = [old for old in self._spans.get(row, []) if old.alarm != span.alarm]
            before = [old for old in self._spans.get(row, []) if old.alarm == span.alarm]
            self._spans[row] = [*spans, span]
            changed += [
                self._verdict(section, row)
                for section in self._sections.values()
                if section.versions and _touches(section, [*before, span], before)
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
        self._sections = kept
        self._skipped = former.skipped()
        self._spans = former.spans()
        self._losses = former.losses()

    def sections(self) -> dict[tuple[int, int], _Section]:
        """Return copies of the sections."""
        return {key: deepcopy(section) for key, section in self._sections.items()}

    def skipped(self) -> Counter[tuple[int, int, int]]:
        """Return the showers that were not scored, by run, lumisection and row of the region."""
        return Counter(self._skipped)

    def losses(self) -> list[Loss]:
        """Return the last records that are gone."""
        return list(self._losses)

    def spans(self) -> dict[int, list[Span]]:
        """Return what alarms claim, by row of the region."""
        return {row: list(spans) for row, spans in self._spans.items()}

    def current(self, row: int, second: int) -> tuple[Quality, str]:
        """Return the quality of a region now, for the board."""
        open_spans = [s for s in self._spans.get(row, []) if s.start <= second < s.end]
        if open_spans:
            worst = max(open_spans, key=lambda span: span.quality is Quality.BAD)
            return worst.quality, worst.reason
        if row in self.masked:
            return Quality.NULL, f"masked: {self.masked[row]}"
        return Quality.GOOD, ""

    def _verdict(self, section: _Section, row: int) -> Verdict:
        seconds = sorted(s for s, present in section.seconds.items() if present[row])
        window = (min(section.seconds), max(section.seconds) + 1)
        spans = [s for s in self._spans.get(row, []) if s.start < window[1] and s.end > window[0]]
        quality, reason = self._quality(section, row, spans)
        skipped = self._skipped[section.run, section.lumisection, row]
        if skipped:
            reason += f"{'; ' if reason else ''}{skipped} showers were not scored: overload"
        for loss in self._losses:
            if loss.start < window[1] and loss.end > window[0]:
                reason += f"{'; ' if reason else ''}{loss.words}"
        version = section.versions.get(row, 0) + 1
        section.versions[row] = version
        region = self._places.detector.regions[row]
        active = [(max(s.start, window[0]), min(s.end, window[1])) for s in spans]
        return Verdict(
            run=section.run,
            lumisection=section.lumisection,
            region=region.id,
            name=region.name,
            quality=quality,
            version=version,
            showers=int(section.showers[row]),
            exceedances=int(section.exceedances[row]),
            expected=float(section.expected[row]),
            known=tuple(_segments(seconds)),
            active=tuple(_union(active)),
            alarms=tuple(s.alarm for s in spans),
            reason=reason,
            model=self._model,
            reference=self.reference,
            software=self._software,
            skipped=skipped,
        )

    def _quality(self, section: _Section, row: int, spans: list[Span]) -> tuple[Quality, str]:
        bad = [span for span in spans if span.quality is Quality.BAD]
        if bad or spans:
            worst = (bad or spans)[0]
            return worst.quality, worst.reason
        if row in self.masked:
            return Quality.NULL, f"masked: {self.masked[row]}"
        if section.showers[row] < self._min_showers:
            n = int(section.showers[row])
            return Quality.NULL, f"{n} showers: too few to say" if n else "no data"
        return Quality.GOOD, ""

    def state(self) -> dict[str, Any]:
        """Return all that changes, as JSON values."""
        return {
            "reference": self.reference,
            "losses": [[loss.start, loss.end, loss.words] for loss in self._losses],
            "skipped": [[*key, n] for key, n in self._skipped.items()],
            "masked": {str(row): cause for row, cause in self.masked.items()},
            "spans": {
                str(row): [[s.alarm, s.start, s.end, s.quality.value, s.reason] for s in spans]
                for row, spans in self._spans.items()
            },
            "sections": [
                {
                    "run": s.run,
                    "lumisection": s.lumisection,
                    "showers": s.showers.tolist(),
                    "exceedances": s.exceedances.tolist(),
                    "expected": s.expected.tolist(),
                    "seconds": [
                        [second, np.packbits(p).tobytes().hex()] for second, p in s.seconds.items()
                    ],
                    "versions": list(s.versions.items()),
                }
                for s in self._sections.values()
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned."""
        self.reference = state["reference"]
        self._losses = [Loss(*loss) for loss in state["losses"]]
        self._skipped = Counter({(a, b, row): n for a, b, row, n in state["skipped"]})
        self.masked = {int(row): cause for row, cause in state["masked"].items()}
        self._spans = {
            int(row): [Span(s[0], s[1], s[2], Quality(s[3]), s[4]) for s in spans]
            for row, spans in state["spans"].items()
        }
        n = self._places.n_regions
        self._sections = {
            (s["run"], s["lumisection"]): _Section(
                s["run"],
                s["lumisection"],
                np.array(s["showers"], np.int64),
                np.array(s["exceedances"], np.int64),
                np.array(s["expected"], np.float64),
                {second: _bits(text, n) for second, text in s["seconds"]},
                {int(row): version for row, version in s["versions"]},
            )
            for s in state["sections"]
        }


def _bits(text: str, n: int) -> NDArray[np.bool_]:
    """Return the booleans of packed bits in hexadecimal."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8), count=n).astype(bool)


def _touches(section: _Section, spans: list[Span], before: list[Span]) -> bool:
    """Return whether a change of a claim changes what was said of a lumisection."""
    start, end = min(section.seconds), max(section.seconds) + 1

    def part(span: Span) -> tuple[int, int, Quality] | None:
        inside = (max(span.start, start), min(span.end, end), span.quality)
        return inside if inside[0] < inside[1] else None

    return part(spans[-1]) != (part(before[0]) if before else None)


def _segments(seconds: list[int]) -> Iterator[tuple[int, int]]:
    """Return runs of whole seconds as half-open segments.

    >>> list(_segments([3, 4, 5, 9]))
    [(3, 6), (9, 10)]
    """
    start = previous = None
    for second in seconds:
        if previous is None or second > previous + 1:
            if start is not None and previous is not None:
                yield start, previous + 1
            start = second
        previous = second
    if start is not None and previous is not None:
        yield start, previous + 1


def _union(segments: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return overlapping segments as one.

    >>> _union([(5, 9), (1, 6), (12, 13)])
    [(1, 9), (12, 13)]
    """
    merged: list[tuple[int, int]] = []
    for start, end in sorted(segments):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
