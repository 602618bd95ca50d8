"""Hurdle: cells that are mostly zero: is a cell lit, and if so, how much is in it.

An autoregressive step for dimensions that are at their floor, *unlit*, with a probability of their
own. Given what comes before in the order, a dimension is lit or not; if it is, its value is a normal
one cut off at the floor, as zero suppression cuts. The odds are those of a normal variable that is
censored at the floor (Tobin, Econometrica 26 (1958) 24), times a factor that is learned: noise that is
suppressed has a factor of one, and where a cell is always lit, next to no chance of being unlit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, softplus
from torch.special import log_ndtr, ndtr, ndtri

from models.flows.interface import Sparse
from models.flows.networks import calm, masked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.flows.interface import Features

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)

SLOPE = math.log(1e-3)
"""Bound on the log slope of an affine transformation, as zuko has it."""

FAR_CUT = 5.0
"""The mean of what is cut off is no more than so many deviations below the floor: beyond, the rest
is an exponential whatever the mean is, and differences of large numbers would be noise."""

FAR = 60.0
"""-log of a probability beyond which its normal quantile is taken from the asymptotic form."""

SURE = 16.0
"""-log of the probabilities of being unlit and cut off below which a latent is plainly affine."""


def hidden(features: Features, sparse: Sequence[int], values: Tensor) -> Sparse:
    """Return floors and draws of some of the H dimensions that may be unlit.

    Parameters
    ----------
    values
        Their values in the coordinates of a flow, which may be shifted against those of the
        features: floors are in the same, shape (N, len(sparse)).
    """
    if features.sparse is None:
        raise ValueError("the model is of cells that may be unlit: its features must say which are")
    at = list(sparse)
    seen = torch.cat([features.layers[:, 1:], features.cells], 1)[:, at]
    floor, draws = (part[:, at] for part in features.sparse)
    return Sparse(values + (floor - seen), draws)


class Hurdle(nn.Module):
    """Autoregressive hurdle over D dimensions, H of which may be unlit."""

    network: nn.Sequential
    order: Tensor
    sparse: Tensor

    def __init__(
        self, order: Sequence[int], sparse: Sequence[int], context: int, hidden: Sequence[int]
    ) -> None:
        """Make an untrained one.

        Parameters
        ----------
        order
            Place of each dimension; equals are independent given what comes before.
        sparse
            The dimensions that may be unlit, H of them.
        context
            Conditions, C of them.
        """
        super().__init__()
        self.passes = max(order) + 1
        self.width = len(order)
        self.register_buffer("sparse", torch.tensor(sparse, dtype=torch.int64))
        self.register_buffer("order", torch.tensor(order))
        of_sparse = [order[i] for i in sparse]
        outputs = (*order, *order, *of_sparse)
        self.network = masked((*order, *of_sparse), context, outputs, hidden)
        calm(self.network)

    @torch.no_grad()
    def begin(self, floor: Tensor, draws: Tensor) -> None:
        """Begin with each dimension lit as often as in some showers, whatever else they hold."""
        lit = (draws >= 1).sum(0)
        odds = ((lit + 0.5) / (len(draws) - lit + 0.5)).log()
        last = self.network[-1].bias
        assert isinstance(last, Tensor)  # noqa: S101  what `masked` ends with
        last[2 * self.width :] = odds - _censored(_bounded(floor.mean(0)))

    def forward(
        self, x: Tensor, floor: Tensor, draws: Tensor, context: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return log p and latent of every dimension, shape (N, D) each.

        Parameters
        ----------
        x
            Values, shape (N, D); where unlit, the floor.
        floor
            Least value of each sparse dimension, shape (N, H).
        draws
            Where unlit, a number in (0, 1) of the shower's own; 1 where lit, shape (N, H).
        context
            Shape (N, C).
        """
        latent, cut, odds, log_p = self._density(x, floor, draws, context)
        hidden = quantile(latent[:, self.sparse], cut, odds, draws)
        return log_p, latent.index_copy(1, self.sparse, hidden)

    def log_prob(self, x: Tensor, floor: Tensor, draws: Tensor, context: Tensor) -> Tensor:
        """Return log p of every dimension alone: what training needs, and can differentiate."""
        return self._density(x, floor, draws, context)[-1]

    def _density(
        self, x: Tensor, floor: Tensor, draws: Tensor, context: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return standardised values (N, D) and floors (N, H), log odds (N, H), log p (N, D)."""
        shift, log_slope, odds = self._heads(x, draws, context)
        value = x * log_slope.exp() + shift
        at = self.sparse
        wanted = floor * log_slope[:, at].exp() + shift[:, at]
        cut = _bounded(wanted)
        odds = odds + _censored(cut)
        value = value.index_add(1, at, cut - wanted)
        log_p = log_slope - 0.5 * value.square() - HALF_LOG_2PI
        lit = log_p[:, at] + logsigmoid(odds) - log_ndtr(-cut)
        found = torch.where(draws >= 1, lit, logsigmoid(-odds))
        return value, cut, odds, log_p.index_copy(1, at, found)

    def _heads(self, x: Tensor, draws: Tensor, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return shift and log slope (N, D), and log odds beyond the censored ones (N, H)."""
        seen = torch.cat([x, (draws >= 1).to(x), context], 1)
        sizes = [self.width, self.width, len(self.sparse)]
        shift, log_slope, odds = self.network(seen).split(sizes, 1)
        return shift, log_slope / (1 + (log_slope / SLOPE).abs()), odds

    @torch.no_grad()
    def inverse(self, latent: Tensor, floor: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return the values (N, D) of latents, and which sparse dimensions are lit (N, H)."""
        x, draws, at = torch.zeros_like(latent), torch.ones_like(floor), self.sparse
        for step in range(self.passes):
            shift, log_slope, odds = self._heads(x, draws, context)
            slope = log_slope.exp()
            now, z = (latent - shift) / slope, latent[:, at]
            cut = _bounded(floor * slope[:, at] + shift[:, at])
            odds = odds + _censored(cut)
            lit = ndtr(z) >= torch.sigmoid(-odds)
            beyond = (log_ndtr(-z) - logsigmoid(odds)).clamp(max=0) + log_ndtr(-cut)
            value = torch.maximum(-_far_quantile(beyond), cut)
            above = torch.where(lit, (value - cut) / slope[:, at], 0.0)
            now = now.index_copy(1, at, floor + above)
            mine = self.order == step
            x = torch.where(mine, now, x)
            draws = torch.where(mine[at], lit.to(draws), draws)
        return x, draws >= 1


def _bounded(cut: Tensor) -> Tensor:
    """Return standardised floors, none of them beyond `FAR_CUT`, smoothly."""
    return FAR_CUT - softplus(FAR_CUT - cut, beta=4.0)


def _censored(cut: Tensor) -> Tensor:
    """Return the log odds that a normal variable is beyond standardised floors."""
    odds: Tensor = log_ndtr(-cut) - log_ndtr(cut)
    return odds


def quantile(value: Tensor, cut: Tensor, odds: Tensor, draws: Tensor) -> Tensor:
    """Return latents, N(0, 1) if the model is right: randomised quantiles where unlit.

    After Dunn and Smyth, J. Comp. Graph. Stat. 5 (1996) 236.

    Parameters
    ----------
    value, cut
        Standardised values and floors.
    odds
        Log odds of being lit.
    draws
        As in `Hurdle`.
    """
    latent = value.clone()
    unlit = draws < 1
    # Where next to nothing is unlit or cut off, what is lit is plainly normal.
    near = ~unlit & ((odds < SURE) | (cut > -SURE / 2.5))
    z, k, o = value[near], cut[near], odds[near]
    log_lit = logsigmoid(o) - log_ndtr(-k)
    log_above = log_lit + log_ndtr(-z)
    below = torch.sigmoid(-o) + log_lit.exp() * (ndtr(z) - ndtr(k)).clamp_min(0)
    log_below = torch.where(
        below > 1e-30, below.log(), torch.logaddexp(logsigmoid(-o), log_lit + log_ndtr(z))
    )
    latent[near] = _quantile(log_below, log_above)
    o, u = odds[unlit], draws[unlit]
    log_below = logsigmoid(-o) + u.log()
    latent[unlit] = _quantile(log_below, (torch.sigmoid(o) + torch.sigmoid(-o) * (1 - u)).log())
    return latent


def _quantile(log_below: Tensor, log_above: Tensor) -> Tensor:
    """Return the normal quantile, from the smaller of the two probabilities."""
    tail = _far_quantile(torch.minimum(log_below, log_above))
    return torch.where(log_below < log_above, tail, -tail)


def _far_quantile(log_p: Tensor) -> Tensor:
    """Return the normal quantile of a log probability, however small.

    Beyond `FAR` by x² + log x² = -2 log p - log 2π, to 1e-3.
    """
    w = (-2 * log_p - 2 * HALF_LOG_2PI).clamp_min(FAR)
    square = w - (w - w.log()).log()
    return torch.where(log_p < -FAR, -square.sqrt(), ndtri(log_p.clamp_min(-FAR).exp()))
