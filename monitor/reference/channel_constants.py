"""Channel constants: what each read-out channel usually shows, beside what is common to all.

The certified model is one for all channels, and a channel has a gain, a noise and a place of its
own. What it shows day by day is learnt, and how well it is known goes into every test.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from monitor.windows.channel_sums import N_RINGS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.reference.expectation import Expectation
    from monitor.windows.channel_table import ChannelTable

LEAST = 30
"""Accepted showers of a channel in a ring, below which nothing is believed of it."""

MOST_SQUARE_VAR = 36.0
"""A latent within 6 deviations of mean square 1 has no larger variance of its square than 35."""


@dataclass(frozen=True, slots=True, eq=False)
class ChannelConstants:
    """What is usual of C channels, by ring, shape (C, `N_RINGS`) unless said otherwise."""

    showers: NDArray[np.float64]
    """Showers behind it; 0 where too few have been accepted, and what is certified holds."""

    mean: NDArray[np.float64]
    """Of the standardised latent."""

    square: NDArray[np.float64]
    """Mean of its square."""

    lit: NDArray[np.float64]
    """Times that the channel is lit, over the expected times."""

    seeds: NDArray[np.float64]
    """Share of the showers of its pool that are centred on it, shape (C,); 0 where not known.

    They add up to 1 about: each was learnt while others of its pool were not."""

    energy: NDArray[np.float64]
    """Mean energy as the core of a shower over the mean of its pool, shape (C,)."""

    layer: NDArray[np.float64]
    """Mean latent of the energy of its layer in showers that are centred on it, shape (C,)."""

    energy_var: float
    """Variance of the energy of one shower's core, over the squared mean."""

    @property
    def known(self) -> NDArray[np.bool_]:
        """Return of which channels and rings something is learnt."""
        known: NDArray[np.bool_] = self.showers > 0
        return known

    def but(self, channels: NDArray[np.bool_], other: ChannelConstants) -> ChannelConstants:
        """Return these with some channels', shape (C,), as in others."""
        by_ring = ("showers", "mean", "square", "lit")
        moved = {
            name: np.where(channels[:, None], getattr(other, name), getattr(self, name))
            for name in by_ring
        }
        moved |= {
            name: np.where(channels, getattr(other, name), getattr(self, name))
            for name in ("seeds", "energy", "layer")
        }
        return replace(self, **moved)


def certified(n_channels: int) -> ChannelConstants:
    """Return the constants of which nothing is learnt."""
    shape = (n_channels, N_RINGS)
    return ChannelConstants(
        showers=np.zeros(shape),
        mean=np.zeros(shape),
        square=np.ones(shape),
        lit=np.ones(shape),
        seeds=np.zeros(n_channels),
        energy=np.ones(n_channels),
        layer=np.zeros(n_channels),
        energy_var=1.0,
    )


def learnt(
    table: ChannelTable, pool: NDArray[np.int64], exposure: NDArray[np.int64] | None = None
) -> ChannelConstants:
    """Return what accepted showers say of each channel.

    Parameters
    ----------
    pool
        Channels of one pool are exposed alike: those of a layer in a region, shape (C,).
    exposure
        Showers of a whole pool while each channel was accepted, shape (C,): without it all of the
        table are of the same time.
    """
    showers = table["showers"]
    known = showers >= LEAST
    n = np.where(known, showers, 1.0)
    expected = np.maximum(table["lit_expected"], 1e-9)
    core = showers[:, 0]
    share = core / np.maximum(pooled(core, pool) if exposure is None else exposure, 1.0)
    each = table["energy"][:, 0] / np.maximum(core, 1.0)
    usual = pooled(table["energy"][:, 0], pool) / np.maximum(pooled(core, pool), 1.0)
    ratio = each / np.where(usual > 0, usual, 1.0)
    here = known[:, 0] & (usual > 0)
    spread = core[here] * np.square(ratio[here] - 1)
    return ChannelConstants(
        showers=np.where(known, showers, 0.0),
        mean=np.where(known, table["z"] / n, 0.0),
        square=np.where(known, np.maximum(table["z_square"] / n, 0.05), 1.0),
        lit=np.where(known, table["lit"] / expected, 1.0),
        seeds=np.where(known[:, 0], share, 0.0),
        energy=np.where(here, ratio, 1.0),
        layer=np.where(known[:, 0], table["layer"][:, 0] / n[:, 0], 0.0),
        # What channels differ by counts as spread of showers: more is allowed for it, never less.
        energy_var=max(float(spread.mean()), 0.1) if here.any() else 1.0,
    )


def pooled(values: NDArray[np.float64], pool: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sum over its pool for each channel, shape (C,)."""
    total: NDArray[np.float64] = np.bincount(pool, values).astype(np.float64)
    return total[pool]


def centred(
    core: NDArray[np.float64], shares: NDArray[np.float64], pool: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the showers that are centred on each channel by its share, of those of its pool, (C,).

    Those of channels without a share count nowhere.
    """
    known = pooled(np.where(shares > 0, core, 0.0), pool)
    return shares * known / np.maximum(pooled(shares, pool), 1e-12)


def square_var(certified: Expectation, rings: NDArray[np.int8]) -> NDArray[np.float64]:
    """Return the variance of the squared standardised latent of each ring, shape (3,)."""
    v = len(rings)
    mean, square = certified.latent_mean[:, :v], certified.latent_square[:, :v]
    variance = np.maximum(square - np.square(mean), 1e-6)
    # About the mean, and clipped as the sums are: the rarest latents are not part of them.
    each = np.minimum(certified.square_var[:, :v] / np.square(variance), MOST_SQUARE_VAR)
    worst = each.max(0)
    found = [
        float(worst[rings == ring].mean()) if (rings == ring).any() else 2.0
        for ring in range(N_RINGS)
    ]
    least: NDArray[np.float64] = np.maximum(np.array(found), 2.0)
    return least
