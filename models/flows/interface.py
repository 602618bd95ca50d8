"""Interface: what every model family offers to training, scoring and generation."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from torch import Generator, Tensor, nn

MAX_WIDTH = 8192
"""A config that asks for wider layers is a mistake, or made to take the memory."""

MAX_DEPTH = 64
"""The same of more layers or blocks than this."""


class Shape(Protocol):
    """What a config says of a flow before anything is built."""

    @property
    def inputs(self) -> tuple[int, int, int]:
        """Return V, L and C."""
        ...

    @property
    def n_weights(self) -> int:
        """Return the entries of its matrices, which are in its `state_dict`."""
        ...


def tuples(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table of a file with tuples for its lists, as frozen records hold them."""
    return {name: tuple(v) if isinstance(v, list) else v for name, v in table.items()}


def products(*widths: int) -> int:
    """Return the entries of the matrices between layers of these widths."""
    return sum(a * b for a, b in pairwise(widths))


def check_counts(counts: tuple[int, ...], widths: tuple[int, ...], depths: tuple[int, ...]) -> None:
    """Raise ValueError if counts are not whole and >= 1, or a flow of that size is a mistake.

    Parameters
    ----------
    counts
        Those that need no bound here.
    """
    everything = (*counts, *widths, *depths)
    if not all(type(count) is int and count >= 1 for count in everything):
        raise ValueError("counts must be whole numbers >= 1")
    if max(widths) > MAX_WIDTH or max(depths) > MAX_DEPTH:
        raise ValueError(f"no layer may be wider than {MAX_WIDTH}, nothing deeper than {MAX_DEPTH}")


class Features(NamedTuple):
    """What a flow sees of N showers, float32; made by `models.flows.features.FeatureMap`."""

    cells: Tensor
    """Standardised energy of each cell, shape (N, V)."""

    layers: Tensor
    """Layer-energy coordinates, shape (N, L): the response to the incident energy, which is
    N(0, 1) already and no flow's business, then the standardised energies of layers 1 to L - 1."""

    conditions: Tensor
    """Standardised conditions, shape (N, C): log of the reconstructed energy first."""


class FlowOutput(NamedTuple):
    """What a flow says of N showers in one pass."""

    nll: Tensor
    """-log p of each stage, nats, shape (N, T)."""

    latents: Tensor
    """Latent of each cell, then of each layer-energy coordinate, shape (N, D), D = V + L."""

    residuals: Tensor | None
    """Cells minus their reconstruction, shape (N, V); None where a family has no autoencoder."""


class Phase(NamedTuple):
    """One part of a fit: it is trained to its own early stop before the next begins."""

    name: str
    begin: Callable[[Features], None]
    """Called once before the phase, with (up to some thousand) training showers."""

    parameters: Iterable[nn.Parameter]
    """What the phase trains; everything else stays as it is."""

    loss: Callable[[Features], Tensor]
    """Loss of each shower, shape (N,); nats where it is a density."""


class Flow(Protocol):
    """A conditional density of showers; families are `nn.Module` classes that have this form.

    `models.fitting.training.fit` fits any of them; `state_dict` and `config` rebuild it.
    """

    @property
    def family(self) -> str:
        """Return the name of the family: it chooses the class when an artefact is loaded."""
        ...

    @property
    def stages(self) -> tuple[str, ...]:
        """Return the names of the T terms of log p."""
        ...

    @property
    def reconstructs(self) -> bool:
        """Return whether `FlowOutput` has residuals."""
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """Return what the constructor needs, as JSON values."""
        ...

    def phases(self) -> tuple[Phase, ...]:
        """Return the parts of a fit, in order."""
        ...

    def log_prob(self, features: Features) -> Tensor:
        """Return log p of each stage, nats, shape (N, T), with zuko's own arithmetic."""
        ...

    def sample(self, conditions: Tensor, generator: Generator) -> Features:
        """Return one generated shower for each row of the conditions."""
        ...

    def compiled(self) -> Callable[[Features], FlowOutput]:
        """Return the fast evaluation, for CPU or GPU; it agrees with `log_prob`."""
        ...
