"""Channel sums: what showers say of single read-out channels, as sparse sums that add and subtract.

A cell of a patch is another channel in every shower. Summed by channel, and by how near to the
shower's centre the channel was, what one channel shows stays together. Only channels that a shower
touched have a row: the cost follows showers, not the size of the detector.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from models.scoring.scales import lit_threshold

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from models.detector.channels import Channels
    from models.detector.geometry import Geometry
    from models.scoring.reference import ReferenceTable
    from models.scoring.scored import Scored

RINGS = ("core", "near", "far")
"""Rings of a patch: the seed's own cell, those beside it, the rest."""

N_RINGS = len(RINGS)

CHANNEL_Z_UNIT = 1 / 64
"""Unit of the sums of standardised latents. Rounding adds 2e-5 to their variance."""

SQUARE_UNIT = 1 / 16
LIT_UNIT = 1 / 1024
"""Unit of the sums of expected probabilities of being lit."""

CHANNEL_Z_CLIP = 6.0
"""Standardised latents beyond this are taken as this: what is bounded can be tested exactly, from a
single shower on."""

LAYER_CLIP = 4.0
"""The same of the latent of a layer's energy: a gain moves it by much, and what lies further out in
good showers says little."""


@dataclass(frozen=True, slots=True, eq=False)
class ChannelSums:
    """Sums over showers by channel and ring; a commutative group under addition, int64.

    A row stands for a channel and a ring that showers touched; all of shape (t,).

    Examples
    --------
    >>> one = ChannelSums(*(np.array([n]) for n in (7, 1, 64, 16, 1, 900, 2000, 0)))
    >>> both = one + one
    >>> int(both.channel[0]), int(both.ring[0]), int(both.showers[0]), (both - one - one).n
    (2, 1, 2, 0)
    """

    key: NDArray[np.int64]
    """Channel times `N_RINGS` plus ring, sorted, distinct."""

    showers: NDArray[np.int64]
    z: NDArray[np.int64]
    """Sum of the latent, standardised by what the certified reference expects of its cell and
    condition cell, in units of `CHANNEL_Z_UNIT`."""

    z_square: NDArray[np.int64]
    """In units of `SQUARE_UNIT`."""

    lit: NDArray[np.int64]
    """Showers in which the channel is lit."""

    lit_expected: NDArray[np.int64]
    """Sum of the probability of that by the certified reference, in units of `LIT_UNIT`."""

    energy: NDArray[np.int64]
    """keV."""

    layer: NDArray[np.int64]
    """Sum of the standardised latent of the energy of the channel's layer, in showers whose core it
    is, in units of `CHANNEL_Z_UNIT`; 0 in the other rings. A gain shows there first: most of the
    energy is in the core."""

    @property
    def n(self) -> int:
        """Return the number of rows."""
        return len(self.key)

    @property
    def channel(self) -> NDArray[np.int64]:
        """Return the channel of each row."""
        channel: NDArray[np.int64] = self.key // N_RINGS
        return channel

    @property
    def ring(self) -> NDArray[np.int64]:
        """Return the ring of each row."""
        ring: NDArray[np.int64] = self.key % N_RINGS
        return ring

    def __add__(self, other: ChannelSums) -> ChannelSums:
        return _combined(self, other, 1)

    def __sub__(self, other: ChannelSums) -> ChannelSums:
        return _combined(self, other, -1)

    def of(self, rows: NDArray[np.bool_]) -> ChannelSums:
        """Return some of the rows, given as shape (t,)."""
        return ChannelSums(*(getattr(self, f.name)[rows] for f in fields(self)))

    def dense(self, name: str, n_channels: int) -> NDArray[np.float64]:
        """Return a sum as numbers, zero where no shower came, shape (C, `N_RINGS`)."""
        out = np.zeros(n_channels * N_RINGS)
        out[self.key] = getattr(self, name) * UNITS[name]
        return out.reshape(n_channels, N_RINGS)


UNITS = {
    "showers": 1.0,
    "z": CHANNEL_Z_UNIT,
    "z_square": SQUARE_UNIT,
    "lit": 1.0,
    "lit_expected": LIT_UNIT,
    "energy": 1e-3,
    "layer": CHANNEL_Z_UNIT,
}
"""Of each sum; energies are in MeV then."""

SUMS = tuple(UNITS)

NO_CHANNELS = ChannelSums(*(np.zeros(0, np.int64) for _ in range(1 + len(UNITS))))
"""Of a detector without channels, or of no shower."""


