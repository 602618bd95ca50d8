"""CaloFlow: a flow over layer energies and a flow over cells given them, as anomaly detector.

After Krause, Nachman, Pang, Shih and Zhu, arXiv:2312.11618 (PRD 110 035036): the densities that
a simulator learns score showers with no further training.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import torch
import zuko
from torch import Tensor, nn

from models.detector.geometry import MAX_CELLS
from models.flows.interface import Features, FlowOutput, Phase, check_counts, products
from models.flows.networks import calm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from models.detector.geometry import Geometry

PUBLISHED: Mapping[str, Any] = MappingProxyType(
    {
        "layer_blocks": 6,
        "layer_hidden": (64, 64),
        "cell_blocks": 8,
        "cell_hidden": (378,),
        "univariate": "spline",
        "bins": 8,
        "bound": 14.0,
        "groups": 0,
    }
)
"""The configuration of the paper, but for its dropout of 5 %: 37.8 M parameters for 504 cells."""

MAX_BOUND = 1e6
"""No standardised energy is beyond it."""


@dataclass(frozen=True)
class CaloFlowConfig:
    """The shape of a caloflow model; the defaults suit some ten thousand showers and a CPU."""

    layers: tuple[int, ...]
    """Cells of each layer."""

    n_context: int
    layer_blocks: int = 3
    layer_hidden: tuple[int, ...] = (64,)
    cell_blocks: int = 2
    cell_hidden: tuple[int, ...] = (256,)
    univariate: Literal["affine", "spline"] = "affine"
    """What a block does to a cell given those before. Affine: shift and scale, followed by a
    spline of the cell's own that is the same for all showers. Spline: a whole spline, as
    published, at twenty times the cost."""

    bins: int = 8
    """Bins of the rational-quadratic splines."""

    bound: float = 8.0
    """The splines act within ±bound and are the identity beyond."""

    groups: int = 16
    """Steps of the autoregressive order in each layer; 0: one for each cell, as published. Cells
    of a step are independent given what comes before, another set of them in every block."""

    seed: int = 1
    """Of the orders of the blocks."""

    def __post_init__(self) -> None:
        hidden = (*self.layer_hidden, *self.cell_hidden)
        widths = (self.n_context, self.bins, len(self.layers), *hidden)
        blocks = (self.layer_blocks, self.cell_blocks)
        check_counts(self.layers, widths, (*blocks, len(self.layer_hidden), len(self.cell_hidden)))
        if not (self.n_cells <= MAX_CELLS and type(self.groups) is int and self.groups >= 0):
            raise ValueError(f"cells must be at most {MAX_CELLS}, groups a whole number >= 0")
        if not (0 < self.bound <= MAX_BOUND and 0 <= self.seed < 1 << 63):
            raise ValueError(f"bound must lie in (0, {MAX_BOUND:g}], seed must be >= 0")
        if self.univariate not in {"affine", "spline"}:
            raise ValueError(f'univariate {self.univariate!r} must be "affine" or "spline"')

    @property
    def inputs(self) -> tuple[int, int, int]:
        """Return V, L and C."""
        return self.n_cells, len(self.layers), self.n_context

    @property
    def n_weights(self) -> int:
        """Return the entries of its matrices; a dimension that is alone depends on nothing else."""
        v, layers, c = self.inputs
        head = layers - 1
        each = 2 if self.univariate == "affine" else 3 * self.bins - 1

        def block(width: int, given: int, hidden: tuple[int, ...]) -> int:
            seen = given + width if width > 1 else given
            return products(seen, *hidden, each * width)

        of_layers = self.layer_blocks * block(head, c, self.layer_hidden) if head else 0
        return of_layers + self.cell_blocks * block(v, c + head, self.cell_hidden)

    @property
    def n_cells(self) -> int:
        """Return V."""
        return sum(self.layers)

    def orders(self) -> tuple[tuple[int, ...], ...]:
        """Return the place of each cell in the order of each block, layer after layer.

        The permutations stay within layers, every second one is the reverse of the one before.
        """
        generator = torch.Generator().manual_seed(self.seed)
        orders: list[tuple[int, ...]] = []
        for block in range(self.cell_blocks):
            order: list[int] = []
            for size in self.layers:
                steps = min(self.groups or size, size)
                first = max(order, default=-1) + 1
                if block % 2:
                    before = orders[-1][len(order) : len(order) + size]
                    place = [min(before) + max(before) - p - first for p in before]
                else:
                    place = (torch.randperm(size, generator=generator) * steps // size).tolist()
                order += [first + p for p in place]
            orders.append(tuple(order))
        return tuple(orders)


def configure(geometry: Geometry, n_context: int, options: Mapping[str, Any]) -> CaloFlowConfig:
    """Return the configuration for a geometry; `options` change the default, or a `preset`.

    Raises
    ------
    ValueError, TypeError
        If the preset or an option is unknown.
    """
    fields = dict(options)
    presets: dict[str, Mapping[str, Any]] = {"default": {}, "published": PUBLISHED}
    preset = fields.pop("preset", "default")
    if preset not in presets:
        raise ValueError(f"preset {preset!r} must be one of {', '.join(presets)}")
    layers = tuple(layer.n_cells for layer in geometry.layers)
    return CaloFlowConfig(layers, n_context, **{**presets[preset], **fields})


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

    @property
    def config(self) -> dict[str, Any]:
        """Return the fields of its `CaloFlowConfig`, as JSON values."""
        return asdict(self.shape)

    def phases(self) -> tuple[Phase, ...]:
        """Return the two flows; where there is one layer, the first has nothing to learn."""
        cells = Phase("cells", _nothing, self.cells.parameters(), lambda f: -self._cells(f)[0])
        if self.layers is None:
            return (cells,)
        layers = Phase("layers", _nothing, self.layers.parameters(), lambda f: -self._layers(f)[0])
        return (layers, cells)

    def _layers(self, features: Features) -> tuple[Tensor, Tensor]:
        """Return log p_I, shape (N,), and the latents of layers 1 to L - 1, shape (N, L - 1)."""
        energies = features.layers[:, 1:]
        if self.layers is None:
            return energies.new_zeros(len(energies)), energies
        return _evaluate(self.layers, energies, features.conditions)

    def _cells(self, features: Features) -> tuple[Tensor, Tensor]:
        """Return log p_II, shape (N,), and the latent of every cell, shape (N, V)."""
        context = torch.cat([features.conditions, features.layers[:, 1:]], 1)
        return _evaluate(self.cells, features.cells, context)

    def log_prob(self, features: Features) -> Tensor:
        """Return log p of the layer energies and of the cells given them, nats, shape (N, 2)."""
        return torch.stack([self._layers(features)[0], self._cells(features)[0]], 1)

    def latent(self, features: Features) -> Tensor:
        """Return the latents, shape (N, D): cells, the response, layers 1 to L - 1."""
        parts = (self._cells(features)[1], features.layers[:, :1], self._layers(features)[1])
        return torch.cat(parts, 1)

    @torch.no_grad()
    def sample(self, conditions: Tensor, generator: torch.Generator) -> Features:
        """Return one generated shower for each row of the conditions, the response included."""

        def normal(width: int) -> Tensor:
            return torch.randn(
                len(conditions), width, generator=generator, device=conditions.device
            )

        response, energies = normal(1), normal(len(self.shape.layers) - 1)
        if self.layers is not None:
            energies = self.layers(conditions).transform.inv(energies)
        given = torch.cat([conditions, energies], 1)
        cells = self.cells(given).transform.inv(normal(self.shape.n_cells))
        return Features(cells, torch.cat([response, energies], 1), conditions)

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


def _flow(
    orders: list[tuple[int, ...]], context: int, hidden: tuple[int, ...], config: CaloFlowConfig
) -> zuko.flows.Flow:
    """Return spline autoregressive blocks, one for each order.

    A block takes its dimensions in an order of its own instead of permuting them, so that the
    latent of a cell keeps the cell's place through all blocks.
    """
    width = len(orders[0])
    blocks: list[zuko.lazy.LazyTransform] = []
    for order in orders:
        steps = max(order) + 1
        stretch = -(-width // steps)  # zuko divides the order by width/passes: this undoes it
        shapes = ((config.bins,), (config.bins,), (config.bins - 1,))
        spline = {"univariate": _Spline(config.bound), "shapes": shapes}
        block = zuko.flows.MaskedAutoregressiveTransform(
            features=width,
            context=context,
            passes=steps,
            order=torch.tensor(order) * stretch,
            hidden_features=hidden,
            **(spline if config.univariate == "spline" else {}),
        )
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
