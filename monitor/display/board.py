"""Board: how each region stands now, and the recent past in curves, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.scoring.scales import LEVELS
from monitor.display.standing import History, RegionNow, Spectrum
from monitor.quality.quality import Quality
from monitor.verdicts.grounds import OUTSIDE, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from monitor.detector.tree import Detector
    from monitor.reference.expectation import Expectation
    from monitor.sequential.watch import Watch
    from monitor.verdicts.grounds import Grounds
    from monitor.windows.recent_counts import RecentCounts

MINUTE = 60
NO_ANSWER = f"{UNKNOWN}: not all of its partitions are answered for"
SPECTRUM_S = 300
"""Data-seconds that curves span."""


def regions(
    detector: Detector,
    recent: RecentCounts,
    watch: Watch,
    grounds: Grounds,
    now: int,
    min_showers: int,
    unknown: NDArray[np.bool_],
) -> tuple[RegionNow, ...]:
    """Return how each region stands, by the counts of the last minute.

    Parameters
    ----------
    unknown
        Regions of which nobody knows whether they lack showers now, shape (R,).
    """
    showers, exceedances = recent.since(now - MINUTE + 1)
    expected, _ = watch.rates.expected(showers.astype(np.float64))
    at = LEVELS.index(0.01)
    outside, last = recent.unknown_since(now - MINUTE + 1), recent.last_seen()
    in_run = watch.shares.expected
    there = np.ones(len(showers), bool) if in_run is None else in_run
    columns = (
        showers.sum(1), outside, unknown, exceedances[:, at], expected[:, at], last, there,
    )  # fmt: skip
    board = []
    # Lists are read many times as fast as arrays, number by number.
    for row, (n, beyond, unsaid, beyond_cut, usual, newest, taking_part) in enumerate(
        zip(*(column.tolist() for column in columns), strict=True)
    ):
        region = detector.regions[row]
        quality, reason = grounds.current(row, now)
        if quality is Quality.GOOD and (n < max(min_showers, beyond) or unsaid):
            few = "too few showers to say" if n else "no data"
            few = f"{UNKNOWN}: {beyond} showers {OUTSIDE}" if beyond else few
            quality, reason = Quality.NULL, NO_ANSWER if unsaid else few
        board.append(
            RegionNow(
                region=region.id,
                name=region.name,
                sector=region.sector,
                quality=quality,
                reason=reason,
                showers=n,
                exceedances=beyond_cut,
                expected=usual if n else 0.0,
                last_second=newest if newest >= 0 else None,
                masked=row in grounds.masked,
                in_run=taking_part,
            )
        )
    return tuple(board)


def history(recent: RecentCounts, watch: Watch) -> History:
    """Return the counts of the whole detector, second by second."""
    second, showers, exceedances = recent.lately(SPECTRUM_S)
    at = LEVELS.index(0.01)
    expected, _ = watch.rates.expected(showers.astype(np.float64))
    return History(
        second=second,
        showers=showers.sum(1),
        exceedances=exceedances[:, at],
        expected=expected[:, at] if len(second) else np.zeros(0),
    )


def spectra(
    counts: NDArray[np.int64], references: Sequence[Expectation], score_names: Sequence[str]
) -> tuple[Spectrum, ...]:
    """Return the p spectra of all scores.

    Parameters
    ----------
    counts
        Shape (S + 1, B).
    references
        The certified one, and the one in force if that is another.
    """
    certified, *live = (_shares(one.p_counts) for one in references)
    share = live[0] if live else certified
    names = [*score_names, "combined"]
    names = names if len(names) == len(counts) else [f"score {i + 1}" for i in range(len(counts))]
    return tuple(
        Spectrum(
            name,
            counts[i],
            counts[i].sum() * share[i],
            counts[i].sum() * certified[i] if live else None,
        )
        for i, name in enumerate(names)
    )


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    share: NDArray[np.float64] = counts / counts.sum(1, keepdims=True)
    return share
