"""Channel sites: faults of single channels and groups, far from each other in a part of a barrel."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.simulation.channel_faults import struck
from models.simulation.faults import Fault, FaultKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.detector.channels import Channels

SINGLE: dict[str, tuple[FaultKind, dict[str, float]]] = {
    "dead": (FaultKind.DEAD, {}),
    "hot, 50σ in 10 %": (FaultKind.HOT, {"x": 50.0, "share": 0.1}),
    "noise x 3": (FaultKind.NOISE, {"x": 3.0}),
    "gain +2 %": (FaultKind.GAIN, {"x": 0.02}),
    "gain -2 %": (FaultKind.GAIN, {"x": -0.02}),
    "gain +5 %": (FaultKind.GAIN, {"x": 0.05}),
    "gain -5 %": (FaultKind.GAIN, {"x": -0.05}),
    "gain +10 %": (FaultKind.GAIN, {"x": 0.10}),
    "gain -10 %": (FaultKind.GAIN, {"x": -0.10}),
    "swapped pair": (FaultKind.SWAP, {}),
}

GROUPS: dict[str, tuple[FaultKind, dict[str, float]]] = {
    "dead card of 25": (FaultKind.DEAD, {}),
    "high voltage -3 %": (FaultKind.GAIN, {"x": -0.03}),
}

NAMES = (*SINGLE, *GROUPS)
ROWS, COLUMNS, BLOCK, WIDE = 85, 20, 5, 10
"""Of a module, of a block of high voltage."""


class Site(NamedTuple):
    """A fault, and the channels that it strikes."""

    name: str
    fault: Fault
    channels: frozenset[int]


class Slot(NamedTuple):
    """A block of 5 x 10 crystals, with a block of good ones above and below."""

    module: int
    band: int
    half: int


def slots(modules: int) -> list[Slot]:
    """Return where faults may be: every other row of blocks."""
    bands = range(0, ROWS // BLOCK, 2)
    return [Slot(m, b, h) for b in bands for m in range(modules) for h in range(COLUMNS // WIDE)]


def sites(channels: Channels, modules: int, seed: int) -> list[Site]:
    """Return as many faults of each kind as have room, at places drawn anew for each seed.

    Groups are in rows of blocks of their own, so that no two of them touch.
    """
    rng = np.random.default_rng([seed, 23])
    free = slots(modules)
    each = len(free) // len(NAMES)
    bands = sorted({slot.band for slot in free})
    chosen = rng.permutation(bands)[: each * len(GROUPS)].tolist()
    names = [name for name in GROUPS for _ in range(each)]
    out = []
    for name, band in zip(names, chosen, strict=True):
        slot = free[int(rng.choice([i for i, s in enumerate(free) if s.band == band]))]
        free.remove(slot)
        out.append(_site(name, slot, channels, rng))
    order = iter(rng.permutation(len(free)).tolist())
    for name in SINGLE:
        out += [_site(name, free[next(order)], channels, rng) for _ in range(each)]
    return out


def _site(name: str, slot: Slot, channels: Channels, rng: np.random.Generator) -> Site:
    kind, magnitudes = {**SINGLE, **GROUPS}[name]
    fault = Fault(kind, channel=tuple(_where(name, slot, rng)), magnitudes=magnitudes)
    return Site(name, fault, frozenset(struck(fault, channels).tolist()))


def _where(name: str, slot: Slot, rng: np.random.Generator) -> Iterator[str]:
    region, across = f"EB{slot.module + 1}", COLUMNS // WIDE
    if name == "dead card of 25":
        yield f"{region}/card{slot.band * 2 * across + 2 * slot.half + 1 + int(rng.integers(2))}"
    elif name == "high voltage -3 %":
        yield f"{region}/hv{slot.band * across + slot.half + 1}"
    else:
        row = slot.band * BLOCK + int(rng.integers(BLOCK))
        first = row * COLUMNS + slot.half * WIDE + 4 + int(rng.integers(2)) + 1
        yield from (f"{region}/{first + i}" for i in range(1 + (name == "swapped pair")))
