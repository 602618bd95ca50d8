"""Rivals: what a crew would have otherwise, in tumbling minutes, to be measured on the same data.

- *mean + 3 sigma*: any region with more exceedances at α = 1e-2 than that, plug-in rate.
- *exact test*: a Poisson tail a minute and place, plug-in rate, at the whole budget's level.
- *occupancy*: an exact binomial tail a minute, region and cell, both sides, at that level too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import bdtr, bdtrc, pdtrc

from models.scoring.scales import LEVELS
from monitor.sequential.budget import DAY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.detector.places import Places
    from monitor.reference.expectation import Expectation
    from monitor.windows.window import Window

MINUTE = 60
DAYS_PER_PAGE = 30.0
"""False alarms that the two exact ones may make: as often as the monitor."""

NAMES = ("mean + 3 sigma a minute", "exact test a minute", "occupancy a cell and minute")


class Rivals:
    """Three of them, fed by windows.

    Parameters
    ----------
    places, reference
        Where they look, and what they take for the truth.
    phase
        Data-seconds by which the first minute is shorter: an onset knows nothing of minutes. What
        was in it before the first window is left out, which favours them.
    """

    def __init__(self, places: Places, reference: Expectation, phase: int = 0) -> None:
        self._places, self._reference = places, reference
        self._at = LEVELS.index(0.01)
        self._phase = phase
        self._n = np.zeros((places.n_regions, len(reference.showers)))
        self._k = np.zeros(places.n_regions)
        self._lit = np.zeros((places.n_regions, reference.lit_rate.shape[1]))
        self._seconds = 0
        self.alarms = np.zeros(len(NAMES), np.int64)
        """Alarms of each so far: regions, places, and cells of regions."""

        self.found: dict[str, float | None] = dict.fromkeys(NAMES)
        """Data-second of the first alarm of each."""

    @property
    def all_found(self) -> bool:
        """Return whether there is nothing left to wait for."""
        return all(second is not None for second in self.found.values())

    def observe(self, seen: Window) -> None:
        """Take in a second; a window has a row for every region, in the order of places."""
        self._seconds += 1
        self._n[seen.regions] += seen.showers
        self._k[seen.regions] += seen.exceedances[..., self._at].sum(1)
        self._lit[seen.regions] += seen.lit
        if (self._seconds + self._phase) % MINUTE:
            return
        now = self._judge()
        self.alarms += now
        for name, count in zip(NAMES, now, strict=True):
            if count and self.found[name] is None:
                self.found[name] = float(self._seconds)
        self._n[:], self._k[:], self._lit[:] = 0, 0, 0

    def _judge(self) -> NDArray[np.int64]:
        """Return the alarms of this minute."""
        reference, minutes = self._reference, DAYS_PER_PAGE * DAY / MINUTE
        mean = self._n @ (reference.exceedances[:, self._at] / reference.showers)
        members = self._places.members.astype(np.float64)
        exact = _at_least(members @ self._k, members @ mean)
        n = self._n.sum(1, keepdims=True)
        rate = self._n @ reference.lit_rate / np.maximum(n, 1)
        cells = np.minimum(*_tails(self._lit, n, rate))
        return np.array(
            [
                (self._k > mean + 3 * np.sqrt(mean)).sum(),
                (exact < 1 / (minutes * self._places.n)).sum(),
                (cells < 1 / (minutes * 2 * cells.size)).sum(),
            ],
            np.int64,
        )


def _at_least(k: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Poisson probability of k or more."""
    tail: NDArray[np.float64] = np.where(k > 0, pdtrc(np.maximum(k - 1, 0), mean), 1.0)
    return tail


def _tails(
    k: NDArray[np.float64], n: NDArray[np.float64], rate: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the binomial probabilities of k or fewer, and of k or more, of n."""
    n = np.maximum(n, 1).astype(np.int64)  # scipy wants the trials whole
    fewer = bdtr(k, n, rate)
    more = np.where(k > 0, bdtrc(np.maximum(k - 1, 0), n, rate), 1.0)
    return fewer, more
