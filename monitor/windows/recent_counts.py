"""Recent counts: the counts of the last minutes, data-second by data-second, to look back at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LENGTH = 600
"""Data-seconds that are kept."""


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
        self._counts = np.zeros((LENGTH, n_regions, self._last + 1), np.int64)
        self._total = np.zeros((n_regions, self._last + 1), np.int64)
        self._next = 0

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
        self._total += counts
        row = self._row(second)
        if row is None:
            row = self._next
            self.second[row] = second
            self._counts[row] = 0
            self._next = (row + 1) % LENGTH
        self._counts[row] += counts

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
        gone = self.second >= second
        self.second[gone] = -1
        self._counts[gone] = 0

    def since(self, second: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return showers (R, K) and exceedances (R, A) from a data-second on."""
        rows = self.second >= max(second, 0)
        counts = self._counts[rows].sum(0)
        return counts[:, : self._k], counts[:, self._k : self._last]

    def unknown_since(self, second: int) -> NDArray[np.int64]:
        """Return the showers that the model knows nothing of from a data-second on, shape (R,)."""
        unknown: NDArray[np.int64] = self._counts[self.second >= max(second, 0), :, self._last].sum(
            0
        )
        return unknown

    def rows(self, last: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return the newest rows in order: seconds (T,), showers (T, R, K), exceedances (T, R, A)."""
        order = np.argsort(self.second, kind="stable")
        order = order[self.second[order] >= 0][-last:]
        counts = self._counts[order]
        return self.second[order], counts[..., : self._k], counts[..., self._k : self._last]

    @property
    def total(self) -> NDArray[np.int64]:
        """Return showers by condition cell, exceedances, unknown, of all time, (R, K + A + 1)."""
        return self._total

    def last_seen(self) -> NDArray[np.int64]:
        """Return the newest kept second with a shower of each region, shape (R,); -1 if none."""
        seen = self._counts.any(2)
        latest: NDArray[np.int64] = np.where(seen, self.second[:, None], -1).max(0)
        return latest

    def state(self) -> dict[str, NDArray[np.int64]]:
        """Return all that changes, as arrays."""
        return {
            "second": self.second,
            "counts": self._counts,
            "total": self._total,
            "next": np.array(self._next),
        }

    def restore(self, state: dict[str, NDArray[np.int64]]) -> None:
        """Take up what `state` returned."""
        self.second = state["second"].astype(np.int64)
        self._counts = state["counts"].astype(np.int64)
        self._total = state["total"].astype(np.int64)
        self._next = int(state["next"])
