"""Gammas: quantiles of gamma distributions, of whole arrays of shapes at once."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import gammainccinv, gammaincinv

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FIRST, _LAST, _STEPS = -10, 40, 7
_BITS = {"d": (np.int64, 52, 1023), "f": (np.int32, 23, 127)}
"""Of double and single precision: whole numbers as long, bits of the mantissa, exponent of 1."""

SHAPES: NDArray[np.float64] = (
    ((1023 + _FIRST << _STEPS) + np.arange((_LAST - _FIRST << _STEPS) + 1)) << (52 - _STEPS)
).view(np.float64)
"""Shapes at which quantiles of gamma distributions are computed, from 2^-10 to 2^40; between them,
lines. There are 2^7 in an octave, evenly: the first bits of a number are its place among them.
A line is off by 1.4e-5 of an upper quantile and 6e-7 of the mean at most, and from 11 on it is wide."""


@lru_cache(maxsize=32)  # each epoch of a live reference asks for probabilities of its own
def _lines(probability: float, kind: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the lines between the quantiles at `SHAPES`: their values at 0, and their slopes."""
    upper = probability > 0.5
    quantile = gammainccinv(SHAPES, 1 - probability) if upper else gammaincinv(SHAPES, probability)
    quantile /= SHAPES
    slope = np.diff(quantile) / np.diff(SHAPES)
    return (quantile[:-1] - slope * SHAPES[:-1]).astype(kind), slope.astype(kind)


class Gammas:
    """Gamma distributions of unit mean, of these shapes: what all of their quantiles have in common."""

    def __init__(self, shape: NDArray[np.float64]) -> None:
        self._shape = np.clip(shape, float(SHAPES[0]), float(SHAPES[-1]))
        whole, mantissa, one = _BITS[shape.dtype.char]
        self._place = self._shape.view(whole) >> (mantissa - _STEPS)
        self._place -= one + _FIRST << _STEPS

    def quantile(self, probability: float) -> NDArray[np.float64]:
        """Return the quantile of each."""
        lines = _lines(probability, self._shape.dtype.char)
        start, slope = (line.take(self._place, mode="clip") for line in lines)
        slope *= self._shape
        slope += start
        return slope


def gamma_quantile(shape: NDArray[np.float64], probability: float) -> NDArray[np.float64]:
    """Return the quantile of gamma distributions of unit mean, of these shapes."""
    return Gammas(shape).quantile(probability)
