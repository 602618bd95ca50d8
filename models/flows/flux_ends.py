"""Ends: what both fast evaluations of `Flux` do before its masked network and after it.

Showers last: a row for each dimension and a column for each shower. Dimensions are in the order of the
flow: layers, code, and cells by their group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from models.flows.masked_products import Coder, by_place

if TYPE_CHECKING:
    from torch import Tensor, nn

    from models.flows.shapes import FluxConfig


class Ends:
    """The coders of a trained `Flux`, and the order of its dimensions.

    Parameters
    ----------
    standard
        Mean and scale of the code, shape (M,) each.
    """

    def __init__(
        self,
        shape: FluxConfig,
        encoder: nn.Sequential,
        decoder: nn.Sequential,
        standard: tuple[Tensor, Tensor],
    ) -> None:
        self.head = shape.n_layers - 1
        self.code = self.head + shape.latents
        self._encoder, self._decoder = Coder(encoder), Coder(decoder)
        mean, scale = standard
        self._mean, self._scale = mean[:, None].clone(), 1 / scale[:, None]
        self._sorted = by_place(shape.group).to(mean.device)
        self._back = torch.argsort(self._sorted)

    def fill(self, values: Tensor, cells: Tensor, layers: Tensor, conditions: Tensor) -> Tensor:
        """Write the dimensions of showers to values; return what the decoder leaves, (V, N)."""
        code = self._encoder(cells, conditions)
        residuals = self._decoder.left(cells, code, conditions)
        values[: self.head] = layers[1:]
        torch.sub(code, self._mean, out=values[self.head : self.code]).mul_(self._scale)
        torch.index_select(residuals, 0, self._sorted, out=values[self.code :])
        return residuals

    def filled(self, cells: Tensor, layers: Tensor, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `fill` writes and what it returns, in new memory."""
        code = self._encoder(cells, conditions)
        residuals = self._decoder.left(cells, code, conditions)
        standard = (code - self._mean) * self._scale
        return torch.cat([layers[1:], standard, residuals[self._sorted]]), residuals

    def rearranged(self, latents: Tensor, layers: Tensor) -> Tensor:
        """Return what `arranged` does, as compilers want it."""
        return torch.cat([latents[self.code :][self._back], layers[:1], latents[: self.head]])

    def arranged(self, latents: Tensor, layers: Tensor) -> Tensor:
        """Return latents as `FlowOutput` has them: cells in their order, then layers, (V + L, N)."""
        n_cells = len(self._back)
        out = latents.new_empty(n_cells + len(layers), latents.shape[1])
        torch.index_select(latents[self.code :], 0, self._back, out=out[:n_cells])
        out[n_cells] = layers[0]
        out[n_cells + 1 :] = latents[: self.head]
        return out
