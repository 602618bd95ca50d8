"""The fast evaluation of `Flux` where cells may be unlit: showers last, a few dimensions at a time.

What a flow says of a dimension takes a hundred sweeps. Dimensions are taken so few at a time that all
of these stay in the cache of a core, and that a detector of very many cells needs no more memory.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from models.flows.flux_ends import Ends
from models.flows.hurdle import HALF_LOG_2PI, SLOPE
from models.flows.hurdle_sweep import Dimensions, sweep
from models.flows.interface import FlowOutput
from models.flows.masked_products import BEFORE_ALL, Masked, by_place
from models.flows.networks import unit_places
from models.flows.normal_tails import Sheets

if TYPE_CHECKING:
    from torch import Tensor

    from models.flows.interface import Features
    from models.flows.shapes import FluxConfig

AT_ONCE = 256
"""Dimensions that are evaluated together."""


class _Part(NamedTuple):
    """Dimensions that are evaluated together, all of one stage."""

    stage: int
    rows: slice
    """Which they are, in their order."""

    shift: Masked
    log_slope: Masked
    odds: Masked | None
    """None if none of them may be unlit."""

    sparse: slice
    """Which of those that may be unlit they hold, in their order."""

    some: Tensor | None
    """Which rows of the part may be unlit; None if all may."""


class SparseEvaluation:
    """What a trained `Flux` says, of the weights as they were when it was made."""

    def __init__(
        self,
        shape: FluxConfig,
        encoder: nn.Sequential,
        decoder: nn.Sequential,
        standard: tuple[Tensor, Tensor],
        network: nn.Sequential,
    ) -> None:
        """Take the weights; see `models.flows.flux_evaluation.FluxEvaluation`.

        Parameters
        ----------
        network
            Of the hurdle.
        """
        self.shape = shape
        self.ends = Ends(shape, encoder, decoder, standard)
        self.order = by_place(shape.order).tolist()
        of_sparse = [shape.order[i] for i in shape.hurdles]
        sparse = by_place(of_sparse)
        self.sparse = torch.tensor(shape.sparse)[sparse].to(standard[0].device)
        *hidden, last = (layer for layer in network if isinstance(layer, nn.Linear))
        self._hidden(hidden, of_sparse)
        self.parts = self._parts(last, sparse)
        self._rooms = _Rooms()

    def _hidden(self, hidden: list[nn.Linear], of_sparse: list[int]) -> None:
        """Take the hidden layers; the first one sees values and conditions, and what is lit."""
        width, c, last_place = self.shape.width, self.shape.n_context, max(self.shape.order)
        lit = width + torch.arange(len(of_sparse))
        seen = torch.cat([torch.arange(width), width + len(of_sparse) + torch.arange(c)])
        places = [*self.shape.order, *[BEFORE_ALL] * c]
        units = unit_places(last_place + 1, hidden[0].out_features)
        self.first = Masked(hidden[0], units, places, sees=bisect_left, given=seen)
        self.of_lit = Masked(hidden[0], units, of_sparse, sees=bisect_left, given=lit, bias=False)
        self.hidden: list[Masked] = []
        for layer in hidden[1:]:
            before, units = units, unit_places(last_place + 1, layer.out_features)
            self.hidden.append(Masked(layer, units, before))
        self.units = units

    def _parts(self, last: nn.Linear, sparse: Tensor) -> list[_Part]:
        """Return the dimensions in their order, a few at a time."""
        hurdles = [self.shape.hurdles[i] for i in sparse.tolist()]
        place = dict(zip(hurdles, sparse.tolist(), strict=True))
        parts, begin = [], 0
        edges = [0, self.ends.head, self.ends.code, self.shape.width]
        for stage, (first, stop) in enumerate(pairwise(edges)):
            for start in range(first, stop, AT_ONCE):
                rows = slice(start, min(start + AT_ONCE, stop))
                mine = self.order[rows]
                some = [row for row, i in enumerate(mine) if i in place]
                odds = [2 * self.shape.width + place[mine[row]] for row in some]
                end = begin + len(some)
                parts.append(
                    _Part(
                        stage,
                        rows,
                        self._outputs(last, mine, mine),
                        self._outputs(last, [self.shape.width + i for i in mine], mine),
                        self._outputs(last, odds, [mine[row] for row in some]) if some else None,
                        slice(begin, end),
                        None if len(some) == len(mine) else torch.tensor(some).to(last.bias.device),
                    )
                )
                begin = end
        return parts

    def _outputs(self, last: nn.Linear, rows: list[int], dimensions: list[int]) -> Masked:
        places = [self.shape.order[i] for i in dimensions]
        return Masked(last, places, self.units, of=torch.tensor(rows))

    @torch.inference_mode()
    def __call__(self, features: Features) -> FlowOutput:
        """Return what the flow says; all of it is stored with the showers last."""
        if features.sparse is None:
            raise ValueError(
                "the model is of cells that may be unlit: its features must say which are"
            )
        cells, layers, conditions = (part.t().contiguous() for part in features[:3])
        floor, draws = (part.t() for part in features.sparse)
        n = cells.shape[1]
        desk, (flat, lit, *activities) = self._room(n, conditions)
        values = flat[len(flat) - self.shape.width :]
        residuals = self.ends.fill(values, cells, layers, conditions)
        seen = self._activity(flat, torch.ge(draws[self.sparse], 1, out=lit), activities)
        nll = cells.new_zeros(3, n)
        latents = cells.new_empty(self.shape.width, n)
        whole = torch.cat([layers[1:], cells])
        for part in self.parts:
            at = self.sparse[part.sparse]
            of = desk.of(len(at))
            gap = torch.index_select(whole, 0, at, out=of.take())
            own = torch.index_select(floor, 0, at, out=of.take())
            gap.sub_(own)
            torch.index_select(draws, 0, at, out=own)
            log_p, found = _of_part(part, seen, values[part.rows], (gap, own), desk)
            latents[part.rows] = found
            nll[part.stage] -= log_p.sum(0)
            of.give(gap, own)
            desk.of(len(found)).give(log_p, found)
        return FlowOutput(nll.t(), self.ends.arranged(latents, layers).t(), residuals.t())

    def _activity(self, flat: Tensor, lit: Tensor, activities: list[Tensor]) -> Tensor:
        """Return the activity of the last hidden layer, a row of ones before it."""
        first, *others = activities
        self.first(flat, first[1:])
        self.of_lit.add(lit, first[1:]).relu_()
        for layer, before, after in zip(self.hidden, activities[:-1], others, strict=True):
            layer(before, after[1:]).relu_()
        return activities[-1]

    def _room(self, n: int, conditions: Tensor) -> tuple[_Desk, list[Tensor]]:
        """Return what is written over by every call of this thread, for n showers.

        First what the masked network sees: ones, for the bias, conditions and dimensions; what is
        lit; then the activity of each hidden layer, ones first.
        """
        rooms = self._rooms
        if n not in rooms.of:
            widths = [len(conditions) + self.shape.width, self.first.width]
            widths += [layer.width for layer in self.hidden]
            flat, *activities = (conditions.new_ones(1 + width, n) for width in widths)
            desk = _Desk(conditions)
            rooms.of = {n: (desk, [flat, conditions.new_empty(len(self.sparse), n), *activities])}
        desk, room = rooms.of[n]
        room[0][1 : 1 + len(conditions)] = conditions
        return desk, room


class _Rooms(threading.local):
    """The memory of each thread, by the number of showers."""

    def __init__(self) -> None:
        self.of: dict[int, tuple[_Desk, list[Tensor]]] = {}


class _Desk:
    """Memory for the parts, by how many dimensions are evaluated together."""

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._of: dict[int, Sheets] = {}

    def of(self, rows: int) -> Sheets:
        """Return the sheets of so many rows."""
        if rows not in self._of:
            self._of[rows] = Sheets(self._like.new_empty(rows, self._like.shape[1]))
        return self._of[rows]


def _of_part(
    part: _Part, seen: Tensor, values: Tensor, dimensions: tuple[Tensor, Tensor], desk: _Desk
) -> tuple[Tensor, Tensor]:
    """Return log p and latents of some dimensions, shape (rows, N) each, on sheets.

    Parameters
    ----------
    dimensions
        Gap and draws of those that may be unlit, shape (hurdles, N); see `Dimensions`.
    """
    gap, draws = dimensions
    sheets, of = desk.of(len(values)), desk.of(len(gap))
    log_slope, slope = part.log_slope(seen, sheets.take()), sheets.take()
    log_slope.div_(torch.abs(log_slope, out=slope).mul_(-1 / SLOPE).add_(1))
    torch.exp(log_slope, out=slope)
    affine = part.shift(seen, sheets.take()).addcmul_(values, slope)
    mine: tuple[Tensor, ...] = (affine, slope, log_slope)
    if part.odds is not None:
        odds = part.odds(seen, of.take())
        if part.some is not None:
            mine = tuple(torch.index_select(m, 0, part.some, out=of.take()) for m in mine)
        log_p, latents = sweep(Dimensions(mine[0], mine[1], mine[2], odds, gap, draws), of)
        of.give(*mine, odds)
        if part.some is None:
            return log_p, latents
    plain = torch.mul(affine, affine, out=slope).mul_(-0.5).add_(log_slope).sub_(HALF_LOG_2PI)
    sheets.give(log_slope)
    if part.odds is None or part.some is None:
        return plain, affine
    of.give(log_p, latents)
    return plain.index_copy_(0, part.some, log_p), affine.index_copy_(0, part.some, latents)
