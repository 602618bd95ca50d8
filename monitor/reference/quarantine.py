"""Quarantine: the newest of the stream, until it is believed and while it can be taken out again."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.windows.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

CHUNK_S = 300
"""Data-seconds that are accepted, or taken out again, together."""


@dataclass(slots=True)
class Chunk:
    """A stretch of the stream that is in quarantine, or that can still be taken out."""

    start: int
    rows: Rows
    flagged: NDArray[np.bool_]
    """Regions that an alarm claims or a mask covers, shape (R,)."""

    counted: NDArray[np.bool_]
    """Regions that have been accepted, shape (R,)."""

    barred: bool = False
    """Nothing of it is ever accepted: the reference was frozen when it came."""


class Quarantine:
    """Chunks of the stream, the oldest first."""

    def __init__(self) -> None:
        self._chunks: deque[Chunk] = deque()
        self.newest = 0
        """Data-second up to which the stream has come."""

    def add(
        self,
        second: int,
        rows: Rows,
        flagged: NDArray[np.bool_],
        *,
        cut: int | None,
        barred: bool,
    ) -> None:
        """Take in a data-second.

        Parameters
        ----------
        flagged
            Regions that an alarm claims or a mask covers now, shape (R,).
        cut
            Data-second that no chunk straddles.
        barred
            Whether nothing of its chunk is ever accepted.
        """
        self.newest = max(self.newest, second)
        last = self._chunks[-1] if self._chunks else None
        if last is None or second >= _end(last, cut):
            self._chunks.append(Chunk(second, rows.copy(), flagged.copy(), np.zeros_like(flagged)))
        else:
            last.rows += rows
            last.flagged |= flagged
        self._chunks[-1].barred |= barred

    def turn_back(self, second: int) -> None:
        """Go on at an earlier data-second; what lies beyond it is gone."""
        self.newest = min(self.newest, second)
        while self._chunks and self._chunks[-1].start + CHUNK_S > second:
            self._chunks.pop()

    def forget(self, before: int) -> None:
        """Let go of what ended before a data-second."""
        while self._chunks and self._chunks[0].start + CHUNK_S < before:
            self._chunks.popleft()

    def clear(self) -> None:
        """Let go of all."""
        self._chunks.clear()

    def before(self, second: int) -> Iterator[Chunk]:
        """Yield what had ended at a data-second."""
        return takewhile(lambda chunk: chunk.start + CHUNK_S <= second, self._chunks)

    def reaching(self, second: int) -> list[Chunk]:
        """Return what reaches beyond a data-second."""
        return [chunk for chunk in self._chunks if chunk.start + CHUNK_S > second]

    def since(self, second: int) -> list[Chunk]:
        """Return what began at a data-second or after it."""
        return [chunk for chunk in self._chunks if chunk.start >= second]

    def holds(self, second: int) -> bool:
        """Return whether all that came since a data-second is still here."""
        return bool(self._chunks) and self._chunks[0].start <= second

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the chunks as arrays."""
        out: dict[str, NDArray[Any]] = {}
        for f in fields(Rows):
            arrays = [getattr(chunk.rows, f.name) for chunk in self._chunks]
            out[f"rows.{f.name}"] = np.stack(arrays) if arrays else np.zeros(0, np.int64)
        out["start"] = np.array([chunk.start for chunk in self._chunks], np.int64)
        out["barred"] = np.array([chunk.barred for chunk in self._chunks], bool)
        out["flagged"] = np.array([chunk.flagged for chunk in self._chunks], bool)
        out["counted"] = np.array([chunk.counted for chunk in self._chunks], bool)
        return out

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take up what `state` returned."""
        self._chunks = deque(
            Chunk(
                int(start),
                Rows(*(state[f"rows.{f.name}"][i].astype(np.int64) for f in fields(Rows))),
                state["flagged"][i].copy(),
                state["counted"][i].copy(),
                bool(state["barred"][i]),
            )
            for i, start in enumerate(state["start"].tolist())
        )


def _end(chunk: Chunk, cut: int | None) -> int:
    end = chunk.start + CHUNK_S
    return end if cut is None or cut <= chunk.start else min(end, cut)
