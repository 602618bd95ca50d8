"""Section: what is counted of one lumisection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.windows import packing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

LONGEST = 600
"""Stretches of time of a lumisection that are told apart; of a longer one they become coarser."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What windows of one lumisection hold in one data-second, by region, shape (R,)."""

    run: int
    lumisection: int
    second: int
    present: NDArray[np.bool_]
    showers: NDArray[np.int64]
    exceedances: NDArray[np.int64]
    """At α = 1e-2."""

    expected: NDArray[np.float64]
    outside: NDArray[np.int64]
    """Showers that the model knows nothing of."""


@dataclass(slots=True)
class Section:
    """Counts of a lumisection by region, shape (R,), and the data-seconds that it has."""

    run: int
    lumisection: int
    showers: NDArray[np.int64]
    exceedances: NDArray[np.int64]
    expected: NDArray[np.float64]
    outside: NDArray[np.int64]
    """Showers that the model knows nothing of."""

    seconds: dict[int, NDArray[np.bool_]] = field(default_factory=dict)
    """Regions with showers, by the first data-second of each stretch of `grain` data-seconds."""

    unknown: dict[int, NDArray[np.bool_]] = field(default_factory=dict)
    """Regions of which it was not known whether they lacked showers, the same way."""

    grain: int = 1
    open: bool = True
    """It is in force; what comes for another one is late."""

    said: int = 0
    """Data-second of the last verdict of one that is open."""

    versions: dict[int, int] = field(default_factory=dict)
    """Newest version of the verdict by row of the region."""

    @classmethod
    def new(cls, run: int, lumisection: int, n_regions: int) -> Section:
        """Return a section of which nothing has come."""
        n = n_regions
        showers, exceedances, outside = (np.zeros(n, np.int64) for _ in range(3))
        return cls(run, lumisection, showers, exceedances, np.zeros(n), outside)

    def note(
        self, second: int, present: NDArray[np.bool_], unknown: NDArray[np.bool_] | None = None
    ) -> None:
        """Take note of which regions have showers in a data-second, and of which that is unknown."""
        _add(self.seconds, self._stretch(second), present)
        if unknown is not None and (unknown & ~present).any():
            _add(self.unknown, self._stretch(second), unknown & ~present)
        while len(self.seconds) > LONGEST:
            self.grain *= 2
            self.seconds = self._coarser(self.seconds)
            self.unknown = self._coarser(self.unknown)

    def _stretch(self, second: int) -> int:
        return second - second % self.grain

    def _coarser(self, seconds: dict[int, NDArray[np.bool_]]) -> dict[int, NDArray[np.bool_]]:
        coarser: dict[int, NDArray[np.bool_]] = {}
        for second, regions in seconds.items():
            _add(coarser, self._stretch(second), regions)
        return coarser

    @property
    def span(self) -> tuple[int, int]:
        """Return the data-seconds from the first to the last, half-open."""
        return min(self.seconds), max(self.seconds) + self.grain

    def known(self, row: int) -> list[tuple[int, int]]:
        """Return the data-seconds in which a region has showers, as half-open segments."""
        seconds = sorted(second for second, present in self.seconds.items() if present[row])
        return list(segments(seconds, self.grain))

    def unknown_s(self, row: int) -> int:
        """Return the data-seconds of which it is not known whether a region lacks showers."""
        return self.grain * sum(
            bool(regions[row])
            for second, regions in self.unknown.items()
            if not self.seconds[second][row]
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values; `from_json` is the inverse."""
        return {
            "run": self.run,
            "lumisection": self.lumisection,
            "showers": _packed(self.showers),
            "exceedances": _packed(self.exceedances),
            "expected": _packed(self.expected),
            "outside": _packed(self.outside),
            "seconds": [[second, _text(regions)] for second, regions in self.seconds.items()],
            "unknown": [[second, _text(regions)] for second, regions in self.unknown.items()],
            "grain": self.grain,
            "open": self.open,
            "said": self.said,
            "versions": _packed(np.array(list(self.versions.items()), np.int64)),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any], n_regions: int) -> Section:
        """Return the section of plain values."""
        return cls(
            values["run"],
            values["lumisection"],
            _unpacked(values["showers"]).astype(np.int64),
            _unpacked(values["exceedances"]).astype(np.int64),
            _unpacked(values["expected"]).astype(np.float64),
            _unpacked(values["outside"]).astype(np.int64),
            {second: _bits(text, n_regions) for second, text in values["seconds"]},
            {second: _bits(text, n_regions) for second, text in values["unknown"]},
            values["grain"],
            values["open"],
            values["said"],
            dict(_unpacked(values["versions"]).reshape(-1, 2).tolist()),
        )


def _add(seconds: dict[int, NDArray[np.bool_]], second: int, regions: NDArray[np.bool_]) -> None:
    known = seconds.get(second)
    seconds[second] = regions if known is None else known | regions


def _packed(numbers: NDArray[Any]) -> list[str]:
    """Return numbers as text that is short and soon written, with their type."""
    few = packing.small(numbers)
    return [few.dtype.str, few.tobytes().hex()]


def _unpacked(told: list[str]) -> NDArray[Any]:
    return np.frombuffer(bytes.fromhex(told[1]), np.dtype(told[0]))


def _text(regions: NDArray[np.bool_]) -> str:
    return np.packbits(regions).tobytes().hex()


def _bits(text: str, n: int) -> NDArray[np.bool_]:
    """Return the booleans of packed bits in hexadecimal."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8), count=n).astype(bool)


def segments(seconds: list[int], grain: int = 1) -> Iterator[tuple[int, int]]:
    """Return stretches of so many data-seconds as half-open segments.

    >>> list(segments([3, 4, 5, 9]))
    [(3, 6), (9, 10)]
    """
    start = end = None
    for second in seconds:
        if start is None or second != end:
            if start is not None and end is not None:
                yield start, end
            start = second
        end = second + grain
    if start is not None and end is not None:
        yield start, end


def union(parts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return overlapping segments as one.

    >>> union([(5, 9), (1, 6), (12, 13)])
    [(1, 9), (12, 13)]
    """
    merged: list[tuple[int, int]] = []
    for start, end in sorted(parts):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
