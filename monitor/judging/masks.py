"""Masks: what the crew has taken out of tests and references, and for which cause."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from monitor.detector.places import Places
    from monitor.quality.acknowledgements import Acknowledgement


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """What is masked at a time."""

    regions: NDArray[np.bool_]
    """Regions that are masked wholly, shape (R,)."""

    cells: NDArray[np.bool_]
    """Latents that are masked, shape (R, D)."""

    causes: dict[int, str]
    """Why, by row of a region that is masked wholly."""

    channels: tuple[int, ...] = ()
    """Read-out channels that are masked."""

    @property
    def touched(self) -> NDArray[np.bool_]:
        """Return the regions of which something is masked, shape (R,)."""
        out: NDArray[np.bool_] = self.regions | self.cells.any(1)
        return out


def in_force(acts: Iterable[Acknowledgement], now_ns: int, places: Places, n_latents: int) -> Masks:
    """Return what acts of the crew mask at a data time."""
    row_of = {region: row for row, region in enumerate(places.ids.tolist())}
    regions = np.zeros(places.n_regions, bool)
    cells = np.zeros((places.n_regions, n_latents), bool)
    causes: dict[int, str] = {}
    channels: set[int] = set()
    for act in acts:
        if not act.holds(now_ns):
            continue
        for mask in act.masks:
            row = row_of[mask.region]
            channels.update(mask.channels)
            if mask.cells:
                cells[row, list(mask.cells)] = True
            elif mask.whole:
                regions[row], causes[row] = True, f"{act.cause} ({act.who})"
    return Masks(regions, cells, causes, tuple(sorted(channels)))


def ended(acts: Iterable[Acknowledgement], now_ns: int) -> list[Acknowledgement]:
    """Return the acts whose time is over."""
    return [
        act for act in acts if act.until_ns is not None and not act.lifted and not act.holds(now_ns)
    ]
