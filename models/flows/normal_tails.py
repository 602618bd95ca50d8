"""Normal tails: probabilities and quantiles by plain sweeps of arithmetic over single precision.

Libraries compute these a number at a time; a sweep of additions and products over many is several
times faster, and the same for every number, whatever is beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_TAIL = (-1.61208565, 0.911575851, -2.66425675, 0.981978762, -0.314984753)
_TAIL_BELOW = (1.0, 0.0548424257, 1.8420795, 0.434388644, 0.560752178)
"""Least largest error of log(P(Z > t) exp(t²/2) / u) in u = 1 / (1 + t/2), t >= 0: 6e-8."""

_CENTRE = (3.3871327179, 50.434271938, 159.29113202, 59.109374720)
_CENTRE_BELOW = (1.0, 17.895169469, 78.757757664, 67.187563600)
_NEAR = (1.4234372777, 2.7568153900, 1.3067284816, 0.17023821103)
_NEAR_BELOW = (1.0, 0.73700164250, 0.12021132975)
_FAR = (6.6579051150, 3.0812263860, 0.42868294337, 0.017337203997)
_FAR_BELOW = (1.0, 0.24197894225, 0.012258202635)
"""Algorithm AS 241, PPND7: Wichura, Appl. Statist. 37 (1988) 477."""


class Sides(NamedTuple):
    """What a standard normal variable does on either side of some values."""

    log_odds: Tensor
    """Log probability above less that below."""

    log_above: Tensor
    below: Tensor


class Sheets:
    """Memory of one shape for what is computed on the way: new memory costs more than the sums do."""

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._free: list[Tensor] = []

    def take(self) -> Tensor:
        """Return a sheet that holds anything."""
        return self._free.pop() if self._free else torch.empty_like(self._like)

    def give(self, *sheets: Tensor) -> None:
        """Give back sheets that are no longer read."""
        self._free.extend(sheets)


def sides(x: Tensor, sheets: Sheets) -> Sides:
    """Return what lies on either side of any values, logs to 4e-7 of them or of 1, on new sheets."""
    log_small, log_large = _log_tail(x, sheets), sheets.take()
    torch.log1p(torch.exp(log_small, out=log_large).neg_(), out=log_large)
    odds = torch.sub(log_large, log_small, out=log_small).copysign_(x).neg_()
    above = torch.clamp(odds, max=0, out=sheets.take()).add_(log_large)
    positive = torch.clamp(odds, min=0, out=sheets.take())
    below = log_large.sub_(positive).exp_()
    sheets.give(positive)
    return Sides(odds, above, below)


def quantile(log_below: Tensor, log_above: Tensor, sheets: Sheets) -> Tensor:
    """Return the normal quantile of probabilities of which both logs are known, to 1e-6 of it.

    However far out: beyond 1e-300 to 1e-3 of it. Its sheet is new.
    """
    root = torch.minimum(log_below, log_above, out=sheets.take())
    off = torch.exp(root, out=sheets.take()).neg_().add_(0.5)  # 0 in the middle, 1/2 far out
    square = torch.mul(off, off, out=sheets.take()).neg_().add_(0.180625)
    central = square >= 0
    centre = _ratio(square, _CENTRE, _CENTRE_BELOW, sheets).mul_(off)
    root.neg_().sqrt_()
    far = _ratio(torch.sub(root, 5.0, out=square), _FAR, _FAR_BELOW, sheets)
    is_near = root <= 5.0
    near = _ratio(root.sub_(1.6), _NEAR, _NEAR_BELOW, sheets)
    tail = torch.where(is_near, near, far, out=off)
    found = torch.where(central, centre, tail, out=root)
    found.copysign_(torch.sub(log_below, log_above, out=square))
    sheets.give(off, square, centre, near, far)
    return found


def _log_tail(x: Tensor, sheets: Sheets) -> Tensor:
    """Return log P(Z > |x|), on a new sheet."""
    u = torch.abs(x, out=sheets.take()).mul_(0.5).add_(1).reciprocal_()
    found = _ratio(u, _TAIL, _TAIL_BELOW, sheets).add_(u.log_())
    sheets.give(u)
    return found.addcmul_(x, x, value=-0.5)


def _ratio(x: Tensor, above: Sequence[float], below: Sequence[float], sheets: Sheets) -> Tensor:
    divisor = _polynomial(x, below, sheets.take())
    found = _polynomial(x, above, sheets.take()).div_(divisor)
    sheets.give(divisor)
    return found


def _polynomial(x: Tensor, coefficients: Sequence[float], out: Tensor) -> Tensor:
    *rest, last = coefficients
    torch.mul(x, last, out=out)
    for coefficient in reversed(rest[1:]):
        out.add_(coefficient).mul_(x)
    return out.add_(rest[0])
