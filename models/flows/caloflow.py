"""CaloFlow: a flow over layer energies and a flow over cells given them, as anomaly detector.

After Krause, Nachman, Pang, Shih and Zhu, arXiv:2312.11618 (PRD 110 035036): the densities that
a simulator learns score showers with no further training.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
import zuko
from torch import Tensor, nn

from models.flows.hurdle import HALF_LOG_2PI, Hurdle, hidden
from models.flows.interface import Features, FlowOutput, Phase, Sparse
from models.flows.networks import Autoregressive, calm

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.flows.shapes import CaloFlowConfig


class CaloFlow(nn.Module):
    """Flow I over layer energies, flow II over cells; see `models.flows.interface.Flow`."""

    family = "caloflow"
    stages = ("layers", "cells")
    reconstructs = False

    def __init__(self, config: CaloFlowConfig) -> None:
        super().__init__()
        self.shape = config
        head, c = len(config.layers) - 1, config.n_context
        self.layers = (
            _flow(
                [tuple(range(head))[:: -1 if b % 2 else 1] for b in range(config.layer_blocks)],
                c,
                config.layer_hidden,
                config,
            )
            if head
            else None
        )
        self.cells = _flow(list(config.orders()), c + head, config.cell_hidden, config)
        in_layers, in_cells = config.hurdles
        if in_layers:
            self.layer_hurdle = Hurdle(tuple(range(head)), in_layers, c, config.layer_hidden)
        if in_cells:
            self.cell_hurdle = Hurdle(config.orders()[0], in_cells, c + head, config.cell_hidden)

    @property
    def config(self) -> dict[str, Any]:
        """Return the fields of its `CaloFlowConfig`, as JSON values."""
        fields = asdict(self.shape)
        return fields if self.shape.sparse else {k: v for k, v in fields.items() if k != "sparse"}

    def phases(self) -> tuple[Phase, ...]:
        """Return the two flows, each after its hurdle; of one layer there is nothing to learn."""
        in_layers, in_cells = self.shape.hurdles
        head, v = len(self.shape.layers) - 1, self.shape.n_cells
        phases = []
        if in_layers:
            weights = self.layer_hurdle.parameters()
            begin = self._begin_layers
            phases.append(Phase("layer hurdle", begin, weights, self._layer_hurdle_loss, head))
        if self.layers is not None:
            weights = self.layers.parameters()
            phases.append(Phase("layers", _nothing, weights, lambda f: -self._layers(f)[0], head))
        if in_cells:
            weights = self.cell_hurdle.parameters()
            begin = self._begin_cells
            phases.append(Phase("cell hurdle", begin, weights, self._cell_hurdle_loss, v))
        weights = self.cells.parameters()
        return (*phases, Phase("cells", _nothing, weights, lambda f: -self._cells(f)[0], v))

    def _begin_layers(self, features: Features) -> None:
        _, floor, draws, _ = self._hurdle_of_layers(features)
        self.layer_hurdle.begin(floor, draws)

    def _begin_cells(self, features: Features) -> None:
        _, floor, draws, _ = self._hurdle_of_cells(features)
        self.cell_hurdle.begin(floor, draws)

    def _layer_hurdle_loss(self, features: Features) -> Tensor:
        return -self.layer_hurdle.log_prob(*self._hurdle_of_layers(features)).sum(1)

    def _cell_hurdle_loss(self, features: Features) -> Tensor:
        return -self.cell_hurdle.log_prob(*self._hurdle_of_cells(features)).sum(1)

    def _hurdle_of_layers(self, features: Features) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return what the hurdle of the layers sees."""
        in_layers, _ = self.shape.hurdles
        energies = features.layers[:, 1:]
        sparse = hidden(features, in_layers, energies[:, list(in_layers)])
        return energies, *sparse, features.conditions

    def _hurdle_of_cells(self, features: Features) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return what the hurdle of the cells sees."""
        head = len(self.shape.layers) - 1
        _, in_cells = self.shape.hurdles
        at = [head + i for i in in_cells]
        sparse = hidden(features, at, features.cells[:, list(in_cells)])
        return features.cells, *sparse, self._given(features)

    def _given(self, features: Features) -> Tensor:
        return torch.cat([features.conditions, features.layers[:, 1:]], 1)

    def _layers(self, features: Features) -> tuple[Tensor, Tensor]:
        """Return log p_I, shape (N,), and the latents of layers 1 to L - 1, shape (N, L - 1)."""
        energies = features.layers[:, 1:]
        log_lit = energies.new_zeros(len(energies))
        if self.layers is None:
            return log_lit, energies
        if self.shape.hurdles[0]:
            log_lit, energies = _beyond(self.layer_hurdle, self._hurdle_of_layers(features))
        log_p, latents = _evaluate(self.layers, energies, features.conditions)
        return log_p + log_lit, latents

    def _cells(self, features: Features) -> tuple[Tensor, Tensor]:
        """Return log p_II, shape (N,), and the latent of every cell, shape (N, V)."""
        cells = features.cells
        log_lit = cells.new_zeros(len(cells))
        if self.shape.hurdles[1]:
            log_lit, cells = _beyond(self.cell_hurdle, self._hurdle_of_cells(features))
        log_p, latents = _evaluate(self.cells, cells, self._given(features))
        return log_p + log_lit, latents

    def log_prob(self, features: Features) -> Tensor:
        """Return log p of the layer energies and of the cells given them, nats, shape (N, 2)."""
        return torch.stack([self._layers(features)[0], self._cells(features)[0]], 1)

    def latent(self, features: Features) -> Tensor:
        """Return the latents, shape (N, D): cells, the response, layers 1 to L - 1."""
        parts = (self._cells(features)[1], features.layers[:, :1], self._layers(features)[1])
        return torch.cat(parts, 1)

    @torch.no_grad()
    def sample(
        self, conditions: Tensor, generator: torch.Generator, floor: Tensor | None = None
    ) -> Features:
        """Return one generated shower for each row of the conditions, the response included."""

        def normal(width: int) -> Tensor:
            return torch.randn(
                len(conditions), width, generator=generator, device=conditions.device
            )

        head = len(self.shape.layers) - 1
        response, energies = normal(1), normal(head)
        draws = None if floor is None else torch.ones_like(floor)
        in_layers, in_cells = map(list, self.shape.hurdles)
        if self.layers is not None:
            energies = self.layers(conditions).transform.inv(energies)
        if floor is not None and draws is not None and in_layers:
            below = floor[:, in_layers]
            energies, lit = self.layer_hurdle.inverse(energies, below, conditions)
            draws[:, in_layers] = torch.where(lit, 1.0, 0.5)
        given = torch.cat([conditions, energies], 1)
        cells = self.cells(given).transform.inv(normal(self.shape.n_cells))
        if floor is not None and draws is not None and in_cells:
            at = [head + i for i in in_cells]
            cells, lit = self.cell_hurdle.inverse(cells, floor[:, at], given)
            draws[:, at] = torch.where(lit, 1.0, 0.5)
        sparse = None if floor is None or draws is None else Sparse(floor, draws)
        return Features(cells, torch.cat([response, energies], 1), conditions, sparse)

    def compiled(self) -> Callable[[Features], FlowOutput]:
        """Return the evaluation of both flows in one pass."""

        @torch.inference_mode()
        def evaluate(features: Features) -> FlowOutput:
            log_layers, z_layers = self._layers(features)
            log_cells, z_cells = self._cells(features)
            latents = torch.cat([z_cells, features.layers[:, :1], z_layers], 1)
            return FlowOutput(-torch.stack([log_layers, log_cells], 1), latents, None)

        return evaluate


def _nothing(features: Features) -> None:
    """Begin a phase: the features are standardised already."""


@torch.no_grad()
def _beyond(hurdle: Hurdle, seen: tuple[Tensor, Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return log p of a hurdle, less that of its latents under a normal, and the latents.

    The hurdle has a phase of its own: what comes after teaches it nothing.
    """
    terms, latents = hurdle(*seen)
    return (terms + 0.5 * latents.square() + HALF_LOG_2PI).sum(1), latents


