"""Attribution: which lumisection the showers of each window count to, late ones too."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.verdicts.section import Part
from monitor.windows.labels import Labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from monitor.quality.verdicts import Verdict
    from monitor.verdicts.lumisections import Lumisections

MOST = 256
"""Parts that wait for their lumisection to come into force; beyond, the oldest goes to the one that
is."""


class Attribution:
    """Puts what comes into the lumisection that it says, or where the majority is if that cannot be.

    Parameters
    ----------
    sections
        Where it is counted.
    """

    def __init__(self, sections: Lumisections) -> None:
        self._sections = sections
        self.labels = Labels()
        self._parts: list[Part] = []
        """What says a number that is not in force, and may be soon."""

        self.beyond = 0
        """Showers of lumisections so old that their verdicts stand."""

    def step(
        self, parts: Sequence[Part], unknown: NDArray[np.bool_]
    ) -> tuple[list[bool], list[Verdict]]:
        """Take in all that a data-second has; return which parts are of the present, and verdicts.

        A part is not of the present where it is the rest of a run that has just ended.
        """
        second = parts[0].second
        before = self.labels.now
        counts = {_label(part): max(int(part.showers.sum()), 1) for part in parts}
        turned = self.labels.step(second, counts)
        if not turned:
            self._sections.go_on(*self.labels.now)
        said = []
        for part in parts:
            if turned and _label(part) == before:  # before the verdict on it
                said += self._sections.add(part, unknown)
        if turned:
            said += self._sections.turn(*turned)
        present = []
        for part in parts:
            former = part.run != self.labels.now[0] and self._knows(part)
            present.append(not former)
            if not (turned and _label(part) == before):
                said += self._put(part, unknown)
        return present, said + self._settle(second)

    def late(self, part: Part) -> list[Verdict]:
        """Take in what came late for a data-second; return the verdicts that it amends."""
        if _label(part) == self.labels.now or self._knows(part):
            return self._sections.add(part)
        there = self._sections.covering(part.second)
        if there is not None:
            return self._move(part, there)
        if self._sections.reaches(part.second):  # nothing of its lumisection came in time
            return self._sections.add(part, late=True)
        self.beyond += int(part.showers.sum())
        return []

    def _knows(self, part: Part) -> bool:
        return self._sections.knows(part.run, part.lumisection, part.second)

    def _put(self, part: Part, unknown: NDArray[np.bool_] | None = None) -> list[Verdict]:
        label = _label(part)
        if label == self.labels.now:
            return self._sections.add(part, unknown)
        if self._knows(part):
            self.labels.waiting.pop(label, None)
            return self._sections.add(part)
        if self.labels.is_stray(label, part.second):
            return self._move(part, self.labels.now)
        self._parts.append(part)
        return []

    def _settle(self, second: int) -> list[Verdict]:
        """Put what has waited where it belongs, if that is known now."""
        waiting, self._parts = self._parts, []
        said = []
        for i, part in enumerate(waiting):
            label = _label(part)
            if label == self.labels.now or self._knows(part):
                said += self._sections.add(part)
            elif self.labels.is_stray(label, second) or len(waiting) - i > MOST:
                there = self._sections.covering(part.second) or self.labels.now
                said += self._move(part, there)
            else:
                self._parts.append(part)
        return said

    def _move(self, part: Part, there: tuple[int, int]) -> list[Verdict]:
        self.labels.moved(_label(part), int(part.showers.sum()))
        return self._sections.add(replace(part, run=there[0], lumisection=there[1]))

    def state(self) -> dict[str, Any]:
        """Return all that changes, as JSON values."""
        parts = [
            [v.tolist() if isinstance(v, np.ndarray) else v for v in _values(part)]
            for part in self._parts
        ]
        return {"labels": self.labels.state(), "parts": parts, "beyond": self.beyond}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned."""
        self.labels.restore(state["labels"])
        self.beyond = state["beyond"]
        self._parts = [
            Part(
                run, lumisection, second,
                np.array(present, bool), np.array(showers, np.int64),
                np.array(exceedances, np.int64), np.array(expected, np.float64),
                np.array(outside, np.int64),
            )
            for run, lumisection, second, present, showers, exceedances, expected, outside
            in state["parts"]
        ]  # fmt: skip


def _label(part: Part) -> tuple[int, int]:
    return part.run, part.lumisection


def _values(part: Part) -> list[Any]:
    return [getattr(part, f.name) for f in fields(part)]
