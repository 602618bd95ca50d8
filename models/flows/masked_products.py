"""Products of masked layers and of coders: showers last, so that every step is a plain sweep of memory.

Half of the entries of a masked matrix are zero: hidden units and outputs are put in the order of what
they see, and each group of them is multiplied with the inputs that its last one sees and no others.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GROUP = 64
"""Outputs of a masked layer that are multiplied together: with fewer, products are too small to be
fast; with more, they hold more zeros."""

BEFORE_ALL = -1
"""Place of what every output may depend on."""


def everything(inputs: Sequence[int], _: int) -> int:
    """Return how many inputs there are: what sees everything leaves nothing out."""
    return len(inputs)


class Masked:
    """A masked linear layer, as dense products of what its outputs see.

    Outputs and inputs are in the order of their places.

    Parameters
    ----------
    layer
        With `mask`, as zuko's are.
    places, inputs
        Place of each output and of each input.
    sees
        Returns how many of the inputs, sorted by place, an output of a place may see: those up to it
        (`bisect_right`), those before it (`bisect_left`), or `everything`.
    of
        Which rows of the layer are the outputs.
    given
        Which of its columns are the inputs; all if not given.
    bias
        Whether the bias comes first: it is the weight of an input that is 1.
    """

    def __init__(
        self,
        layer: nn.Linear,
        places: Sequence[int],
        inputs: Sequence[int],
        *,
        sees: Callable[[Sequence[int], int], int] = bisect_right,
        of: slice | Tensor = slice(None),
        given: Tensor | None = None,
        bias: bool = True,
    ) -> None:
        self.width = len(places)
        mask = layer.mask
        assert isinstance(mask, Tensor)  # noqa: S101  what zuko's masked layers hold
        rows, columns = (by_place(each).to(layer.bias.device) for each in (places, inputs))
        columns = columns if given is None else given.to(columns.device)[columns]
        whole = (layer.weight.detach()[of] * mask[of])[rows][:, columns]
        if bias:
            whole = torch.cat([layer.bias.detach()[of][rows, None], whole], 1)
        ordered, before = sorted(places), sorted(inputs)
        count = -(-self.width // max(1, self.width // GROUP))
        self.parts: list[tuple[slice, int, Tensor]] = []
        for start in range(0, self.width, count):
            part = slice(start, min(start + count, self.width))
            last = int(bias) + sees(before, ordered[part.stop - 1])
            self.parts.append((part, last, whole[part, :last].contiguous()))

    def __call__(self, x: Tensor, out: Tensor) -> Tensor:
        """Return the outputs of inputs, with a row of ones before them for the bias, (outputs, N)."""
        for rows, last, weight in self.parts:
            torch.mm(weight, x[:last], out=out[rows])
        return out

    def apart(self, x: Tensor) -> Tensor:
        """Return the same in new memory, as compilers want it."""
        return torch.cat([torch.mm(weight, x[:last]) for _, last, weight in self.parts])

    def add(self, x: Tensor, out: Tensor) -> Tensor:
        """Add the outputs of inputs to what is there, shape (outputs, N)."""
        for rows, last, weight in self.parts:
            out[rows].addmm_(weight, x[:last])
        return out


class Coder:
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


def by_place(places: Sequence[int]) -> Tensor:
    """Return the indices by place, equals as they come."""
    return torch.tensor(sorted(range(len(places)), key=places.__getitem__))
