"""Networks: those of all families, built without ever holding cells times cells of anything."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, Self

import torch
import zuko
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def calm(network: nn.Module) -> None:
    """Begin near the identity: make the weights of the last linear layer small."""
    last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
    with torch.no_grad():
        last.weight.mul_(0.1)
        last.bias.zero_()


def masked(
    places: Sequence[int], context: int, outputs: Sequence[int], hidden: Sequence[int]
) -> nn.Sequential:
    """Return a network whose outputs depend on the inputs of earlier places alone.

    After Germain, Gregor, Murray and Larochelle, arXiv:1502.03509. Every hidden unit has a place
    too, and hidden units are spread evenly over the places.

    Parameters
    ----------
    places
        Place of each input in the order: 0, 1, 2, ... without a hole.
    context
        Inputs at the end, 1 or more, that every output may depend on.
    outputs
        Place of each output: it sees the inputs of places before it.
    hidden
        Units of each hidden layer.
    """
    n_places = max(places) + 1
    before = torch.cat([torch.tensor(places), torch.full((context,), -1)])
    layers: list[nn.Module] = []
    for width in hidden:
        place = torch.tensor(unit_places(n_places, width))
        earlier = before < place[:, None] if not layers else before <= place[:, None]
        layers += [zuko.nn.MaskedLinear(earlier), nn.ReLU()]
        before = place
    last = torch.tensor(outputs)[:, None]
    return nn.Sequential(*layers, zuko.nn.MaskedLinear(before <= last))


def unit_places(n_places: int, width: int) -> list[int]:
    """Return the place of each unit of a hidden layer: it sees inputs before it, and units up to it."""
    if width >= n_places:
        return [unit % n_places for unit in range(width)]
    return [unit * (n_places - 1) // (width - 1 or 1) for unit in range(width)]


class Autoregressive(zuko.flows.MaskedAutoregressiveTransform):  # type: ignore[misc]  # untyped
    """zuko's transformation of two or more dimensions, with the network of `masked`."""

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Return one for any number of dimensions."""
        made: Autoregressive = nn.Module.__new__(cls)
        return made

    def __init__(
        self,
        order: Sequence[int],
        context: int,
        hidden: Sequence[int],
        univariate: Callable[..., Any] = zuko.transforms.MonotonicAffineTransform,
        shapes: Sequence[tuple[int, ...]] = ((), ()),
    ) -> None:
        nn.Module.__init__(self)
        self.univariate, self.shapes = univariate, shapes
        self.total = sum(prod(shape) for shape in shapes)
        self.passes = max(order) + 1
        self.register_buffer("order", torch.tensor(order))
        outputs = [place for place in order for _ in range(self.total)]
        self.hyper = masked(order, context, outputs, hidden)
