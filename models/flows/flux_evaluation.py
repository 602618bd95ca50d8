"""The fast evaluation of `Flux`: showers last, a row for each cell and a column for each shower."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

import torch
from torch import nn

from models.flows.flux_ends import Ends
from models.flows.hurdle import HALF_LOG_2PI, SLOPE
from models.flows.interface import FlowOutput
from models.flows.masked_products import BEFORE_ALL, Masked, everything
from models.flows.networks import unit_places

if TYPE_CHECKING:
    from torch import Tensor

    from models.flows.interface import Features
    from models.flows.shapes import FluxConfig


class FluxEvaluation:
    """What a trained `Flux` says, of the weights as they were when it was made."""

    def __init__(
        self,
        shape: FluxConfig,
        encoder: nn.Sequential,
        decoder: nn.Sequential,
        standard: tuple[Tensor, Tensor],
        masked: nn.Sequential,
        *,
        dense: bool = False,
    ) -> None:
        """Take the weights.

        Parameters
        ----------
        standard
            Mean and scale of the code, shape (M,) each.
        masked
            The network of the flow, shift and log scale of each dimension side by side.
        dense
            Whether its masks are not those of `models.flows.networks.masked`.
        """
        self.ends = ends = Ends(shape, encoder, decoder, standard)
        self.cuts = (
            slice(ends.head),
            slice(ends.head, ends.code),
            slice(ends.code, shape.width),
        )
        *hidden, last = (layer for layer in masked if isinstance(layer, nn.Linear))
        places = [*shape.order, *[BEFORE_ALL] * shape.n_context]
        before, up_to = (everything, everything) if dense else (bisect_left, bisect_right)
        self.hidden: list[Masked] = []
        for layer in hidden:
            units = unit_places(max(shape.order) + 1, layer.out_features)
            sees = before if not self.hidden else up_to
            self.hidden.append(Masked(layer, units, places, sees=sees))
            places = units
        # zuko interleaves shift and log scale of the dimensions.
        self.shift, self.log_scale = (
            Masked(last, shape.order, places, of=slice(of, None, 2), sees=up_to) for of in (0, 1)
        )
        self._rooms = _Rooms()

    @torch.inference_mode()
    def __call__(self, features: Features) -> FlowOutput:
        """Return what the flow says; all of it is stored with the showers last."""
        cells, layers, conditions = (part.t() for part in features[:3])
        cells = cells.contiguous()
        n = cells.shape[1]
        flat, *activities, log_scale, latents, spare = self._room(n, conditions)
        values = flat[len(flat) - len(latents) :]
        residuals = self.ends.fill(values, cells, layers, conditions)
        seen = flat
        for layer, activity in zip(self.hidden, activities, strict=True):
            layer(seen, activity[1:]).relu_()
            seen = activity
        self.log_scale(seen, log_scale)
        self.shift(seen, latents)
        log_scale.div_(torch.abs(log_scale, out=spare).mul_(-1 / SLOPE).add_(1))
        latents.addcmul_(values, torch.exp(log_scale, out=spare))
        stages = self._stages(torch.mul(latents, latents, out=spare), log_scale)
        return FlowOutput(stages.t(), self.ends.arranged(latents, layers).t(), residuals.t())

    def apart(self, features: Features) -> FlowOutput:
        """Return the same to rounding, with new memory for every step: what compilers make one of."""
        cells, layers, conditions = (part.t() for part in features[:3])
        values, residuals = self.ends.filled(cells, layers, conditions)
        one = torch.ones_like(conditions[:1])
        seen = torch.cat([one, conditions, values])
        for layer in self.hidden:
            seen = torch.cat([one, layer.apart(seen).relu()])
        steep = self.log_scale.apart(seen)
        log_scale = steep / (steep.abs() * (-1 / SLOPE) + 1)
        latents = self.shift.apart(seen) + values * log_scale.exp()
        stages = self._stages(latents * latents, log_scale)
        return FlowOutput(stages.t(), self.ends.rearranged(latents, layers).t(), residuals.t())

    def _stages(self, square: Tensor, log_scale: Tensor) -> Tensor:
        """Return -log p of the stages, shape (T, N)."""
        nll = [0.5 * square[cut].sum(0) - log_scale[cut].sum(0) for cut in self.cuts]
        constants = [HALF_LOG_2PI * (cut.stop - (cut.start or 0)) for cut in self.cuts]
        return torch.stack([one + added for one, added in zip(nll, constants, strict=True)])

    def _room(self, n: int, conditions: Tensor) -> list[Tensor]:
        """Return what is written over by every call of this thread, for n showers.

        First what the masked network sees: ones, for the bias, conditions and dimensions; then the
        activity of each hidden layer, ones first; log scales, latents, and one to spare.
        """
        rooms = self._rooms.of
        if n not in rooms:
            width = self.cuts[-1].stop
            rows = [1 + len(conditions) + width, *(1 + layer.width for layer in self.hidden)]
            room = [conditions.new_empty(r, n) for r in (*rows, width, width, width)]
            for seen in room[: len(rows)]:
                seen[0] = 1.0
            rooms.clear()
            rooms[n] = room
        flat = rooms[n][0]
        flat[1 : 1 + len(conditions)] = conditions
        return rooms[n]


class _Rooms(threading.local):
    """The memory of each thread, by the number of showers."""

    def __init__(self) -> None:
        self.of: dict[int, list[Tensor]] = {}
