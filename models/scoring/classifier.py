"""Classifier: a network that was shown what some faults look like; one more score of the family.

The flows know good showers only, and see whatever is not like them. A classifier sees what it was
trained on better than they do, and may be blind to all else: both are combined.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from models.flows.interface import check_counts, products

if TYPE_CHECKING:
    from models.flows.interface import Features

NAME = "classifier"
"""Of the score."""

LIMIT = 10.0
"""Inputs are clamped to it: what is wilder than anything in training says no more."""


@dataclass(frozen=True)
class ClassifierConfig:
    """The shape of a classifier."""

    n_cells: int
    n_layers: int
    n_context: int
    hidden: tuple[int, ...] = (128,)
    faults: tuple[str, ...] = ()
    """What it was trained on, in the form of `models.simulation.fault_form.parse`."""

    def __post_init__(self) -> None:
        check_counts(
            (self.n_cells,), (self.n_layers, self.n_context, *self.hidden), (len(self.hidden) + 1,)
        )

    @property
    def inputs(self) -> tuple[int, int, int]:
        """Return V, L and C."""
        return self.n_cells, self.n_layers, self.n_context

    @property
    def n_weights(self) -> int:
        """Return the entries of its matrices."""
        return products(self.width, *self.hidden, 1)

    @property
    def width(self) -> int:
        """Return the number of inputs: standardised cells, latents and their squares, conditions."""
        return 3 * self.n_cells + 2 * self.n_layers + self.n_context


class Classifier(nn.Module):
    """Log odds that a shower has one of the faults, if half of all showers had one."""

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.shape = config
        layers: list[nn.Module] = []
        width = config.width
        for hidden in config.hidden:
            layers += [nn.Linear(width, hidden), nn.SiLU()]
            width = hidden
        self.network = nn.Sequential(*layers, nn.Linear(width, 1))

    @property
    def config(self) -> dict[str, Any]:
        """Return the fields of its `ClassifierConfig`, as JSON values."""
        return asdict(self.shape)

    def forward(self, features: Features, latents: Tensor) -> Tensor:
        """Return the log odds of N showers, shape (N,).

        Parameters
        ----------
        latents
            Of the flow, shape (N, D): what a cell holds beyond what the others let expect.
        """
        # More noise is a larger mean square: hard to learn from the latents themselves.
        parts = (features.cells, latents, latents.square() - 1, features.conditions)
        inputs = torch.cat(parts, 1)
        odds: Tensor = self.network(inputs.clamp(-LIMIT, LIMIT))[:, 0]
        return odds
