"""Recent counts: the last minutes, data-second by data-second, and what is counted since a time.

A data-second keeps the regions that had showers in it, so that many regions cost what they have.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

LENGTH = 600
"""Data-seconds that are kept one by one."""

COARSE_S = 60
"""Beyond, what had been counted is kept as often as this,"""

SPARSE = 0.1
"""and where it is older, as often as this share of its age."""


class _Second(NamedTuple):
    """Counts of a data-second, of the regions that had any."""

    at: NDArray[np.int64]
    """Their rows, ascending, shape (r,)."""

    counts: NDArray[np.int32]
    """Showers by condition cell, exceedances, unknown, shape (r, K + A + 1)."""

    @classmethod
    def of(cls, counts: NDArray[np.int64]) -> _Second:
        at = np.flatnonzero(counts.any(1))
        return cls(at, counts[at].astype(np.int32))


class RecentCounts:
    """A ring of data-seconds: for every region, showers by condition cell, exceedances, unknown.

    Parameters
    ----------
    n_regions, n_conditions, n_levels
        R, K and A.
    """

    def __init__(self, n_regions: int, n_conditions: int, n_levels: int) -> None:
        self._k = n_conditions
        self.second = np.full(LENGTH, -1, np.int64)
        """Data-second of each row; -1 where none."""
        self._last = n_conditions + n_levels
        self._total = np.zeros((n_regions, self._last + 1), np.int64)
        self._seconds = [_Second.of(self._total)] * LENGTH
        self._next = 0
        self._before: dict[int, NDArray[np.int64]] = {}
        """What had been counted before data-seconds that are looked back at, shape (R, K + A)."""

        self._past: dict[int, NDArray[np.int64]] = {}
        """The same at data-seconds of long ago, the older the sparser."""

    def add(
        self,
        second: int,
        showers: NDArray[np.int64],
        exceedances: NDArray[np.int64],
        unknown: NDArray[np.int64],
    ) -> None:
        """Add counts of shapes (R, K), (R, A) and (R,), to a new data-second or to a kept one.

        What comes so late that its second is no longer kept counts with the oldest.
        """
        counts = np.column_stack([showers, exceedances, unknown])
        for kept in (self._before, self._past):
            for since in kept:
                if second < since:
                    kept[since] = kept[since] + counts
        row = self._row(second)
        if row is None:
            row = self._next
            if self.second[row] >= 0 and self.second[row] % COARSE_S == 0:
                self._note_past(int(self.second[row]), second)
            self.second[row] = second
            self._seconds[row] = _Second.of(counts)
            self._next = (row + 1) % LENGTH
        else:
            self._seconds[row] = _Second.of(counts + self._sum([row]))
        self._total += counts

    def _sum(self, rows: Iterable[int]) -> NDArray[np.int64]:
        """Return the sum over some kept seconds, shape (R, K + A + 1)."""
        total = np.zeros_like(self._total)
        for row in rows:
            at, counts = self._seconds[row]
            total[at] += counts
        return total

    def _row(self, second: int) -> int | None:
        newest = self.second.max()
        if second > newest:
            return None
        found = np.flatnonzero(self.second == second)
        if len(found):
            return int(found[0])
        kept = np.where(self.second < 0, np.iinfo(np.int64).max, np.abs(self.second - second))
        return int(kept.argmin())

    def turn_back(self, second: int) -> None:
        """Forget the data-seconds from one on: they were none."""
        gone = np.flatnonzero(self.second >= second)
        self._total -= self._sum(gone)
        self._past = {since: n for since, n in self._past.items() if since < second}
        self.second[gone] = -1
        none = _Second.of(np.zeros_like(self._total))
        for row in gone:
            self._seconds[row] = none

    def look_back(self, seconds: Iterable[int]) -> None:
        """Count exactly since these data-seconds from now on, however long ago they will be."""
        self._before = {
            second: self._before[second] if second in self._before else self._counted_before(second)
            for second in set(seconds)
        }

    def since(self, second: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return showers (R, K) and exceedances (R, A) from a data-second on.

        Exact for what is kept and looked back at; of longer ago about as many.
        """
        before = self._before.get(second)
        counts = self._total - (self._counted_before(second) if before is None else before)
        return counts[:, : self._k], counts[:, self._k : self._last]

    def unknown_since(self, second: int) -> NDArray[np.int64]:
        """Return the showers that the model knows nothing of from a data-second on, shape (R,)."""
        return self._sum(np.flatnonzero(self.second >= max(second, 0)))[:, self._last]

    def _counted_before(self, second: int) -> NDArray[np.int64]:
        oldest = np.where(self.second < 0, np.iinfo(np.int64).max, self.second).min()
        if second < oldest and self._past:
            return self._past[min(self._past, key=lambda since: abs(since - second))]
        before: NDArray[np.int64] = self._total - self._sum(np.flatnonzero(self.second >= second))
        return before

    def _note_past(self, second: int, now: int) -> None:
        """Keep what had been counted before a data-second that is left out next."""
        self._past[second] = self._counted_before(second)
        kept: list[int] = []
        times = sorted(self._past)
        for since, following in pairwise(times):
            if not kept or following - kept[-1] > SPARSE * (now - kept[-1]):
                kept.append(since)
        self._past = {since: self._past[since] for since in (*kept, times[-1])}

    def lately(self, last: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return the newest seconds in order (T,), and showers (T, K), exceedances (T, A) of all."""
        order = np.argsort(self.second, kind="stable")
        order = order[self.second[order] >= 0][-last:]
        counts = np.array([self._seconds[row].counts.sum(0, dtype=np.int64) for row in order])
        counts = counts.reshape(len(order), self._last + 1)
        return self.second[order], counts[:, : self._k], counts[:, self._k : self._last]

    @property
    def total(self) -> NDArray[np.int64]:
        """Return showers by condition cell, exceedances, unknown, of all time, (R, K + A + 1)."""
        return self._total

    def last_seen(self) -> NDArray[np.int64]:
        """Return the newest kept second with a shower of each region, shape (R,); -1 if none."""
        latest = np.full(len(self._total), -1)
        for row in np.argsort(self.second, kind="stable"):
            latest[self._seconds[row].at] = self.second[row]
        return latest

    def state(self) -> dict[str, NDArray[np.int64]]:
        """Return all that changes, as arrays."""
        return {
            "second": self.second,
            "present": np.array([len(one.at) for one in self._seconds]),
            "at": np.concatenate([one.at for one in self._seconds]),
            "counts": np.concatenate([one.counts.astype(np.int64) for one in self._seconds]),
            "total": self._total,
            "next": np.array(self._next),
        } | {
            f"{name}.{part}": array
            for name, kept in (("before", self._before), ("past", self._past))
            for part, array in (
                ("second", np.array(list(kept), np.int64)),
                ("counts", np.array(list(kept.values()), np.int64)),
            )
        }

    def restore(self, state: dict[str, NDArray[np.int64]]) -> None:
        """Take up what `state` returned."""
        self.second = state["second"].astype(np.int64)
        ends = np.cumsum(state["present"])[:-1]
        at = np.split(state["at"].astype(np.int64), ends)
        counts = np.split(state["counts"].astype(np.int32), ends)
        self._seconds = [_Second(*one) for one in zip(at, counts, strict=True)]
        self._total = state["total"].astype(np.int64)
        self._next = int(state["next"])
        self._before, self._past = (
            {
                int(second): counts.astype(np.int64)
                for second, counts in zip(
                    state[f"{name}.second"], state[f"{name}.counts"], strict=True
                )
            }
            for name in ("before", "past")
        )
