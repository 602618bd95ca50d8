"""Hurdle sweep: what `models.flows.hurdle` says of dimensions that may be unlit, without a choice.

Lit or not, every number goes the same way through plain sweeps of memory: nothing is gathered, no
shape depends on what is in a shower, and a shower gets the same bits whatever is beside it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from models.flows.hurdle import FAR_CUT, HALF_LOG_2PI, SURE
from models.flows.normal_tails import Sheets, Sides, quantile, sides

LEAST = 1e-30
"""Probability below which a difference of two is no longer told from rounding."""


class Dimensions(NamedTuple):
    """Dimensions that may be unlit, shape (H, N) each: showers last."""

    affine: Tensor
    """Value times slope plus shift."""

    slope: Tensor
    log_slope: Tensor
    odds: Tensor
    """Log odds of being lit beyond those of a censored variable."""

    gap: Tensor
    """Value less floor, 0 where unlit."""

    draws: Tensor
    """As of `models.flows.interface.Sparse`."""


def sweep(of: Dimensions, sheets: Sheets) -> tuple[Tensor, Tensor]:
    """Return log p and latent of each dimension, shape (H, N) each, on new sheets."""
    lit = of.draws >= 1
    cut = _bounded(torch.addcmul(of.affine, of.gap, of.slope, value=-1, out=sheets.take()), sheets)
    value = torch.addcmul(cut, of.gap, of.slope, out=sheets.take())
    floor = sides(cut, sheets)
    odds = floor.log_odds.add_(of.odds)
    excess = torch.abs(odds, out=sheets.take()).neg_().exp_().log1p_()
    log_lit = torch.clamp(odds, max=0, out=sheets.take()).sub_(excess)
    log_unlit = torch.neg(odds, out=sheets.take()).clamp_(max=0).sub_(excess)
    # Where next to nothing is unlit or cut off, what is lit is plainly normal.
    plain = lit & (odds >= SURE) & (cut <= -SURE / 2.5)
    log_scale = torch.sub(log_lit, floor.log_above, out=floor.log_above)
    density = torch.mul(value, value, out=excess).mul_(-0.5).add_(of.log_slope)
    density.sub_(HALF_LOG_2PI).add_(log_scale)
    log_p = torch.where(lit, density, log_unlit, out=sheets.take())
    unlit = torch.exp(log_unlit, out=excess)
    log_below, log_above = _lit(sides(value, sheets), floor.below, log_scale, unlit, sheets)
    drawn = torch.sub(1, of.draws, out=odds).mul_(unlit).add_(log_lit.exp_()).log_()
    torch.where(lit, log_above, drawn, out=log_above)
    drawn = torch.log(of.draws, out=odds).add_(log_unlit)
    torch.where(lit, log_below, drawn, out=log_below)
    latent = quantile(log_below, log_above, sheets)
    torch.where(plain, value, latent, out=latent)
    sheets.give(cut, value, odds, excess, log_lit, log_unlit, log_scale, floor.below)
    sheets.give(log_below, log_above)
    return log_p, latent


def _lit(
    value: Sides, floor: Tensor, log_scale: Tensor, unlit: Tensor, sheets: Sheets
) -> tuple[Tensor, Tensor]:
    """Return the log probabilities of less and of more than a lit value, where its sides are."""
    scale = torch.exp(log_scale, out=sheets.take())
    between = torch.sub(value.below, floor, out=value.log_odds).clamp_(min=0)
    between.mul_(scale).add_(unlit)
    at_most = scale.mul_(value.below)
    below = torch.where(between > LEAST, between, at_most, out=between).log_()
    sheets.give(scale, value.below)
    return below, value.log_above.add_(log_scale)


def _bounded(cut: Tensor, sheets: Sheets) -> Tensor:
    """Return standardised floors, none of them beyond `FAR_CUT`, smoothly; written over them."""
    excess = torch.sub(cut, FAR_CUT, out=sheets.take()).abs_().mul_(-4).exp_().log1p_()
    cut.clamp_(max=FAR_CUT).add_(excess, alpha=-0.25)
    sheets.give(excess)
    return cut
