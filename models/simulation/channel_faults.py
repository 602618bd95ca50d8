"""Channel faults: what channels read that are dead, hot, noisy, miscalibrated or swapped."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.simulation.faults import Fault, FaultError, FaultKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.channels import Channels


class Reading(NamedTuple):
    """What cells read that are known by their channels."""

    energy: NDArray[np.float32]
    """MeV, shape (n, W); changed in place."""

    channels: NDArray[np.int32]
    """Of each cell, -1 for none, shape (n, W)."""

    noise_mev: NDArray[np.float32]
    """Of each channel, shape (C,)."""


def struck(fault: Fault, channels: Channels) -> NDArray[np.int64]:
    """Return the channels that a fault strikes, in the order of their names.

    Raises
    ------
    FaultError
        If there is no such channel or group, or groups are to be swapped.
    """
    try:
        parts = [channels.members(name) for name in fault.channel]
    except ValueError as error:
        raise FaultError(f"{fault.kind}: {error}") from None
    if fault.kind is FaultKind.SWAP and any(len(part) > 1 for part in parts):
        raise FaultError("swap: two channels can be swapped, groups cannot")
    return np.concatenate(parts)


def before_noise(fault: Fault, channels: Channels, reading: Reading) -> None:
    """Change the signals as a fault does that comes before the noise."""
    if fault.kind is FaultKind.SWAP:
        first, second = struck(fault, channels)
        _swap(first, second, reading)
        return
    x = fault.magnitudes.get("x", 0.0)
    scale = {FaultKind.GAIN: 1 + x, FaultKind.TRIP: x}.get(fault.kind)
    if scale is not None:
        reading.energy[_where(fault, channels, reading)] *= np.float32(scale)


def after_noise(
    fault: Fault, channels: Channels, reading: Reading, rng: np.random.Generator
) -> None:
    """Change what is read as a fault does that comes with the electronics or behind it."""
    where = _where(fault, channels, reading)
    share = fault.magnitudes.get("share", 1.0)
    if share < 1:
        where &= rng.random(where.shape) < share
    n = int(where.sum())
    if not n:
        return
    sigma = reading.noise_mev[reading.channels[where]]
    x = np.float32(fault.magnitudes.get("x", 0.0))
    if fault.kind in {FaultKind.HOT, FaultKind.PEDESTAL}:
        reading.energy[where] += x * sigma
    elif fault.kind is FaultKind.NOISE:
        more = sigma * np.float32(math.sqrt(x * x - 1))
        reading.energy[where] += more * rng.standard_normal(n, np.float32)
    elif fault.kind is FaultKind.SPIKE:
        reading.energy[where] += np.float32(fault.magnitudes["mev"])
    elif fault.kind is FaultKind.BURST:
        together = rng.standard_normal((len(where), 1), np.float32)
        reading.energy[where] += x * sigma * np.broadcast_to(together, where.shape)[where]


def last(fault: Fault, channels: Channels, reading: Reading) -> None:
    """Change what was digitised: a dead channel reads exactly zero."""
    if fault.kind is FaultKind.DEAD:
        reading.energy[_where(fault, channels, reading)] = 0.0


def _where(fault: Fault, channels: Channels, reading: Reading) -> NDArray[np.bool_]:
    hit = np.zeros(len(channels) + 1, np.bool_)  # the last row stands for no channel
    hit[struck(fault, channels)] = True
    where: NDArray[np.bool_] = hit[reading.channels]
    return where


def _swap(a: np.int64, b: np.int64, reading: Reading) -> None:
    """Exchange the signals of two channels; one that lies outside of the cells has none."""
    for row in np.flatnonzero(np.isin(reading.channels, [a, b]).any(axis=1)).tolist():
        at = [np.flatnonzero(reading.channels[row] == channel) for channel in (a, b)]
        signal = [reading.energy[row, place].sum() for place in at]
        for place, other in zip(at, signal[::-1], strict=True):
            reading.energy[row, place] = other
