"""Channel case: one fault of single read-out channels, or of a group of them."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ConfigDict, with_config

from monitor.alarms.any_case import AnyCase
from monitor.detector.tree import Level


@with_config(ConfigDict(extra="forbid"))
@dataclass(slots=True, kw_only=True)
class ChannelCase(AnyCase):
    """One fault: which channels, since when."""

    place: str
    """Name of the channel or group that is named."""

    level: Level
    unit: int
    """Unit that crossed."""

    channels: list[int]
    """Channels that it claims, the one that says most first."""

    checked_at: int = 0
    """Data-second of the last look at whether it goes on."""

    checked_touches: float = 0.0
    """Showers near its channels until then."""

    needed_touches: float = 0.0
    """Showers near its channels between onset and alarm."""
