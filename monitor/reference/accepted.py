"""Accepted: sums over showers of the stream that are believed to be good, and what they expect."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from models.scoring.scales import Z_UNIT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.reference.expectation import Expectation
    from monitor.windows.rows import Rows


@dataclass(frozen=True, slots=True, eq=False)
class Accepted:
    """Sums over accepted showers of all regions; a group under addition, exact."""

    showers: NDArray[np.int64]
    """Shape (K,)."""

    exceedances: NDArray[np.int64]
    """Shape (K, A)."""

    p_counts: NDArray[np.int64]
    """Shape (S + 1, B)."""

    z: NDArray[np.int64]
    """In units of `Z_UNIT`, shape (D,)."""

    z_square: NDArray[np.int64]
    """In units of `Z_UNIT`, shape (D,)."""

    lit: NDArray[np.int64]
    """Shape (V,)."""

    def __add__(self, other: Accepted) -> Accepted:
        return Accepted(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __sub__(self, other: Accepted) -> Accepted:
        return Accepted(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))

    @property
    def n(self) -> int:
        """Return the number of showers."""
        return int(self.showers.sum())


def accepted(rows: Rows, regions: NDArray[np.bool_]) -> Accepted:
    """Return the sums over some regions of a chunk, given as shape (R,)."""
    return Accepted(*(getattr(rows, f.name)[regions].sum(0) for f in fields(Accepted)))


def nothing(expectation: Expectation) -> Accepted:
    """Return the sums over no shower, in the shapes of an expectation."""
    k, a = expectation.exceedances.shape
    d, v = expectation.latent_mean.shape[1], expectation.lit_rate.shape[1]
    return Accepted(
        np.zeros(k, np.int64),
        np.zeros((k, a), np.int64),
        np.zeros(expectation.p_counts.shape, np.int64),
        np.zeros(d, np.int64),
        np.zeros(d, np.int64),
        np.zeros(v, np.int64),
    )


def moved_to(taken: Accepted, centre: Expectation, name: str, origin: str = "live") -> Expectation:
    """Return what some showers of the stream expect.

    Exceedances and p counts are theirs. For the latents the centre gives the dependence on
    conditions, and the showers one offset and one ratio a latent: that is exact for the mix of
    conditions that they came in.
    """
    n, mix = taken.n, taken.showers.astype(np.float64)
    offset = (taken.z * Z_UNIT - mix @ centre.latent_mean) / n
    square = taken.z_square * Z_UNIT / np.maximum(mix @ centre.latent_square, 1e-9)
    lit = taken.lit / np.maximum(mix @ centre.lit_rate, 1e-9)
    each = np.maximum(mix, 0.5)
    return replace(
        centre,
        showers=each,
        exceedances=np.minimum(taken.exceedances.astype(np.float64), each[:, None]),
        p_counts=np.maximum(taken.p_counts.astype(np.float64), 1e-3),
        latent_mean=centre.latent_mean + offset,
        latent_square=np.maximum(centre.latent_square * square, 1e-6),
        square_var=centre.square_var * np.square(np.maximum(square, 1e-3)),
        latent_showers=np.maximum(n * each / each.sum(), 1.0),
        lit_rate=np.clip(centre.lit_rate * lit, 0.0, 1.0),
        origin=origin,
        id=f"{centre.id}+{name}",
    )
