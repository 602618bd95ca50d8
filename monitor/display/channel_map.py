"""Channel map: how every channel stands now, to be drawn where it lies."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from monitor.display.channel_history import inner
from monitor.quality.alarms import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.detector.channels import Channels
    from monitor.display.channel_history import Minute
    from monitor.quality.alarms import Alarm
    from monitor.reference.channel_constants import ChannelConstants
    from monitor.sequential.channel_watch import ChannelWatch


class ChannelQuality(IntEnum):
    """What is said of a channel, as a map shows it."""

    GOOD = 0
    NULL = 1
    """Too few showers yet to tell whether it is dead."""

    MEDIUM = 2
    BAD = 3
    LEFT_OUT = 4
    """Masked, or known to be bad."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Between which values a quantity is drawn; beyond is drawn as the end."""

    low: float
    high: float
    usual: float | None = None
    """Where all is well, for what can be off to both sides; None: from little to much."""


SCALES = {
    "rate": Scale(0.0, 0.0),
    "mean latent": Scale(-1.0, 1.0, 0.0),
    "spread": Scale(0.0, 2.0, 1.0),
    "occupancy": Scale(0.5, 1.5, 1.0),
    "gain": Scale(0.8, 1.2, 1.0),
}
"""Quantities of a map. The rate (showers a second near the channel) ends at the largest one; the
gain is the mean energy in the core of showers over that of its region."""


@dataclass(frozen=True, slots=True, eq=False)
class ChannelMap:
    """C channels as they stand; NaN where nothing is known."""

    second: int
    """Newest data-second."""

    seconds: int
    """Data-seconds that it is of."""

    values: dict[str, NDArray[np.float64]]
    """By the names of `SCALES`, shape (C,) each."""

    showers: NDArray[np.float64]
    """Near each channel, in these seconds, shape (C,)."""

    quality: NDArray[np.uint8]
    """`ChannelQuality`, shape (C,)."""

    tells_s: NDArray[np.float64]
    """Data-seconds until a channel can be told dead; 0 if it can, infinite if nothing comes, (C,)."""

    history: tuple[Minute, ...]
    alarms: tuple[Alarm, ...]
    """Open ones of channels and groups."""

    def packed(self) -> bytes:
        """Return a line of JSON and, for each quantity and the quality, a byte a channel.

        0 stands for unknown, 1 to 255 for the values from low to high.
        """
        scales = {name: self._scale(name) for name in SCALES}
        head = {
            "second": self.second,
            "seconds": self.seconds,
            "scales": [
                {"name": name, "low": s.low, "high": s.high, "usual": s.usual}
                for name, s in scales.items()
            ],
        }
        parts = [_bytes(self.values[name], scale) for name, scale in scales.items()]
        return orjson.dumps(head) + b"\n" + b"".join([*parts, self.quality.tobytes()])

    def _scale(self, name: str) -> Scale:
        scale = SCALES[name]
        if scale.high > scale.low:
            return scale
        return Scale(0.0, max(float(np.nanmax(self.values[name], initial=0.0)), 1e-6))

    def one(self, channel: int) -> dict[str, Any]:
        """Return what there is to say of a channel, as JSON values."""
        wait = float(self.tells_s[channel])
        return {
            "quality": ChannelQuality(int(self.quality[channel])).name.lower().replace("_", " "),
            "tells_s": wait if np.isfinite(wait) else None,
            "showers": int(self.showers[channel]),
            "seconds": self.seconds,
            "values": {name: _plain(values[channel]) for name, values in self.values.items()},
            "alarms": [
                {"id": alarm.id, "summary": alarm.summary, "text": alarm.text}
                for alarm in self.alarms
                if any(share.channel == channel for share in alarm.channels)
            ],
            "history": {
                "second": [minute.start for minute in self.history],
                "showers": [int(minute.showers[channel]) for minute in self.history],
                "mean": [_plain(minute.mean[channel]) for minute in self.history],
                "spread": [_plain(minute.spread[channel]) for minute in self.history],
                "lit": [_plain(minute.lit[channel]) for minute in self.history],
            },
        }


def drawn(
    watch: ChannelWatch,
    constants: ChannelConstants,
    alarms: tuple[Alarm, ...],
    history: Sequence[Minute],
    now: int,
) -> ChannelMap:
    """Return the map of the last minute or two."""
    lately = watch.lately[LAST]
    table = lately.table()
    start = now if lately.start is None else lately.start
    seconds = max(now - start + 1, 1)
    n, mean, spread, lit = inner(table)
    tells = watch.tells_after()
    core = watch.run["showers"][:, 0]
    energy = watch.run["energy"][:, 0]
    pool = watch.tests.pool
    usual = np.bincount(pool, energy) / np.maximum(np.bincount(pool, core), 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        gain = energy / core / usual[pool]
    gain = np.where(
        core >= LEAST_CORE, gain, np.where(constants.seeds > 0, constants.energy, np.nan)
    )
    quality = np.where(tells > 0, ChannelQuality.NULL, ChannelQuality.GOOD).astype(np.uint8)
    for alarm in sorted(alarms, key=lambda a: a.severity is Severity.PAGE):
        bad = alarm.severity is Severity.PAGE
        rows = [share.channel for share in alarm.channels]
        quality[rows] = ChannelQuality.BAD if bad else ChannelQuality.MEDIUM
    quality[watch.ignored] = ChannelQuality.LEFT_OUT
    return ChannelMap(
        second=now,
        seconds=seconds,
        values={
            "rate": n / seconds, "mean latent": mean, "spread": spread, "occupancy": lit,
            "gain": gain,
        },
        showers=n,
        quality=quality,
        tells_s=tells,
        history=tuple(history),
        alarms=alarms,
    )  # fmt: skip


LAST = 2
"""Which stretch that the watch looks back at is drawn: about a minute."""

LEAST_CORE = 100
"""Showers with a channel in the core below which its energy says nothing yet: energies of showers
spread by half of their mean, so that the mean of so many is known to a fourth of `SCALES`."""


def layout(channels: Channels) -> bytes:
    """Return positions and sizes as float32, regions as int16 and layers as uint8, one by one."""
    columns = (
        channels.position[:, 0].astype("<f4"), channels.position[:, 1].astype("<f4"),
        channels.size[:, 0].astype("<f4"), channels.size[:, 1].astype("<f4"),
        channels.region.astype("<i2"), channels.layer.astype(np.uint8),
    )  # fmt: skip
    return b"".join(column.tobytes() for column in columns)


def _bytes(values: NDArray[np.float64], scale: Scale) -> bytes:
    share = (values - scale.low) / (scale.high - scale.low)
    level = 1 + np.rint(254 * np.clip(share, 0.0, 1.0))
    return np.where(np.isfinite(values), level, 0).astype(np.uint8).tobytes()


def _plain(value: Any) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
