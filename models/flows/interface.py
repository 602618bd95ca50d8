"""Interface: what every model family offers to training, scoring and generation."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from torch import Generator, Tensor, device, nn

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


class Sparse(NamedTuple):
    """What flows of mostly empty cells see beside the features, float32.

    H = L - 1 + V dimensions may be unlit: layers 1 to L - 1, then cells.
    """

    floor: Tensor
    """Least standardised value of each, shape (N, H): what an unlit one holds."""

    draws: Tensor
    """Where unlit, a number in (0, 1) of the shower's own; 1 where lit, shape (N, H)."""


class Features(NamedTuple):
    """What a flow sees of N showers, float32; made by `models.flows.features.FeatureMap`."""

    cells: Tensor
    """Standardised energy of each cell, shape (N, V)."""

    layers: Tensor
    """Layer-energy coordinates, shape (N, L): the response to the incident energy, which is
    N(0, 1) already and no flow's business, then the standardised energies of layers 1 to L - 1."""

    conditions: Tensor
    """Standardised conditions, shape (N, C): log of the reconstructed energy first."""

    sparse: Sparse | None = None
    """Where the model is of cells that may be unlit."""

    def to(self, device: device) -> Features:
        """Return them on a device."""
        return self._each(lambda part: part.to(device))

    def double(self) -> Features:
        """Return them in double precision."""
        return self._each(lambda part: part.double())

    def by_shower(self) -> Features:
        """Return them with each shower in one piece of memory, as drawing some of them wants it."""
        return self._each(lambda part: part.contiguous())

    def rows(self, index: slice | Tensor) -> Features:
        """Return those of some of the showers."""
        return self._each(lambda part: part[index])

    def _each(self, change: Callable[[Tensor], Tensor]) -> Features:
        cells, layers, conditions = map(change, self[:3])
        sparse = None if self.sparse is None else Sparse(*map(change, self.sparse))
        return Features(cells, layers, conditions, sparse)


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

    dimensions: int = 1
    """How many dimensions the loss is a sum over."""

    least_gain: float = 0.0
    """Share of the held-out loss by which an epoch must lower it to count as better: a phase that
    creeps ends early. For losses > 0."""


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

    def latent(self, features: Features) -> Tensor:
        """Return the latents, shape (N, D), with zuko's own arithmetic."""
        ...

    def sample(
        self, conditions: Tensor, generator: Generator, floor: Tensor | None = None
    ) -> Features:
        """Return one generated shower for each row of the conditions.

        Parameters
        ----------
        floor
            As in `Sparse`, if the flow is of cells that may be unlit.
        """
        ...

    def compiled(self) -> Callable[[Features], FlowOutput]:
        """Return the fast evaluation, for CPU or GPU; it agrees with `log_prob`."""
        ...
