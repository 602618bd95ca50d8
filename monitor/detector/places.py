"""Places: detector, sectors of any depth and regions, as rows that counts of regions add up to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

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
        """Return which regions belong to each place, shape (P, R): for few regions."""
        members = np.zeros((self.n, self.n_regions), bool)
        members[self.place_of, self.region_of] = True
        return members

    @cached_property
    def _listed(self) -> list[NDArray[np.int64]]:
        row_of = {region: row for row, region in enumerate(self.ids.tolist())}
        every = np.arange(self.n_regions)
        sectors = self.detector.sectors.values()
        return [
            every,
            *(np.array([row_of[region] for region in regions]) for regions in sectors),
            *np.split(every, self.n_regions),
        ]

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Return how many regions belong to each place, shape (P,), > 0."""
        return np.array([len(rows) for rows in self._listed])

    @cached_property
    def region_of(self) -> NDArray[np.int64]:
        """Return the region of each membership, place after place, shape (M,)."""
        return np.concatenate(self._listed)

    @cached_property
    def place_of(self) -> NDArray[np.int64]:
        """Return the place of each membership, ascending, shape (M,)."""
        return np.repeat(np.arange(self.n), self.sizes)

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(self.sizes)])

    def member(self, place: int) -> NDArray[np.bool_]:
        """Return which regions belong to a place, shape (R,)."""
        rows = np.zeros(self.n_regions, bool)
        rows[self.region_of[self._starts[place] : self._starts[place + 1]]] = True
        return rows

    def counts(self, regions: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return how many of some regions, given as shape (R,), each place has, shape (P,)."""
        return self.counts_of(regions[self.region_of])

    def counts_of(self, memberships: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return how many of some memberships, given as shape (M,), each place has, shape (P,)."""
        counts: NDArray[np.int64] = np.add.reduceat(memberships.astype(np.int64), self._starts[:-1])
        return counts

    def touching(self, regions: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the places that have any of some regions, shape (P,)."""
        return np.asarray(self.counts(regions) > 0)

    def inside(self, regions: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the places that have none but some regions, shape (P,)."""
        return np.asarray(self.counts(regions) == self.sizes)

    def explained(self, regions: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the memberships of some regions in places that reach beyond them, shape (M,)."""
        beyond = ~self.inside(regions)
        return np.asarray(regions[self.region_of] & beyond[self.place_of])

    def weights(self, memberships: NDArray[np.bool_] | None = None) -> csr_array:
        """Return the matrix that adds up regions, shape (P, R), of some memberships or of all."""
        chosen = np.ones(len(self.region_of), bool) if memberships is None else memberships
        starts = np.concatenate([[0], np.cumsum(self.counts_of(chosen))])
        regions = self.region_of[chosen]
        return csr_array((np.ones(len(regions)), regions, starts), shape=(self.n, self.n_regions))

    def smallest(self, regions: NDArray[np.bool_]) -> int:
        """Return the smallest place that holds all these regions, given as shape (R,)."""
        holding = self.counts(regions) == regions.sum()
        sizes = np.where(holding, self.sizes, self.n_regions + 1)
        return int(sizes.shape[0] - 1 - np.argmin(sizes[::-1]))  # a lone region before its sector