def _flow(
    orders: list[tuple[int, ...]], context: int, hidden: tuple[int, ...], config: CaloFlowConfig
) -> zuko.flows.Flow:
    """Return spline autoregressive blocks, one for each order.

    A block takes its dimensions in an order of its own instead of permuting them, so that the
    latent of a cell keeps the cell's place through all blocks.
    """
    width, spline_blocks = len(orders[0]), config.univariate == "spline"
    blocks: list[zuko.lazy.LazyTransform] = []
    for order in orders:
        shapes = ((config.bins,), (config.bins,), (config.bins - 1,))
        spline: dict[str, Any] = {"univariate": _Spline(config.bound), "shapes": shapes}
        if width == 1:
            block = zuko.flows.ElementWiseTransform(
                1, context, hidden_features=hidden, **(spline if spline_blocks else {})
            )
        else:
            block = Autoregressive(order, context, hidden, **(spline if spline_blocks else {}))
        calm(block.hyper)
        blocks.append(block)
        if config.univariate == "affine":
            zeros = [torch.zeros(width, *shape) for shape in shapes]  # the identity
            blocks.append(zuko.lazy.UnconditionalTransform(_Static(config.bound), *zeros))
    base = zuko.lazy.UnconditionalDistribution(
        zuko.distributions.DiagNormal, torch.zeros(width), torch.ones(width), buffer=True
    )
    return zuko.flows.Flow(blocks, base)


class _Spline:
    """Monotonic rational-quadratic splines within a bound."""

    def __init__(self, bound: float) -> None:
        self.bound = bound

    def __call__(self, *parameters: Tensor) -> zuko.transforms.Transform:
        return zuko.transforms.MonotonicRQSTransform(*parameters, bound=self.bound)


class _Static(_Spline):
    """The same, one for each dimension, with one Jacobian for all of them."""

    def __call__(self, *parameters: Tensor) -> zuko.transforms.Transform:
        return zuko.transforms.DependentTransform(super().__call__(*parameters), 1)


def _evaluate(flow: zuko.flows.Flow, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
    density = flow(context)
    z, log_slope = density.transform.call_and_ladj(x)
    return density.base.log_prob(z) + log_slope, z