def _combined(a: ChannelSums, b: ChannelSums, sign: int) -> ChannelSums:
    if not b.n:
        return a
    if not a.n and sign > 0:
        return b
    key, where = np.unique(np.concatenate([a.key, b.key]), return_inverse=True)
    columns = np.zeros((len(SUMS), len(key)), np.int64)
    for column, name in zip(columns, SUMS, strict=True):
        # Keys are distinct within each, so that plain indexing adds every row once.
        column[where[: a.n]] = getattr(a, name)
        column[where[a.n :]] += sign * getattr(b, name)
    kept = columns.any(0)
    return ChannelSums(key[kept], *columns[:, kept])


MANY = 3
"""Keys a row beyond which rows are sorted rather than counted."""


def summed(
    key: NDArray[np.int64], columns: dict[str, NDArray[np.int64]], n_keys: int
) -> ChannelSums:
    """Return the sums of single showers' rows.

    Parameters
    ----------
    key
        Channel and ring of each, shape (n,).
    columns
        The rest of a row by name, whole numbers, shape (n,) each.
    n_keys
        More than any key.
    """
    if MANY * len(key) < n_keys:  # few showers: what they did not touch is not looked at
        found, where = np.unique(key, return_inverse=True)
    else:
        present = np.bincount(key, minlength=n_keys) > 0
        found = np.flatnonzero(present)
        where = (np.cumsum(present) - 1)[key]
    # Whole numbers below 2**53 add up exactly in floating point, whatever their order.
    sums = {
        name: np.bincount(where, values, minlength=len(found)).astype(np.int64)
        for name, values in columns.items()
    }
    showers = np.bincount(where, minlength=len(found)).astype(np.int64)
    return ChannelSums(found.astype(np.int64), showers=showers, **sums)


@dataclass(frozen=True, slots=True, eq=False)
class Standard:
    """What the certified reference expects of every cell, so that all cells are alike."""

    mean: NDArray[np.float32]
    """Of the latents of cells, then of layers' energies, shape (K, V + L)."""

    sigma: NDArray[np.float32]
    """Shape (K, V + L), > 0."""

    lit: NDArray[np.float64]
    """Probability of being lit, shape (K, V)."""

    @classmethod
    def of(cls, reference: ReferenceTable) -> Standard:
        """Return what a reference table expects."""
        mean, square = reference.latent_moments[:2]
        sigma = np.sqrt(np.maximum(square - np.square(mean), 1e-6))
        return cls(mean.astype(np.float32), sigma.astype(np.float32), reference.lit_rate)


def tally_channels(
    seeds: NDArray[np.uint32],
    cells: NDArray[np.float32],
    scored: Scored,
    channels: Channels,
    *,
    geometry: Geometry,
    standard: Standard,
) -> ChannelSums:
    """Return the sums by channel of showers that are all valid.

    Parameters
    ----------
    seeds
        Channel that each patch is centred on, shape (N,).
    cells
        Energies, MeV, shape (N, V).
    """
    if not len(seeds):
        return NO_CHANNELS
    patch = channels.patches(seeds)
    inside = patch >= 0
    row, cell = np.nonzero(inside)
    k = scored.condition_cell[row]
    z = (scored.latents[row, cell] - standard.mean[k, cell]) / standard.sigma[k, cell]
    z = np.clip(z, -CHANNEL_Z_CLIP, CHANNEL_Z_CLIP)
    energy = cells[row, cell]
    columns = {
        "layer": _of_layers(scored, channels, standard, geometry)[row, cell],
        "z": np.rint(z / np.float32(CHANNEL_Z_UNIT)),
        "z_square": np.rint(z * z / np.float32(SQUARE_UNIT)),
        "lit": energy > lit_threshold(geometry),
        "lit_expected": np.rint(standard.lit[k, cell] / LIT_UNIT),
        "energy": np.rint(energy.astype(np.float64) * 1000),
    }
    key = patch[row, cell].astype(np.int64) * N_RINGS + channels.rings[cell]
    return summed(key, columns, len(channels) * N_RINGS)


def _of_layers(
    scored: Scored, channels: Channels, standard: Standard, geometry: Geometry
) -> NDArray[np.float32]:
    """Return the latent of its layer's energy in the core cell of each layer, in units, (N, V)."""
    k, v = scored.condition_cell, geometry.n_cells
    out = np.zeros((len(k), v), np.float32)
    core = np.flatnonzero(channels.rings == 0)
    at = v + geometry.layer_of_cell[core]
    z = (scored.latents[:, at] - standard.mean[k][:, at]) / standard.sigma[k][:, at]
    out[:, core] = np.rint(np.clip(z, -LAYER_CLIP, LAYER_CLIP) / np.float32(CHANNEL_Z_UNIT))
    return out


def merged(sums: Iterable[ChannelSums]) -> ChannelSums:
    """Return the sum of some."""
    return sum(sums, NO_CHANNELS)
