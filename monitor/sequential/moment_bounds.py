r"""Moment bounds: how much a bet on bounded latents wins on average, from one shower on.

For :math:`|X| \le b` of mean 0 with :math:`EX^2 \le v`, :math:`EX^3 \le v s`, :math:`EX^4 \le v k`
the series of the exponential gives
:math:`E\,e^{\lambda X} \le \exp v(\lambda^2/2 + s\lambda^3/6 + k\,r_4(\lambda b)/b^4)`, with
:math:`r_4` what is left of it from the fourth term on. Bennett's bound (J. Am. Stat. Assoc. 57 (1962)
33, equation (8b)) is the same with two moments less, and reckons with rare jumps of size b, which
good latents do not have. Sums of several showers and of channels multiply such factors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Amount = TypeVar("Amount", float, NDArray[np.float64])

LATENT_MOMENTS = (0.9, 6.0)
"""Third and fourth moment of a standardised latent of a cell over its variance, at most: 0.8 and 5.5
in good showers at the worst cell of the models that ship, 0 and 3 by the normal law."""

LAYER_MOMENTS = (1.5, 6.5)
"""The same of the latent of a layer's energy, which has a tail towards little energy: 1.4 and 6.1."""

SQUARE_MOMENTS = (16.0, 470.0)
"""The same of the square of a latent about its mean: 15.8 and 463 at the worst cell, 6 to 10 and 65
to 175 over a ring, 4 and 30 by the normal law."""


@dataclass(frozen=True, slots=True, eq=False)
class Bounded:
    """Sums of U units in S scopes, and what they may be if all is well, shape (U, S) each."""

    n: NDArray[np.float64]
    seen: NDArray[np.float64]
    upper: NDArray[np.float64]
    lower: NDArray[np.float64]

    def beyond(self, sign: float) -> NDArray[np.float64]:
        """Return how far the sums are above their upper bound, or below the lower one, (U, S)."""
        return self.seen - self.upper if sign > 0 else self.lower - self.seen

    @property
    def level(self) -> NDArray[np.float64]:
        """Return the upper bound for one shower of a unit, and 1 at least."""
        each: NDArray[np.float64] = np.maximum(self.upper / np.maximum(self.n, 1), 1.0)
        return each


def log_mean(slope: float, reach: float, second: Amount, third: Amount, fourth: Amount) -> Amount:
    """Return the log of the mean of exp(slope X), for a sum X of what has mean 0 within +- reach.

    Parameters
    ----------
    second, third, fourth
        Bounds on the moments of what is added up, each summed over it.

    Examples
    --------
    >>> [round(log_mean(x, 6.0, 1.0, 0.0, 3.0) / (x * x / 2), 2) for x in (0.1, 0.2, 0.5)]
    [1.0, 1.01, 1.12]
    """
    x = slope * reach
    rest = float(np.exp(x)) - 1 - x - x**2 / 2 - x**3 / 6
    return second * (slope**2 / 2) + third * (slope**3 / 6) + fourth * (rest / reach**4)
