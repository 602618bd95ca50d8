"""Step history: the counts of the past in spells, the older the coarser.

What is known of a fault so grows with its age, and what is kept only as the logarithm.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.windows.rows import KeptRows, Rows, together, total

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALIKE = 3
"""Spells of one length that are kept; beyond, two become one twice as long."""

LATELY = 8
"""Steps whose counts people are shown."""

BEFORE = 0.34
"""Share of a spell that may lie before the onset of a fault and still tell of it."""

LONGEST_S = 256
"""Data-seconds in the longest spell that is kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Spell:
    """Counts of some data-seconds that follow one another."""

    since: int
    """First data-second."""

    seconds: int
    rows: KeptRows


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """The same when it is tested."""

    since: int
    seconds: int
    rows: Rows


class StepHistory:
    """The spells of the past, and the step that is being gathered.

    The newest seconds are kept one by one, so that a fault of a second ago is not seen through
    the good ones before it.

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
        self._begin()

    def _begin(self) -> None:
        self._since = self._seconds = 0
        self._gathered: list[Rows] = []

    def add(self, second: int, rows: Rows, *, new: bool) -> Step | None:
        """Take in a data-second, or what came late for one; return a step that is whole."""
        kept = KeptRows.of(rows)
        if new:
            self.past = remembered(self.past, Spell(second, 1, kept))
        else:
            self.past = _amended(self.past, second, kept)
        self._since = self._since if self._seconds else second
        self._seconds += int(new)
        self._gathered.append(rows)
        if self._seconds < self.step_s:
            return None
        step = Step(self._since, self._seconds, total(self._gathered))
        self._begin()
        return step

    def since(self, second: int) -> Rows:
        """Return the counts of all spells of which most is at a data-second or later.

        The newest spell at least, if anything has come.
        """
        chosen = [s for s in self.past if second - s.since <= BEFORE * s.seconds]
        return together((spell.rows for spell in chosen or self.past[-1:]), self._nothing)

    def lately(self) -> Rows | None:
        """Return the counts of the newest spells, `LATELY` steps at most; None before the first."""
        seconds = np.cumsum([spell.seconds for spell in reversed(self.past)])
        n = int((seconds <= LATELY * self.step_s).sum())
        return (
            together((s.rows for s in self.past[len(self.past) - n :]), self._nothing)
            if n
            else None
        )

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that changes, as arrays."""
        gathered = total(self._gathered) if self._gathered else self._nothing
        kept = [*(spell.rows for spell in self.past), KeptRows.of(gathered)]
        times = [*((s.since, s.seconds) for s in self.past), (self._since, self._seconds)]
        out: dict[str, NDArray[Any]] = {
            f"spells.{f.name}": np.concatenate(
                [getattr(one.counts, f.name).astype(np.int64) for one in kept]
            )
            for f in fields(Rows)
        }
        return out | {
            "spells": np.array(times, np.int64),
            "spells.present": np.array([len(one.at) for one in kept], np.int64),
            "spells.at": np.concatenate([one.at for one in kept]),
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take up what `state` returned."""
        ends = np.cumsum(state["spells.present"].astype(np.int64))
        at = np.split(state["spells.at"].astype(np.int64), ends[:-1])
        columns = [np.split(state[f"spells.{f.name}"], ends[:-1]) for f in fields(Rows)]
        *past, step = (
            KeptRows.packed(rows, *counts) for rows, *counts in zip(at, *columns, strict=True)
        )
        *times, (self._since, self._seconds) = state["spells"].tolist()
        self.past = [Spell(time[0], time[1], rows) for time, rows in zip(times, past, strict=True)]
        self._gathered = [together([step], self._nothing)]


def remembered(past: list[Spell], newest: Spell) -> list[Spell]:
    """Return the past with one more second, thinned out: the older, the coarser."""
    kept = [*past, newest]
    seconds = 1
    while seconds <= LONGEST_S:
        same = [i for i, spell in enumerate(kept) if spell.seconds == seconds]
        if len(same) <= ALIKE:
            break
        first = same[0]
        if seconds < LONGEST_S:
            a, b = kept[first], kept[first + 1]
            kept[first] = Spell(a.since, a.seconds + b.seconds, a.rows + b.rows)
            del kept[first + 1]
        else:
            del kept[first]
        seconds *= 2
    return kept


def _amended(past: list[Spell], second: int, rows: KeptRows) -> list[Spell]:
    """Return the past with what came late for a data-second, if it is still remembered."""
    at = sum(spell.since <= second for spell in past) - 1
    return [
        replace(spell, rows=spell.rows + rows) if i == at else spell for i, spell in enumerate(past)
    ]
