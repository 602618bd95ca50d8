"""Faults: what goes wrong in a calorimeter: kind, place, magnitude and time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class FaultError(ValueError):
    """A fault that cannot be; the message says which keys and values can."""


class FaultKind(StrEnum):
    """What goes wrong; `KEYS` has the magnitudes and their defaults."""

    DEAD = "dead"
    """Cells read exactly zero."""

    HOT = "hot"
    """Cells read `x` times the noise too much, in a `share` of the showers."""

    NOISE = "noise"
    """The electronics noise of cells is `x` times what it should be."""

    PEDESTAL = "pedestal"
    """Cells read `x` times the noise too much, always; negative for too little."""

    GAIN = "gain"
    """Cells read a share `x` too much (0.05 is +5 %); negative for too little."""

    TRIP = "trip"
    """High voltage lost: the response falls to `x` of what it was, the noise stays."""

    SWAP = "swap"
    """Two regions, or two cells, are cabled crosswise."""

    SPIKE = "spike"
    """One cell, any of those named, reads `mev` more, alone, in a `share` of the showers."""

    BURST = "burst"
    """Coherent noise: all cells move together by a draw of `x` times the noise, in a `share`."""

    SHIFT = "shift"
    """Conditions move, no shower is strange: energies are drawn with a weight E^`x`."""

    PILE_UP = "pile-up"
    """On average `x` soft photons of `mev` visible energy each, anywhere in the cells."""

    SECOND = "second"
    """The energy is that of two photons `mm` apart, the second with a share `x` of it."""

    SILENT = "silent"
    """The region sends nothing."""

    LATE = "late"
    """What the region sends arrives `seconds` late, with its true data time."""

    CORRUPT = "corrupt"
    """A `share` of the records arrives damaged."""


KEYS: Mapping[FaultKind, Mapping[str, float]] = MappingProxyType(
    {
        FaultKind.DEAD: {},
        # CMS ECAL calls a channel hot at 100 times the occupancy of its ring; at 50 sigma in
        # three showers of ten, this one is.
        FaultKind.HOT: {"x": 50.0, "share": 0.3},
        # CMS ECAL barrel is red above an RMS of 3 ADC where 1 is normal; 2 is the harder case.
        FaultKind.NOISE: {"x": 2.0},
        FaultKind.PEDESTAL: {"x": 1.0},
        FaultKind.GAIN: {"x": 0.05},
        # One side of an electrode lost: half of the signal (ATLAS LAr).
        FaultKind.TRIP: {"x": 0.5},
        FaultKind.SWAP: {},
        # One in 370 triggers has one in the CMS barrel at 7 TeV.
        FaultKind.SPIKE: {"mev": 500.0, "share": 1 / 370},
        FaultKind.BURST: {"x": 5.0, "share": 0.1},
        FaultKind.SHIFT: {"x": 1.0},
        FaultKind.PILE_UP: {"x": 20.0, "mev": 5.0},
        FaultKind.SECOND: {"x": 0.3, "mm": 20.0, "share": 1.0},
        FaultKind.SILENT: {},
        FaultKind.LATE: {"seconds": 30.0},
        FaultKind.CORRUPT: {"share": 0.1},
    }
)
"""Magnitudes that each kind takes, with defaults of the size that experts call bad."""

STREAM = frozenset({FaultKind.SHIFT, FaultKind.SILENT, FaultKind.LATE, FaultKind.CORRUPT})
"""Kinds that act on the stream and not on energies: `apply` refuses them, a producer does them."""

WHOLE_LAYER = frozenset({FaultKind.NOISE, FaultKind.PEDESTAL, FaultKind.BURST})
"""Kinds that strike a whole layer if no cells are named."""

OF_NOISE = WHOLE_LAYER | {FaultKind.HOT}
"""Kinds whose `x` counts in units of the noise: where there is none they are nothing."""

OF_CHANNELS = frozenset(
    {
        FaultKind.DEAD, FaultKind.HOT, FaultKind.NOISE, FaultKind.PEDESTAL, FaultKind.GAIN,
        FaultKind.TRIP, FaultKind.SWAP, FaultKind.SPIKE, FaultKind.BURST,
    }
)  # fmt: skip
"""Kinds that may strike channels of a detector, wherever showers are."""

_PLACELESS = frozenset({FaultKind.SECOND, FaultKind.PILE_UP}) | STREAM
"""Kinds that name no cells."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: what, where, how much and when.

    Examples
    --------
    >>> Fault(FaultKind.GAIN, magnitudes={"x": 0.02}, region=(3,), start=30.0, length=60.0).active(29.9)
    False
    >>> str(Fault(FaultKind.HOT, cells=(353,)))
    'hot:cells=353,x=50,share=0.3'
    """

    kind: FaultKind
    region: tuple[int, ...] = ()
    """Region ids that are struck; empty: all."""

    cells: tuple[int, ...] = ()
    """Cells that are struck; empty: those of `layer`, or what `struck` chooses."""

    layer: str = ""
    """Name of a layer, struck as a whole."""

    magnitudes: Mapping[str, float] = field(default_factory=dict)
    """Values for the keys of `KEYS`; those not given take the default."""

    start: float = 0.0
    """Begin, seconds of stream time, >= 0."""

    length: float = math.inf
    """Seconds, > 0."""

    channel: tuple[str, ...] = ()
    """Names of channels, or of groups of them, that are struck wherever a shower is: for detectors
    whose file says channels."""

    def __post_init__(self) -> None:
        allowed = KEYS[self.kind]
        unknown = set(self.magnitudes) - set(allowed)
        if unknown:
            raise FaultError(f"{self.kind} takes {keys_of(self.kind)}, not {', '.join(unknown)}")
        object.__setattr__(self, "magnitudes", {**allowed, **self.magnitudes})
        if not all(math.isfinite(value) for value in self.magnitudes.values()):
            raise FaultError(f"{self.kind}: magnitudes must be finite numbers")
        if not 0 < self.magnitudes.get("share", 1.0) <= 1:
            raise FaultError(f"{self.kind}: share must lie in (0, 1]")
        if not (0 <= self.start < math.inf and self.length > 0):
            raise FaultError(f"{self.kind}: begins at a second >= 0 and lasts more than 0 s")
        self._check_magnitude()
        self._check_place()

    def _check_magnitude(self) -> None:
        x = self.magnitudes.get("x", 0.0)
        allowed = {
            FaultKind.NOISE: x >= 1,
            FaultKind.TRIP: 0 <= x < 1,
            FaultKind.GAIN: x > -1,
            FaultKind.SECOND: 0 < x <= 0.5,
            FaultKind.PILE_UP: 0 < x <= 1000 and self.magnitudes.get("mev", 0) > 0,
            FaultKind.LATE: self.magnitudes.get("seconds", 0) > 0,
        }
        if not allowed.get(self.kind, True):
            values = ", ".join(f"{k}={v:g}" for k, v in self.magnitudes.items())
            raise FaultError(f"{self.kind}: {values} is outside of what can be")

    def _check_place(self) -> None:
        if self.cells and self.layer:
            raise FaultError(f"{self.kind}: name cells or a layer, not both")
        if (self.cells or self.layer) and self.kind in _PLACELESS:
            raise FaultError(f"{self.kind} takes {keys_of(self.kind)}, not cells or layer")
        if self.channel and (self.cells or self.layer or self.region):
            raise FaultError(f"{self.kind}: name channels or places of the patch, not both")
        if self.channel and self.kind not in OF_CHANNELS:
            raise FaultError(f"{self.kind} takes {keys_of(self.kind)}, not channel")
        pairs = {len(self.cells), len(self.region), len(self.channel)}
        if self.kind is FaultKind.SWAP and 2 not in pairs:
            raise FaultError(
                "swap needs two regions (region=3+4), two cells (cells=200+201) or two channels"
            )

    def active(self, seconds: float) -> bool:
        """Return whether the fault is there at a second of stream time."""
        return self.start <= seconds < self.start + self.length

    def __str__(self) -> str:
        parts = {
            "region": "+".join(map(str, self.region)),
            "cells": "+".join(map(str, self.cells)),
            "layer": self.layer,
            "channel": "+".join(self.channel),
            **{name: f"{value:g}" for name, value in self.magnitudes.items()},
        }
        given = ",".join(f"{name}={value}" for name, value in parts.items() if value)
        lasts = "" if math.isinf(self.length) else f"+{self.length:g}"
        when = f"@{self.start:g}{lasts}" if self.start or lasts else ""
        return f"{self.kind}{':' if given else ''}{given}{when}"


def keys_of(kind: FaultKind) -> str:
    """Return in words what may be said of a kind."""
    places = ["region"] if kind in _PLACELESS else ["region", "cells", "layer"]
    places += ["channel"] if kind in OF_CHANNELS else []
    return ", ".join([*places, *KEYS[kind]])
