"""Acknowledgement: who has taken an alarm in hand, why, until when, and what is masked for it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, with_config
from pydantic_core import to_json

from monitor.quality.bounds import SPOKEN, TOLD, Count, Whole

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.detector.geometry import Geometry
    from monitor.detector.tree import Detector

MAX_TEXT = 500
_RANGE = re.compile(r"^(?P<layer>[^\[\]:]+)\[(?P<row>\d+),(?P<column>\d+)\]$")


class MaskError(ValueError):
    """A mask that names what does not exist; the message says what would."""


@with_config(SPOKEN)
@dataclass(frozen=True, slots=True)
class Mask:
    """A region, or cells or channels of a region, that leave tests and references."""

    region: Whole
    """Region id."""

    cells: tuple[Whole, ...]
    """Cells, sorted; without cells and channels the whole region is meant, which must be said:
    there is no default."""

    channels: tuple[Count, ...] = ()
    """Read-out channels of the detector, sorted."""

    @property
    def whole(self) -> bool:
        """Return whether the whole region is meant."""
        return not (self.cells or self.channels)


@with_config(TOLD)
@dataclass(frozen=True)
class Masked:
    """All that is masked at a time, for those who score."""

    regions: tuple[Whole, ...] = ()
    """Ids of the regions that are masked as a whole, sorted."""

    cells: tuple[tuple[Whole, tuple[Whole, ...]], ...] = ()
    """Ids of further regions, sorted, each with its masked cells, sorted."""

    channels: tuple[Count, ...] = ()
    """Read-out channels that are masked, sorted."""

    @classmethod
    def of(cls, masks: Iterable[Mask]) -> Masked:
        """Return what some masks come to together."""
        found: dict[int, set[int]] = {}
        whole: set[int] = set()
        channels: set[int] = set()
        for mask in masks:
            if mask.cells:
                found.setdefault(mask.region, set()).update(mask.cells)
            channels.update(mask.channels)
            if mask.whole:
                whole.add(mask.region)
        cells = tuple(
            (region, tuple(sorted(found[region]))) for region in sorted(found.keys() - whole)
        )
        return cls(tuple(sorted(whole)), cells, tuple(sorted(channels)))

    @cached_property
    def digest(self) -> str:
        """Return what names the masked cells and channels, the same for the same; empty for none."""
        if not self.cells and not self.channels:
            return ""
        what = (self.cells, self.channels) if self.channels else self.cells
        return hashlib.sha256(repr(what).encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """Return plain values; `from_json` is the inverse."""
        values = {"regions": list(self.regions), "cells": [[r, list(c)] for r, c in self.cells]}
        return values | ({"channels": list(self.channels)} if self.channels else {})

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Masked:
        """Return what plain values mask, or raise `ValueError`."""
        return _MASKED.validate_json(to_json(values))


_MASKED = TypeAdapter(Masked)
NOTHING_MASKED = Masked()


@with_config(SPOKEN)
@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """One act: an alarm is in hand, its cause is known, something may be masked."""

    alarm: str
    who: str
    cause: str
    time_ns: Count
    """When it was said, ns since 1970 UTC."""

    masks: tuple[Mask, ...] = ()
    until_ns: Count | None = None
    """Data time at which masks and acknowledgement end; None: until lifted."""

    lifted: bool = False
    """True takes an earlier acknowledgement of this alarm, and its masks, back."""

    def __post_init__(self) -> None:
        if not self.alarm or not self.who.strip() or not self.cause.strip():
            raise ValueError("an acknowledgement needs an alarm, a name and a cause")
        if max(len(self.who), len(self.cause)) > MAX_TEXT:
            raise ValueError(f"name and cause may have {MAX_TEXT} characters")

    def holds(self, time_ns: int) -> bool:
        """Return whether it holds at a data time."""
        return not self.lifted and (self.until_ns is None or time_ns < self.until_ns)


def parse_masks(text: str, detector: Detector, geometry: Geometry) -> tuple[Mask, ...]:
    """Return the masks that people write: what `parse_mask` reads, or channels by name.

    The name of a channel, `EB-12/34`, or of a group of channels; more of them after a `;`. A group
    may reach over several regions.

    Raises
    ------
    MaskError
        If there is no such region, cell, channel or group.
    """
    if detector.channels is None or _named(text, detector)[0] in _regions(detector):
        return (parse_mask(text, detector, geometry),)
    members: set[int] = set()
    for word in filter(None, (word.strip() for word in text.split(";"))):
        try:
            members.update(detector.channels.members(word).tolist())
        except ValueError as error:
            raise MaskError(f"{error}; nor is there a region of that name") from None
    if not members:
        raise MaskError("a mask names a region, cells, channels or a group")
    by_region: dict[int, list[int]] = {}
    for channel in sorted(members):
        by_region.setdefault(int(detector.channels.region[channel]), []).append(channel)
    ids = [region.id for region in detector.regions]
    return tuple(Mask(ids[max(row, 0)], (), tuple(found)) for row, found in by_region.items())


def _regions(detector: Detector) -> frozenset[str]:
    return frozenset(region.name for region in detector.regions)


def parse_mask(text: str, detector: Detector, geometry: Geometry) -> Mask:
    """Return the mask that people write: `A3`, or `A3:middle[5,6]` with more cells after a `;`.

    Examples
    --------
    >>> from models.detector.files import SHIPPED, load
    >>> from monitor.detector.tree import grid
    >>> calo = grid("calo", sectors=1, regions_per_sector=4)
    >>> parse_mask("A3:middle[0,0];middle[0,1]", calo, load(SHIPPED / "pb-lar-504.json"))
    Mask(region=2, cells=(288, 289), channels=())
    """
    name, rest = _named(text, detector)
    region = next((r for r in detector.regions if r.name == name), None)
    if region is None:
        names = ", ".join(r.name for r in detector.regions[:8])
        raise MaskError(f"no region {name!r}; there are {names} ...")
    words = [word.strip() for word in (rest or "").split(";")]
    cells = tuple(sorted(_cell(word, geometry) for word in words if word))
    if rest is not None and not cells:
        raise MaskError("no cell after the colon: leave it out to mask the whole region")
    return Mask(region.id, cells)


def _named(text: str, detector: Detector) -> tuple[str, str | None]:
    """Return the name of a region and what stands after its colon, None if there is none.

    A name may have colons, brackets and blanks itself: the longest that is a region's counts.
    """
    parts = text.split(":")
    names = {region.name for region in detector.regions}
    for n in range(len(parts), 0, -1):
        name = ":".join(parts[:n])
        found = next((known for known in (name, name.strip()) if known in names), None)
        if found is not None:
            return found, None if n == len(parts) else ":".join(parts[n:])
    name, colon, rest = text.partition(":")
    return name.strip(), rest if colon else None


def _cell(word: str, geometry: Geometry) -> int:
    match = _RANGE.match(word)
    layers = {layer.name: i for i, layer in enumerate(geometry.layers)}
    if match is None or match["layer"] not in layers:
        raise MaskError(f"no cell {word!r}: write layer[row,column], layers are {list(layers)}")
    index = layers[match["layer"]]
    rows, columns = geometry.layers[index].shape
    row, column = int(match["row"]), int(match["column"])
    if row >= rows or column >= columns:
        raise MaskError(f"no cell {word!r}: {match['layer']} has {rows} rows, {columns} columns")
    return int(geometry.slices[index].start) + row * columns + column
