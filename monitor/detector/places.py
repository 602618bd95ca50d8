"""Places: detector, sectors of any depth and regions, as rows that counts of regions add up to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from monitor.detector.tree import Level

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.detector.tree import Detector


@dataclass(frozen=True)
class Places:
    """The P = 1 + sectors + R places of a detector: whole, sectors, regions, in this order.

    A sector comes after the one that it lies in.

    Examples
    --------
    >>> from monitor.detector.tree import grid
    >>> Places(grid("calo", sectors=2, regions_per_sector=2)).names
    ('calo', 'A', 'B', 'A1', 'A2', 'B1', 'B2')
    """

    detector: Detector

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the name of each place."""
        regions = tuple(region.name for region in self.detector.regions)
        return (self.detector.name, *self.detector.sectors, *regions)

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """Return the level of each place."""
        n_sectors, n_regions = len(self.detector.sectors), len(self.detector.regions)
        return (Level.DETECTOR, *[Level.SECTOR] * n_sectors, *[Level.REGION] * n_regions)

    @property
    def n(self) -> int:
        """Return P."""
        return len(self.names)

    @property
    def n_regions(self) -> int:
        """Return R."""
        return len(self.detector.regions)

    @property
    def first_region(self) -> int:
        """Return the row of the first region."""
        return self.n - self.n_regions

    @cached_property
    def ids(self) -> NDArray[np.int64]:
        """Return the id of each region, in the order of rows, shape (R,)."""
        return np.array([region.id for region in self.detector.regions], np.int64)

    def unknown(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return those of some region ids that the detector does not have."""
        return ids[~np.isin(ids, self.ids)]

    @cached_property
    def members(self) -> NDArray[np.bool_]:
        """Return which regions belong to each place, shape (P, R)."""
        rows = [np.ones(self.n_regions, bool)]
        rows += [np.isin(self.ids, ids) for ids in self.detector.sectors.values()]
        return np.concatenate([np.stack(rows), np.eye(self.n_regions, dtype=bool)])

    def parents(self, place: int) -> NDArray[np.bool_]:
        """Return which places hold all of a place's regions and more, shape (P,)."""
        inside = self.members[:, self.members[place]].all(1)
        larger: NDArray[np.bool_] = inside & (self.members.sum(1) > self.members[place].sum())
        return larger

    def smallest(self, regions: NDArray[np.bool_]) -> int:
        """Return the smallest place that holds all these regions, given as shape (R,)."""
        holding = self.members[:, regions].all(1)
        sizes = np.where(holding, self.members.sum(1), self.n_regions + 1)
        return int(sizes.shape[0] - 1 - np.argmin(sizes[::-1]))  # a lone region before its sector
