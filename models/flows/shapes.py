"""Shapes: what the flows of all families look like, before anything is built."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import torch

from models.detector.geometry import MAX_CELLS
from models.flows.interface import check_counts, products

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.detector.geometry import Geometry


@dataclass(frozen=True)
class FluxConfig:
    """The shape of a flux model."""

    n_cells: int
    n_layers: int
    n_context: int
    group: tuple[int, ...]
    """Place of each cell in the autoregressive order, shape (V,); equals are independent of each
    other given what comes before. Few groups make generation fast."""

    latents: int = 8
    """Latents of the autoencoder."""

    coder_hidden: int = 64
    hidden: tuple[int, ...] = (256,)
    sparse: tuple[int, ...] = ()
    """Which of layers 1 to L - 1, then cells, may be unlit; none where cells are never empty."""

    def __post_init__(self) -> None:
        widths = (self.n_layers, self.n_context, self.latents, self.coder_hidden, *self.hidden)
        check_counts((self.n_cells,), widths, (len(self.hidden),))
        if len(self.group) != self.n_cells:
            raise ValueError("groups must be given for every cell")
        if not set(self.sparse) <= set(range(self.n_layers - 1 + self.n_cells)):
            raise ValueError("sparse must name layers and cells that there are")
        groups = set(self.group)
        if groups != set(range(len(groups))):
            raise ValueError("groups must count 0, 1, 2, ... without a hole")

    @property
    def inputs(self) -> tuple[int, int, int]:
        """Return V, L and C."""
        return self.n_cells, self.n_layers, self.n_context

    @property
    def n_weights(self) -> int:
        """Return the entries of its matrices: encoder, decoder, flow."""
        v, _, c = self.inputs
        m, h = self.latents, self.coder_hidden
        h_sparse = len(self.sparse)
        heads = 2 * self.width + h_sparse
        flow = products(self.width + h_sparse + c, *self.hidden, heads)
        return products(v + c, h, m) + products(m + c, h, v) + flow

    @property
    def width(self) -> int:
        """Return the dimensions of the flow: L - 1 layers, the latents, V residuals."""
        return self.n_layers - 1 + self.latents + self.n_cells

    @cached_property
    def hurdles(self) -> tuple[int, ...]:
        """Return the dimensions of the flow that may be unlit."""
        head = self.n_layers - 1
        return tuple(i if i < head else i + self.latents for i in self.sparse)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Return the place of each dimension of the flow in its order.

        It is asked for in loops over dimensions, of which there may be 40,000.
        """
        head = self.n_layers - 1 + self.latents
        return (*range(head), *(head + g for g in self.group))


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

    sparse: tuple[int, ...] = ()
    """Which of layers 1 to L - 1, then cells, may be unlit; none where cells are never empty. Then
    a hurdle goes before the blocks of either flow, and they see its latents."""

    def __post_init__(self) -> None:
        hidden = (*self.layer_hidden, *self.cell_hidden)
        widths = (self.n_context, self.bins, len(self.layers), *hidden)
        blocks = (self.layer_blocks, self.cell_blocks)
        check_counts(self.layers, widths, (*blocks, len(self.layer_hidden), len(self.cell_hidden)))
        if not (self.n_cells <= MAX_CELLS and type(self.groups) is int and self.groups >= 0):
            raise ValueError(f"cells must be at most {MAX_CELLS}, groups a whole number >= 0")
        if not (0 < self.bound <= MAX_BOUND and 0 <= self.seed < 1 << 63):
            raise ValueError(f"bound must lie in (0, {MAX_BOUND:g}], seed must be >= 0")
        if not set(self.sparse) <= set(range(len(self.layers) - 1 + self.n_cells)):
            raise ValueError("sparse must name layers and cells that there are")
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

        def hurdle(width: int, sparse: int, given: int, hidden: tuple[int, ...]) -> int:
            return products(given + width + sparse, *hidden, 2 * width + sparse) if sparse else 0

        in_layers, in_cells = map(len, self.hurdles)
        of_layers = self.layer_blocks * block(head, c, self.layer_hidden) if head else 0
        of_cells = self.cell_blocks * block(v, c + head, self.cell_hidden)
        of_hurdles = hurdle(head, in_layers, c, self.layer_hidden)
        return of_layers + of_cells + of_hurdles + hurdle(v, in_cells, c + head, self.cell_hidden)

    @property
    def hurdles(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return which of layers 1 to L - 1, counted from 0, and which cells may be unlit."""
        head = len(self.layers) - 1
        layers = tuple(i for i in self.sparse if i < head)
        return layers, tuple(i - head for i in self.sparse if i >= head)

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
