"""Compression: cell energies over decades as numbers of one size."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = 124.0
"""No compressed cell is larger, a million units: a wild latent must not become infinity."""


def compress(x: Tensor) -> Tensor:
    """Return 4 ((1 + |x|)^(1/4) - 1) with the sign of x: linear at zero, then ever slower.

    Of the powers from the logarithm (asinh) to the square root this one served all faults best:
    the logarithm hides what is added to a bright cell, the square root what is missing in one.
    """
    return x.abs().add_(1).sqrt_().sqrt_().sub_(1).mul_(4).copysign_(x)


def expand(y: Tensor) -> Tensor:
    """Return the inverse of `compress`."""
    return (y.abs() / 4 + 1).pow_(4).sub_(1).copysign_(y)
