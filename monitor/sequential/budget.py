"""Budget: the false pages that the whole system may make, split over places and channels.

The tests of a place have shares of its part, each said where the tests are (`FAMILY_SHARE`).
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.detector.places import Places
    from monitor.sequential.channel_units import ChannelUnits

DAY = 86_400.0
LEVEL_SHARE = {"detector": 0.40, "sector": 0.10, "region": 0.50}
"""Share of the budget of each level; regions are many and most faults are there, while a faint
change of everything has the detector alone to be found by."""

CHANNELS_SHARE = 0.3
"""Share of the whole budget for single channels and their groups, where a detector has channels;
the places then keep the rest, in proportion."""

GROUPS_PART = 1 / 3
"""Part of that for the groups."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """How often good data may page and warn, in days of data-taking."""

    days_per_page: float = 30.0
    days_per_warning: float = 1.0
    """`math.inf` switches warnings off."""

    def __post_init__(self) -> None:
        if not 0 < self.days_per_page < math.inf:
            raise ValueError("days_per_page must be positive")
        if not self.days_per_warning > 0:
            raise ValueError("days_per_warning must be positive")

    def page_at(self, places: Places) -> NDArray[np.float64]:
        """Return the evidence at which each place pages, data-seconds, shape (P,)."""
        needed: NDArray[np.float64] = self.days_per_page * DAY / shares(places)
        return needed

    def warn_at(self, places: Places) -> NDArray[np.float64]:
        """Return the evidence at which each place warns, data-seconds, shape (P,)."""
        days = min(self.days_per_warning, 1e290)  # infinite evidence would not add up
        needed: NDArray[np.float64] = days * DAY / shares(places)
        return needed

    def channels_at(self, units: ChannelUnits, *, warn: bool = False) -> NDArray[np.float64]:
        """Return the evidence at which each channel and group pages, data-seconds, shape (U,)."""
        days = min(self.days_per_warning, 1e290) if warn else self.days_per_page
        groups = GROUPS_PART if units.groups else 0.0
        each = np.full(units.n, CHANNELS_SHARE * groups / max(len(units.groups), 1))
        each[: units.n_channels] = CHANNELS_SHARE * (1 - groups) / units.n_channels
        needed: NDArray[np.float64] = days * DAY / each
        return needed


def places_part(places: Places) -> float:
    """Return the part of the whole budget that places have; channels have the rest, if any."""
    return 1.0 if places.detector.channels is None else 1 - CHANNELS_SHARE


def shares(places: Places) -> NDArray[np.float64]:
    """Return the share of the budget of each place, shape (P,); they add up to at most 1."""
    count = Counter(places.levels)
    return np.array([LEVEL_SHARE[level] / count[level] for level in places.levels])
