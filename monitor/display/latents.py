"""Latents: their moments of late by region and group, beside what each reference holds."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from models.scoring.scales import Z_UNIT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from monitor.reference.expectation import Expectation
    from monitor.windows.rows import Rows


MAX_LAYERS = 6
"""Groups of cells; with more layers than that, those side by side are one: each is paid for by
every region."""


@dataclass(frozen=True, slots=True, eq=False)
class LatentMoments:
    """Mean and mean square of the latents, averaged over the G groups that a shifter can name.

    A good region has the reference's own moments: close to 0 and 1, but not exactly.
    """

    groups: tuple[str, ...]
    """Cells of each layer, or of layers side by side, then the response, then the shares of the layers, if there are any."""

    showers: NDArray[np.int64]
    """Showers behind them by region, shape (R,)."""

    mean: NDArray[np.float64]
    """Shape (R, G); NaN where there are no showers."""

    square: NDArray[np.float64]
    """Shape (R, G); NaN where there are no showers."""

    overall: NDArray[np.float64]
    r"""Mean square over all latents, :math:`\langle z^2 \rangle / D`, shape (R,), or NaN."""

    references: tuple[ReferenceMoments, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceMoments:
    """What a reference expects for the energies that came, over the whole detector."""

    origin: str
    """certified, generated, anchored or live."""

    mean: NDArray[np.float64]
    """Shape (G,)."""

    square: NDArray[np.float64]
    """Shape (G,)."""

    overall: float


def groups_of(geometry: Geometry) -> dict[str, slice]:
    """Return the latents of each group, as slices of the D latents.

    Examples
    --------
    >>> from models.detector.files import SHIPPED, load
    >>> list(groups_of(load(SHIPPED / "pb-lar-504.json")))
    ['strips', 'middle', 'back', 'response', 'shares']
    """
    v, layers = geometry.n_cells, geometry.n_layers
    cells = dict(_blocks(geometry))
    rest = {"response": slice(v, v + 1), "shares": slice(v + 1, v + layers)}
    return cells | {name: at for name, at in rest.items() if at.stop > at.start}


def _blocks(geometry: Geometry) -> Iterator[tuple[str, slice]]:
    """Yield the cells of layers that are told together."""
    ends = np.linspace(0, geometry.n_layers, min(geometry.n_layers, MAX_LAYERS) + 1).round()
    for first, end in pairwise(ends.astype(int).tolist()):
        names = list(dict.fromkeys([geometry.layers[first].name, geometry.layers[end - 1].name]))
        cells = slice(geometry.slices[first].start, geometry.slices[end - 1].stop)
        yield " to ".join(names), cells


def moments(
    rows: Rows | None, references: Iterable[Expectation], geometry: Geometry
) -> LatentMoments | None:
    """Return the moments over a stretch of data, None if there is none.

    Masked cells count as they are: this is for looking, not for testing.
    """
    if rows is None:
        return None
    groups = groups_of(geometry)
    showers = rows.showers
    n = showers.sum(1)
    each = np.where(n > 0, n, np.nan)[:, None]
    mean = rows.z * Z_UNIT / each
    square = rows.z_square * Z_UNIT / each
    mix = showers.sum(0) / max(int(n.sum()), 1)
    told = tuple(
        ReferenceMoments(
            reference.origin,
            _by_group(mix @ reference.latent_mean, groups),
            _by_group(mix @ reference.latent_square, groups),
            float((mix @ reference.latent_square).mean()),
        )
        for reference in references
    )
    return LatentMoments(
        tuple(groups),
        n,
        _by_group(mean, groups),
        _by_group(square, groups),
        square.mean(1),
        told,
    )


def _by_group(values: NDArray[np.float64], groups: dict[str, slice]) -> NDArray[np.float64]:
    return np.stack([values[..., at].mean(-1) for at in groups.values()], axis=-1)
