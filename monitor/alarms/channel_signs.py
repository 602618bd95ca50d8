"""Channel signs: what channels have shown since the onset of a fault, and which fault that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.quality.alarms import Kind
from monitor.reference.channel_constants import centred
from monitor.sequential.channel_streams import ALL, INNER, SCOPES
from monitor.sequential.rates import Test

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.reference.channel_constants import ChannelConstants
    from monitor.windows.channel_table import ChannelTable

DARK = 0.4
"""Share of the expected times that a channel is lit, below which it is dead."""

WIDE = 1.4
"""Mean square over the expected one, from which on a channel is noisy."""

SHIFTED = 0.15
"""Shift of a mean that is one, in standard deviations."""


LAYER_SHIFTED = 0.3
"""The same of the energy of the layer around a channel: a hundredth of its gain moves it by so much."""


@dataclass(frozen=True, slots=True, eq=False)
class ChannelSigns:
    """What some channels have shown, one row a channel, beside what is usual of each."""

    showers: NDArray[np.float64]
    """Near whose centre the channel was."""

    shift: NDArray[np.float64]
    """Of the mean latent near the centre, standard deviations."""

    shift_error: NDArray[np.float64]
    spread: NDArray[np.float64]
    """Mean square about the mean over the usual one, near the centre."""

    far_spread: NDArray[np.float64]
    """The same far from it, where a healthy channel shows its noise."""

    far_shift: NDArray[np.float64]
    lit: NDArray[np.float64]
    """Times lit over expected ones, near the centre."""

    far_lit: NDArray[np.float64]
    """The same far from it."""

    seeds: NDArray[np.float64]
    """Showers centred on it over the usual number; 1 where that is not known."""

    energy: NDArray[np.float64]
    """Mean energy as the core of a shower, MeV; 0 without one."""

    core: NDArray[np.float64]
    """Showers centred on it."""

    layer: NDArray[np.float64]
    """Shift of the mean latent of the layer's energy in those, standard deviations; 0 without."""


def signs(
    table: ChannelTable,
    constants: ChannelConstants,
    pool: NDArray[np.int64],
    ignored: NDArray[np.bool_],
) -> ChannelSigns:
    """Return what every channel has shown, shape (C,) each; what is ignored draws no showers."""
    showers = table["showers"]
    inner = showers @ SCOPES[INNER]
    some = np.maximum(inner, 1)
    shift = (table["z"] - showers * constants.mean) @ SCOPES[INNER] / some
    square = table["z_square"] @ SCOPES[INNER] / some - np.square(shift)
    usual = np.where(inner > 0, (showers * constants.square) @ SCOPES[INNER] / some, 1.0)
    far = np.maximum(showers[:, 2], 1)
    far_shift = (table["z"] / np.maximum(showers, 1) - constants.mean)[:, 2]
    far_square = table["z_square"][:, 2] / far - np.square(far_shift)
    expected = table["lit_expected"] * constants.lit
    core = showers[:, 0]
    of_pool = centred(core, np.where(ignored, 0.0, constants.seeds), pool)
    return ChannelSigns(
        showers=inner,
        shift=np.where(inner > 0, shift, 0.0),
        shift_error=1 / np.sqrt(some),
        spread=np.where(inner > 0, square / np.maximum(usual, 1e-6), 1.0),
        far_spread=np.where(showers[:, 2] > 0, far_square / constants.square[:, 2], 1.0),
        far_shift=np.where(showers[:, 2] > 0, far_shift, 0.0),
        lit=_ratio(table["lit"] @ SCOPES[INNER], expected @ SCOPES[INNER]),
        far_lit=_ratio((table["lit"] @ SCOPES[ALL]) - table["lit"] @ SCOPES[INNER], expected[:, 2]),
        seeds=_ratio(core, of_pool),
        energy=table["energy"][:, 0] / np.maximum(core, 1),
        core=core,
        layer=np.where(core > 0, table["layer"][:, 0] / np.maximum(core, 1) - constants.layer, 0.0),
    )


def _ratio(seen: NDArray[np.float64], expected: NDArray[np.float64]) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = np.where(expected > 0, seen / np.maximum(expected, 1e-9), 1.0)
    return ratio


def likely(s: ChannelSigns, channels: NDArray[np.int64], test: Test) -> tuple[Kind, float]:
    """Return the likely kind of fault of some channels, and the log10 odds over the next one."""
    weight = s.showers[channels] / max(float(s.showers[channels].sum()), 1.0)

    def mean(values: NDArray[np.float64]) -> float:
        return float(values[channels] @ weight) if weight.any() else float(values[channels].mean())

    shift, wide = mean(s.shift), mean(s.spread) > WIDE
    moved = abs(shift) > SHIFTED or abs(mean(s.layer)) > LAYER_SHIFTED or test is Test.ENERGY
    apart = len(channels) == 2 and bool(np.ptp(s.shift[channels]) > 3 * abs(shift) + SHIFTED)
    noise = mean(s.far_spread) > WIDE
    scores = {
        Kind.DEAD: _votes((mean(s.lit) < DARK, 2.5)) + 1.5 * (mean(s.seeds) < DARK),
        Kind.HOT: _votes(
            (mean(s.seeds) > 2, 1.2), (mean(s.far_lit) > 2, 0.8), (shift > SHIFTED and wide, 0.4)
        ),
        Kind.NOISE: _votes(
            (noise, 1.0), (wide, 0.5), (abs(shift) < SHIFTED + 0.3, 0.3), (mean(s.seeds) < 2, 0.2)
        ),
        Kind.SWAP: _votes((apart, 1.0), (wide, 0.5), (len(channels) == 2, 0.8)),
        Kind.PEDESTAL: _votes(
            (abs(mean(s.far_shift)) > 0.3, 1.0), (not noise, 0.3), (mean(s.lit) > DARK, 0.3)
        ),
        Kind.GAIN: _votes(
            (moved, 0.8), (not wide, 0.6),
            (abs(mean(s.far_shift)) < 0.3, 0.3), (mean(s.lit) > DARK, 1.0), (not noise, 0.3),
        ),
        Kind.UNKNOWN: 0.0,
    }  # fmt: skip
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    return ranked[0][0], float(ranked[0][1] - ranked[1][1])


def _votes(*signs_: tuple[bool, float]) -> float:
    """Return the sum of weights: for what is seen, against what is missing."""
    return sum(weight if seen else -weight for seen, weight in signs_)
