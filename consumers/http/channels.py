"""Channels: what the map of a detector's channels is drawn from, and what there is to say of one."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import orjson

from consumers.http.reply import Reply
from monitor.display.channel_map import SCALES, ChannelQuality, layout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.detector.tree import Detector
    from monitor.display.channel_map import ChannelMap

BYTES = "application/octet-stream"
KEPT_S = 3600
"""A browser may keep where channels lie for so long, under the address that names this layout."""


class ChannelPages:
    """Answers to what the page asks of channels.

    Parameters
    ----------
    detector
        With channels.
    """

    def __init__(self, detector: Detector) -> None:
        channels = detector.channels
        if channels is None:
            raise ValueError("a detector without channels has no map of them")
        self._channels, self._detector = channels, detector
        self._layout = layout(channels)
        self._groups: dict[int, list[str]] = {}
        for name, members in channels.groups.items():
            for channel in members.tolist():
                self._groups.setdefault(channel, []).append(name)
        self._about = orjson.dumps(self._told())
        self.now: ChannelMap | None = None

    def _told(self) -> dict[str, Any]:
        return {
            "n": len(self._channels),
            "detector": self._detector.name,
            "axes": self._channels.axes,
            "layers": self._channels.layers,
            "regions": [region.name for region in self._detector.regions],
            "quantities": [*SCALES],
            "qualities": [quality.name.lower().replace("_", " ") for quality in ChannelQuality],
            "layout": f"/api/channels/layout?v={zlib.crc32(self._layout):08x}",
        }

    def reply(self, path: str, query: Mapping[str, list[str]]) -> Reply | None:
        """Return the answer to a GET below /api/channels, None where there is nothing."""
        if path == "/api/channels":
            return Reply(self._about, "application/json")
        if path == "/api/channels/layout":
            return Reply(self._layout, BYTES, max_age_s=KEPT_S)
        if path == "/api/channels/map":
            now = self.now
            return None if now is None else Reply(now.packed(), BYTES)
        if path == "/api/channels/one":
            return self._one(query)
        if path == "/api/channels/find":
            return self._find(query)
        return None

    def _find(self, query: Mapping[str, list[str]]) -> Reply | None:
        try:
            channel = self._channels.find(query.get("name", [""])[0])
        except ValueError:
            return None
        return Reply(orjson.dumps({"channel": channel}), "application/json")

    def _one(self, query: Mapping[str, list[str]]) -> Reply | None:
        text, now = query.get("id", [""])[0], self.now
        if now is None or not (text.isascii() and text.isdigit()) or len(text) > 9:
            return None
        channel = int(text)
        if channel >= len(self._channels):
            return None
        of = self._channels
        row = int(of.region[channel])
        region = self._detector.regions[row] if row >= 0 else None
        told = {
            "channel": channel,
            "name": of.name(channel),
            "region": None if region is None else region.name,
            "region_id": None if region is None else region.id,
            "layer": of.layers[int(of.layer[channel])],
            "position": of.position[channel].tolist(),
            "groups": self._groups.get(channel, []),
        }
        return Reply(orjson.dumps(told | now.one(channel)), "application/json")
