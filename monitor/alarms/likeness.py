"""Likeness: whether two places show the same fault, by how all of their latents have moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.sequential.rates import Test

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.alarms.symptoms import Symptoms

CLEAR_SIGMA = 5.0
"""A latent that has moved by so many standard deviations has not done so by chance."""

UNLIKE = 0.7
"""Two moves whose cosine is surely less, 45 degrees apart and more, are of two faults.

The same injected fault in two regions gives 0.97 to 1.06, two of different kinds 0.5 at most; a hot
cell beside a gain, 0.76, is not told apart.
"""

SURE_SIGMA = 4.0
"""Standard deviations that make a cosine sure."""

ALONG_SIGMA = 4.0
"""What crosses beside a clear move has a fault of its own if it has moved along it by less, and by
so much less than it would by that fault.

The same fault in another region has moved along by 7 and more by the time it crosses by its latents.
"""

LARGEST = 3.0
"""Moves are taken to be no larger: one broken cell must not hide all others."""


@dataclass(frozen=True, slots=True, eq=False)
class _Move:
    """How the latents of a place have moved, in the metric of Fisher's information."""

    by: NDArray[np.float64]
    """Shifts, then half logarithms of the spreads times the square root of two, shape (2 D,)."""

    variance: NDArray[np.float64]
    """Of the error of each, shape (2 D,)."""

    @classmethod
    def of(cls, symptoms: Symptoms) -> _Move:
        spread = np.log(np.maximum(symptoms.spread, 1e-3)) / np.sqrt(2)
        by = np.clip(np.concatenate([symptoms.shift, spread]), -LARGEST, LARGEST)
        errors = np.concatenate([symptoms.shift_error, symptoms.spread_error / np.sqrt(2)])
        return cls(by, np.square(errors))

    @property
    def clear(self) -> NDArray[np.bool_]:
        """Return which are no chance, shape (2 D,)."""
        out: NDArray[np.bool_] = np.abs(self.by) > CLEAR_SIGMA * np.sqrt(self.variance)
        return out

    def only(self, some: NDArray[np.bool_]) -> _Move:
        """Return it along some directions."""
        return _Move(self.by[some], self.variance[some])

    @property
    def length(self) -> float:
        """Return its length, without what errors add to it."""
        return float(np.sqrt(max(self.by @ self.by - self.variance.sum(), 0.0)))

    def strays_from(self, other: _Move) -> bool:
        """Return whether it surely does not go where another clearly does."""
        way = np.where(other.clear, other.by, 0.0)
        error = np.sqrt(np.square(way) @ self.variance)
        along, expected = float(self.by @ way / error), float(way @ way / error)
        return along < ALONG_SIGMA and along + ALONG_SIGMA < UNLIKE * expected

    def apart_from(self, other: _Move) -> bool:
        """Return whether it surely goes another way."""
        error = np.sqrt(
            self.variance @ other.variance
            + np.square(self.by) @ other.variance
            + np.square(other.by) @ self.variance
        )
        shared = float(self.by @ other.by) + SURE_SIGMA * float(error)
        return shared < UNLIKE * self.length * other.length


def unlike(one: Symptoms, other: Symptoms) -> bool:
    """Return whether two places surely show two faults.

    Either only one of them has showers without a score to speak of; or the latents of both have
    clearly moved, and not in one direction; or those of one have, and the other's not along.

    Parameters
    ----------
    one, other
        What each has shown since its onset, of which `test` is what says most there.
    """
    if (one.test is Test.UNSCORED) is not (other.test is Test.UNSCORED):
        return min(one.unscored, other.unscored) < 0.1 * max(one.unscored, other.unscored)
    a, b = _Move.of(one), _Move.of(other)
    if not (a.clear.any() and b.clear.any()):
        clear, faint = (a, b) if a.clear.any() else (b, a)
        return bool(clear.clear.any()) and faint.strays_from(clear)
    some = a.clear | b.clear
    return a.only(some).apart_from(b.only(some))
