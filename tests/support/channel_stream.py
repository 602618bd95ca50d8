"""Showers over a detector of channels, as the sums that a worker makes of them: synthetic latents."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from law import IN_FORCE

from models.detector.grids import build
from models.detector.parts import GridGroup, GridLayer, Part
from monitor.windows.channel_sums import (
    CHANNEL_Z_CLIP,
    CHANNEL_Z_UNIT,
    LAYER_CLIP,
    LIT_UNIT,
    N_RINGS,
    SQUARE_UNIT,
    ChannelSums,
    summed,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from models.detector.channels import Channels

LIT = np.array([0.99, 0.8, 0.15])
"""Probability that a channel is lit, by ring."""

SHARE = np.array([0.6, 0.045, 0.003])
"""Of the energy of a shower, by ring."""


def barrel(
    modules: tuple[int, int] = (1, 2), cells: tuple[int, int] = (10, 10), card: int = 5
) -> Channels:
    """Return the channels of a small barrel with cards, patches of 5 x 5."""
    layer = GridLayer("crystals", cells, patch=(5, 5))
    groups = (GridGroup("card", (card, card)),)
    return build((Part("EB", modules, (layer,), wrap="columns", groups=groups),))


@dataclass
class Touched:
    """What showers show in the channels that they touch; a fault changes it in place."""

    channel: NDArray[np.int64]
    ring: NDArray[np.int64]
    z: NDArray[np.float64]
    lit: NDArray[np.bool_]
    energy: NDArray[np.float64]
    layer: NDArray[np.float64]
    """Latent of the layer's energy, in the rows of cores."""

    def at(self, *channels: int) -> NDArray[np.bool_]:
        """Return which rows are of some channels."""
        return np.isin(self.channel, channels)


@dataclass
class Stream:
    """Showers with impact points anywhere, second by second."""

    channels: Channels
    rate: int = 200
    seed: int = 1
    offsets: NDArray[np.float64] | None = None
    """Shift of each channel's latent, that is its own and no fault, shape (C,)."""

    widths: NDArray[np.float64] | None = None
    """Spread of each channel's latent, that is its own and no fault, shape (C,)."""

    dead: tuple[int, ...] = ()
    """Channels that no shower is centred on any more."""

    hot: dict[int, float] = field(default_factory=dict)
    """Probability that a shower is centred on a channel, whatever it hits."""

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)

    def second(self, change: Callable[[Touched], None] | None = None) -> ChannelSums:
        """Return the sums of one second, with a fault."""
        rng = self._rng
        if change is not None or self.dead or self.hot:
            for law in IN_FORCE:
                law.struck()
        good = np.setdiff1d(np.flatnonzero(self.channels.may_seed), self.dead)
        seeds = rng.choice(good, rng.poisson(self.rate))
        for channel, probability in self.hot.items():
            seeds[rng.random(len(seeds)) < probability] = channel
        patch = self.channels.patches(seeds.astype(np.uint32))
        row, cell = np.nonzero(patch >= 0)
        channel, ring = patch[row, cell].astype(np.int64), self.channels.rings[cell].astype(int)
        energy = rng.lognormal(8.0, 0.5, len(seeds))[row] * SHARE[ring]
        touched = Touched(
            channel,
            ring,
            rng.standard_normal(len(row)),
            rng.random(len(row)) < LIT[ring],
            energy * rng.normal(1.0, 0.1, len(row)),
            rng.standard_normal(len(row)),
        )
        if self.widths is not None:
            touched.z *= self.widths[channel]
        if self.offsets is not None:
            touched.z += self.offsets[channel]
        if change is not None:
            change(touched)
        return sums(touched, len(self.channels))


def sums(t: Touched, n_channels: int) -> ChannelSums:
    """Return the sums of what showers show."""
    z = np.clip(t.z, -CHANNEL_Z_CLIP, CHANNEL_Z_CLIP)
    columns = {
        "z": np.rint(z / CHANNEL_Z_UNIT),
        "z_square": np.rint(z * z / SQUARE_UNIT),
        "lit": t.lit.astype(np.int64),
        "lit_expected": np.rint(LIT[t.ring] / LIT_UNIT),
        "energy": np.rint(t.energy * 1000),
        "layer": np.rint(np.clip(t.layer, -LAYER_CLIP, LAYER_CLIP) / CHANNEL_Z_UNIT)
        * (t.ring == 0),
    }
    return summed(t.channel * N_RINGS + t.ring, columns, n_channels * N_RINGS)


def dead(*channels: int) -> Callable[[Touched], None]:
    """Return a fault: channels that read nothing."""

    def change(t: Touched) -> None:
        here = t.at(*channels)
        t.z[here & (t.ring < 2)] = -5.0
        t.z[here & (t.ring == 2)] *= 0.1
        t.lit[here], t.energy[here], t.layer[here] = False, 0.0, -LAYER_CLIP

    return change


def shifted(by: float, *channels: int) -> Callable[[Touched], None]:
    """Return a fault: the latent of channels is off in core and near ring."""

    def change(t: Touched) -> None:
        t.z[t.at(*channels) & (t.ring < 2)] += by

    return change


def weak(by: float, *channels: int) -> Callable[[Touched], None]:
    """Return a fault: the gain of channels is off by a part, by what trained models show of that."""

    def change(t: Touched) -> None:
        t.z[t.at(*channels) & (t.ring < 2)] += 2 * by
        t.layer[t.at(*channels)] += 29 * by

    return change


def noisy(times: float, *channels: int) -> Callable[[Touched], None]:
    """Return a fault: the latent of channels is wider, wherever they are in the patch."""

    def change(t: Touched) -> None:
        t.z[t.at(*channels)] *= times

    return change
