"""The fast evaluation of `Flux`: showers last, so that every step is a plain sweep of memory.

A tensor holds a row for each cell and a column for each shower. Half of the entries of a masked matrix
are zero: hidden units and outputs are put in the order of what they see, and each group of them is
multiplied with the inputs that its last one sees and no others.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from models.flows.hurdle import HALF_LOG_2PI, SLOPE
from models.flows.interface import FlowOutput
from models.flows.networks import unit_places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.flows.interface import Features
    from models.flows.shapes import FluxConfig

GROUP = 64
"""Outputs of a masked layer that are multiplied together: with fewer, products are too small to be
fast; with more, they hold more zeros."""

BEFORE_ALL = -1
"""Place of what every output may depend on."""


class FluxEvaluation:
    """What a trained `Flux` says, of the weights as they were when it was made."""

    def __init__(
        self,
        shape: FluxConfig,
        encoder: nn.Sequential,
        decoder: nn.Sequential,
        standard: tuple[Tensor, Tensor],
        masked: nn.Sequential,
    ) -> None:
        """Take the weights.

        Parameters
        ----------
        standard
            Mean and scale of the code, shape (M,) each.
        masked
            The network of the flow, shift and log scale of each dimension side by side.
        """
        self.head = shape.n_layers - 1
        self.code = self.head + shape.latents
        self.encoder, self.decoder = _Coder(encoder), _Coder(decoder)
        mean, scale = standard
        self.mean, self.scale = mean[:, None].clone(), 1 / scale[:, None]
        self.cuts = (
            slice(self.head),
            slice(self.head, self.code),
            slice(self.code, shape.width),
        )
        *hidden, last = (layer for layer in masked if isinstance(layer, nn.Linear))
        # Layers and code come first, and cells after them by their group.
        self.sorted = _order(shape.group).to(self.mean.device)
        self.back = torch.argsort(self.sorted)
        places = [*shape.order, *[BEFORE_ALL] * shape.n_context]
        self.hidden: list[_Masked] = []
        for layer in hidden:
            units = unit_places(max(shape.order) + 1, layer.out_features)
            self.hidden.append(_Masked(layer, units, places, strictly=not self.hidden))
            places = units
        # zuko interleaves shift and log scale of the dimensions.
        self.shift, self.log_scale = (
            _Masked(last, shape.order, places, of=slice(of, None, 2)) for of in (0, 1)
        )
        self._rooms = _Rooms()

    @torch.inference_mode()
    def __call__(self, features: Features) -> FlowOutput:
        """Return what the flow says; all of it is stored with the showers last."""
        cells, layers, conditions = (part.t() for part in features[:3])
        cells = cells.contiguous()
        n = cells.shape[1]
        flat, *activities, log_scale, latents, spare = self._room(n, conditions)
        code = self.encoder(cells, conditions)
        residuals = self.decoder.left(cells, code, conditions)
        values = flat[len(flat) - len(latents) :]
        values[: self.head] = layers[1:]
        torch.sub(code, self.mean, out=values[self.head : self.code]).mul_(self.scale)
        torch.index_select(residuals, 0, self.sorted, out=values[self.code :])
        seen = flat
        for layer, activity in zip(self.hidden, activities, strict=True):
            layer(seen, activity[1:]).relu_()
            seen = activity
        self.log_scale(seen, log_scale)
        self.shift(seen, latents)
        log_scale.div_(torch.abs(log_scale, out=spare).mul_(-1 / SLOPE).add_(1))
        latents.addcmul_(values, torch.exp(log_scale, out=spare))
        square = torch.mul(latents, latents, out=spare)
        arranged = cells.new_empty(len(cells) + len(layers), n)
        torch.index_select(latents[self.code :], 0, self.back, out=arranged[: len(cells)])
        arranged[len(cells)] = layers[0]
        arranged[len(cells) + 1 :] = latents[: self.head]
        nll = [0.5 * square[cut].sum(0) - log_scale[cut].sum(0) for cut in self.cuts]
        constants = [HALF_LOG_2PI * (cut.stop - (cut.start or 0)) for cut in self.cuts]
        stages = torch.stack([one + added for one, added in zip(nll, constants, strict=True)])
        return FlowOutput(stages.t(), arranged.t(), residuals.t())

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


class _Masked:
    """A masked linear layer, as dense products of what its outputs see.

    Outputs and inputs are in the order of their places.

    Parameters
    ----------
    layer
        With `mask`, as zuko's are.
    places, inputs
        Place of each output and of each input.
    strictly
        Whether outputs see the inputs before their place, not those of it.
    of
        Which rows of the layer are the outputs.
    """

    def __init__(
        self,
        layer: nn.Linear,
        places: Sequence[int],
        inputs: Sequence[int],
        *,
        strictly: bool = False,
        of: slice = slice(None),
    ) -> None:
        self.width = len(places)
        mask = layer.mask
        assert isinstance(mask, Tensor)  # noqa: S101  what zuko's masked layers hold
        # The bias comes first: it is the weight of an input that is 1.
        rows, columns = (_order(each).to(layer.bias.device) for each in (places, inputs))
        weight = (layer.weight.detach() * mask)[of][rows][:, columns]
        whole = torch.cat([layer.bias.detach()[of][rows, None], weight], 1)
        ordered, before = sorted(places), sorted(inputs)
        sees = bisect_left if strictly else bisect_right
        count = -(-self.width // max(1, self.width // GROUP))
        self.parts: list[tuple[slice, int, Tensor]] = []
        for start in range(0, self.width, count):
            part = slice(start, min(start + count, self.width))
            last = 1 + sees(before, ordered[part.stop - 1])
            self.parts.append((part, last, whole[part, :last].contiguous()))

    def __call__(self, x: Tensor, out: Tensor) -> Tensor:
        """Return the outputs of inputs with a row of ones before them, shape (outputs, N)."""
        for rows, last, weight in self.parts:
            torch.mm(weight, x[:last], out=out[rows])
        return out


class _Coder:
    """Encoder or decoder, of showers last."""

    def __init__(self, network: nn.Sequential) -> None:
        first, last = (layer for layer in network if isinstance(layer, nn.Linear))
        weight = first.weight.detach()
        self.first, self.offset = weight.clone(), first.bias.detach()[:, None].clone()
        self.last, self.bias = last.weight.detach().clone(), last.bias.detach()[:, None].clone()

    def _hidden(self, x: Tensor, conditions: Tensor) -> Tensor:
        of_conditions = torch.addmm(self.offset, self.first[:, len(x) :], conditions)
        return torch.nn.functional.silu(
            of_conditions.addmm_(self.first[:, : len(x)], x), inplace=True
        )

    def __call__(self, x: Tensor, conditions: Tensor) -> Tensor:
        """Return the outputs, shape (outputs, N)."""
        return torch.addmm(self.bias, self.last, self._hidden(x, conditions))

    def left(self, cells: Tensor, code: Tensor, conditions: Tensor) -> Tensor:
        """Return what is left of cells less the outputs, shape (V, N)."""
        left = torch.addmm(self.bias, self.last, self._hidden(code, conditions))
        return torch.sub(cells, left, out=left)


def _order(places: Sequence[int]) -> Tensor:
    """Return the indices by place, equals as they come."""
    return torch.tensor(sorted(range(len(places)), key=places.__getitem__))
