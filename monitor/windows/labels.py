"""Labels: which run and lumisection the stream is in, as most of its showers say.

The numbers are claims of many producers, and one that missed a change says old ones for hours. The
stream goes forward by majority, and back by a clear majority or by order; what contradicts it is
counted, and put where it belongs.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Label = tuple[int, int]
"""Run and lumisection."""

NONE: Label = (-1, -1)

RECENT_S = 10
"""Data-seconds that say what is usual, that a clear majority needs, and after which a label that
has found none is a stray."""

CLEAR = 0.9
"""Share of the showers that is a clear majority."""

KEPT = 64
"""Strays that are known by their numbers."""


@dataclass(slots=True)
class Labels:
    """The label in force, and those that may follow it."""

    now: Label = NONE
    counts: dict[int, dict[Label, int]] = field(default_factory=dict)
    """Showers of the last data-seconds by label."""

    waiting: dict[Label, int] = field(default_factory=dict)
    """Labels that are not in force, and the data-second that they first came in."""

    astray: list[Label] = field(default_factory=list)
    """Labels that had their time and found no majority; the run alone where that is another."""

    ordered: int | None = None
    """Run that people say begins now."""

    strays: Counter[str] = field(default_factory=Counter)
    """Showers that were put elsewhere, by what was wrong: `run`, `lumisection`."""

    def step(self, second: int, counts: Mapping[Label, int]) -> Label | None:
        """Take in a data-second; return the label that comes into force with it, if one does."""
        recent = range(second - RECENT_S + 1, second)
        self.counts = {s: found for s, found in self.counts.items() if s in recent}
        self.counts[second] = dict(counts)
        found = None
        for label in sorted(counts, key=lambda label: (counts[label], label), reverse=True):
            if self.now == NONE or (label != self.now and self._follows(label, second)):
                found = self.now = label
                self.ordered = None
                self.waiting = {}
                self.astray = [stray for stray in self.astray if stray != self._name(label)]
                break
        for label in counts:
            if label != self.now:
                self.waiting.setdefault(label, second)
        return found

    def _follows(self, label: Label, second: int) -> bool:
        here = self.counts[second]
        n, total = here[label], sum(here.values())
        run, lumisection = self.now
        if label[0] == self.ordered or label == (run, lumisection + 1):
            return 2 * n > total
        if label > self.now:
            usual = sum(sum(c.values()) for c in self.counts.values()) / len(self.counts)
            return 2 * n > max(total, usual)
        return self._clearly(label, second)

    def _clearly(self, label: Label, second: int) -> bool:
        """Return whether nearly all showers of late are of this label's run."""
        first = min(
            (s for other, s in self.waiting.items() if other[0] == label[0]), default=second
        )
        if second - first < RECENT_S - 1:
            return False
        alike = sum(
            n
            for found in self.counts.values()
            for other, n in found.items()
            if (other[0] == label[0] != self.now[0]) or other == label
        )
        return alike >= CLEAR * sum(sum(found.values()) for found in self.counts.values())

    def is_stray(self, label: Label, second: int) -> bool:
        """Return whether a label that is not in force has had its time."""
        if self._name(label) in self.astray:
            return True
        if second - self.waiting.get(label, second) < RECENT_S:
            return False
        self.astray = [*self.astray, self._name(label)][-KEPT:]
        self.waiting.pop(label, None)
        return True

    def _name(self, label: Label) -> Label:
        return (label[0], -1) if label[0] != self.now[0] else label

    def moved(self, label: Label, showers: int) -> None:
        """Count showers that are put elsewhere."""
        self.strays["lumisection" if label[0] == self.now[0] else "run"] += showers

    def state(self) -> dict[str, Any]:
        """Return all that changes, as JSON values."""
        return {
            "now": self.now,
            "counts": [
                [s, [[*label, n] for label, n in c.items()]] for s, c in self.counts.items()
            ],
            "waiting": [[*label, second] for label, second in self.waiting.items()],
            "astray": self.astray,
            "ordered": self.ordered,
            "strays": dict(self.strays),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned."""
        run, lumisection = state["now"]
        self.now = (run, lumisection)
        self.counts = {s: {(a, b): n for a, b, n in found} for s, found in state["counts"]}
        self.waiting = {(a, b): second for a, b, second in state["waiting"]}
        self.astray = [(a, b) for a, b in state["astray"]]
        self.ordered = state["ordered"]
        self.strays = Counter(state["strays"])
