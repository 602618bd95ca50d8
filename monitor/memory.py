"""Memory: the counts of the past in spells, the older the coarser.

What is known of a fault so grows with its age, and what is kept only as the logarithm.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.rows import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALIKE = 3
"""Spells of one length that are kept; beyond, two become one twice as long."""

LATELY = 8
"""Steps whose counts people are shown."""

BEFORE = 0.34
"""Share of a spell that may lie before the onset of a fault and still tell of it."""

LONGEST = 128
"""Steps in the longest spell that is kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Spell:
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
    nothing
        Counts of no showers.
    """

    def __init__(self, step_s: int, nothing: Rows) -> None:
        self.step_s = step_s
        self._nothing = nothing
        self.forget()

    def forget(self) -> None:
        """Begin anew: what came before is of another run."""
        self.past: list[Spell] = []
        """The oldest first."""
        self._pending: Rows | None = None
        self._pending_since = 0
        self._pending_seconds = 0

    def add(self, second: int, rows: Rows, *, new: bool) -> Spell | None:
        """Take in a data-second, or what came late for one; return a step that is whole."""
        if self._pending is None:
            self._pending, self._pending_since = rows, second
        else:
            self._pending += rows
        self._pending_seconds += int(new)
        if self._pending_seconds < self.step_s:
            return None
        step = Spell(self._pending_since, 1, self._pending)
        self.past = remembered(self.past, step)
        self._pending, self._pending_seconds = None, 0
        return step

    def since(self, second: int) -> Rows:
        """Return the counts of all spells of which most is at a data-second or later.

        The newest spell at least, if anything has come.
        """
        spells = [*self.past]
        if self._pending is not None:
            spells.append(Spell(self._pending_since, 1, self._pending))
        before = BEFORE * self.step_s
        chosen = [spell for spell in spells if second - spell.since <= before * spell.steps]
        return sum((spell.rows for spell in chosen or spells[-1:]), self._nothing)

    def lately(self) -> list[Rows]:
        """Return the counts of the newest spells, `LATELY` steps at most."""
        steps = np.cumsum([spell.steps for spell in reversed(self.past)])
        n = int((steps <= LATELY).sum())
        return [spell.rows for spell in self.past[len(self.past) - n :]]

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that changes, as arrays."""
        blocks = [spell.rows for spell in self.past]
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
            Spell(first, steps, rows)
            for (first, steps), rows in zip(state["since"].tolist(), blocks, strict=True)
        ]


def remembered(past: list[Spell], newest: Spell) -> list[Spell]:
    """Return the past with one more step, thinned out: the older, the coarser."""
    kept = [*past, newest]
    steps = 1
    while steps <= LONGEST:
        same = [i for i, spell in enumerate(kept) if spell.steps == steps]
        if len(same) <= ALIKE:
            break
        first = same[0]
        if steps < LONGEST:
            a, b = kept[first], kept[first + 1]
            kept[first] = Spell(a.since, a.steps + b.steps, a.rows + b.rows)
            del kept[first + 1]
        else:
            del kept[first]
        steps *= 2
    return kept
