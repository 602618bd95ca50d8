"""Memory: the counts of the past in stretches, the older the coarser.

What is known of a fault so grows with its age, and what is kept only as the logarithm.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

ALIKE = 3
"""Stretches of one length that are kept; beyond, two become one twice as long."""

LATELY = 8
"""Steps whose counts people are shown."""

BEFORE = 0.34
"""Share of a stretch that may lie before the onset of a fault and still tell of it."""

LONGEST = 128
"""Steps in the longest stretch that is kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Counts of some steps that follow one another."""

    since: int
    """First data-second."""

    steps: int
    rows: Rows


class Memory:
    """The steps of the past, and the one that is being gathered.

    Parameters
    ----------
    step_s
        Data-seconds of a step.
    """

    def __init__(self, step_s: int) -> None:
        self.step_s = step_s
        self.forget()

    def forget(self) -> None:
        """Begin anew: what came before is of another run."""
        self.past: list[Stretch] = []
        """The oldest first."""
        self._pending: Rows | None = None
        self._pending_since = 0
        self._pending_seconds = 0

    def add(self, second: int, rows: Rows, *, new: bool) -> Stretch | None:
        """Take in a data-second, or what came late for one; return a step that is whole."""
        if self._pending is None:
            self._pending, self._pending_since = rows, second
        else:
            self._pending += rows
        self._pending_seconds += int(new)
        if self._pending_seconds < self.step_s:
            return None
        step = Stretch(self._pending_since, 1, self._pending)
        self.past = remembered(self.past, step)
        self._pending, self._pending_seconds = None, 0
        return step

    @property
    def empty(self) -> bool:
        """Return whether nothing has come since it began anew."""
        return not self.past and self._pending is None

    def since(self, second: int) -> Rows:
        """Return the counts of all stretches of which most is at a data-second or later.

        The newest stretch at least; there must be one.
        """
        stretches = [*self.past]
        if self._pending is not None:
            stretches.append(Stretch(self._pending_since, 1, self._pending))
        before = BEFORE * self.step_s
        chosen = [s.rows for s in stretches if second - s.since <= before * s.steps]
        return _total(chosen or [stretches[-1].rows])

    def lately(self) -> list[Rows]:
        """Return the counts of the newest stretches, `LATELY` steps at most."""
        steps = np.cumsum([stretch.steps for stretch in reversed(self.past)])
        n = int((steps <= LATELY).sum())
        return [stretch.rows for stretch in self.past[len(self.past) - n :]]

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that changes, as arrays."""
        blocks = [stretch.rows for stretch in self.past]
        if self._pending is not None:
            blocks.append(self._pending)
        out: dict[str, NDArray[Any]] = {}
        for f in fields(Rows):
            stacked = [getattr(rows, f.name) for rows in blocks]
            out[f"blocks.{f.name}"] = np.stack(stacked) if stacked else np.zeros(0, np.int64)
        out["since"] = np.array([[s.since, s.steps] for s in self.past], np.int64).reshape(-1, 2)
        pending = [self._pending is not None, self._pending_since, self._pending_seconds]
        return out | {"pending": np.array(pending, np.int64)}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take up what `state` returned."""
        here, since, seconds = state["pending"].tolist()
        n = len(state["since"]) + int(here)
        blocks = [
            Rows(*(state[f"blocks.{f.name}"][i].astype(np.int64) for f in fields(Rows)))
            for i in range(n)
        ]
        self._pending = blocks.pop() if here else None
        self._pending_since, self._pending_seconds = int(since), int(seconds)
        self.past = [
            Stretch(first, steps, rows)
            for (first, steps), rows in zip(state["since"].tolist(), blocks, strict=True)
        ]


def remembered(past: list[Stretch], newest: Stretch) -> list[Stretch]:
    """Return the past with one more step, thinned out: the older, the coarser."""
    kept = [*past, newest]
    steps = 1
    while steps <= LONGEST:
        same = [i for i, stretch in enumerate(kept) if stretch.steps == steps]
        if len(same) <= ALIKE:
            break
        first = same[0]
        if steps < LONGEST:
            a, b = kept[first], kept[first + 1]
            kept[first] = Stretch(a.since, a.steps + b.steps, a.rows + b.rows)
            del kept[first + 1]
        else:
            del kept[first]
        steps *= 2
    return kept


def _total(several: Iterable[Rows]) -> Rows:
    first, *others = several
    for rows in others:
        first += rows
    return first
