"""Setups in which the alarms are measured: sizes of reference and detector, energies, masks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.detector.tree import grid
from monitor.judging.monitor import Monitor
from monitor.judging.settings import MonitorSettings
from monitor.quality.acknowledgements import Acknowledgement, Mask
from monitor.reference.live import LiveSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from models.showers.batch import Showers
    from monitor.detector.tree import Detector
    from monitor.reference.expectation import Expectation

REFERENCES = (3_000, 10_000, 32_400, 100_000)
DETECTORS = {4: (1, 4), 64: (8, 8), 1024: (32, 32)}
"""Sectors, and regions of each, by the number of regions."""

RATE = 1000.0
"""Showers per second in the whole detector."""

LATE_SHARE = 0.02
"""Share of the seconds in which some regions come after their second was judged."""


@dataclass(frozen=True, slots=True)
class Setup:
    """One way in which the monitor may have to work."""

    n_ref: int
    """Showers of the reference."""

    regions: int
    e_inc: str
    """known or unknown: what the stream says of incident energies."""

    masked: int
    """Masked cells of one region: those nearest to the axis, which hold most of a shower."""

    @property
    def name(self) -> str:
        """Return it in words, as it is chosen."""
        return f"ref{self.n_ref}-regions{self.regions}-{self.e_inc}-masked{self.masked}"

    @property
    def detector(self) -> Detector:
        """Return the tree of regions."""
        return grid("calo", *DETECTORS[self.regions])

    @property
    def struck(self) -> tuple[int, int]:
        """Return the rows of two regions, in two sectors where there are two."""
        return self.regions // 6, self.regions - 1 - self.regions // 5

    @property
    def masked_row(self) -> int:
        """Return the row of the region with masked cells: none that a fault strikes."""
        return self.regions // 2

    def fits(self, text: str) -> bool:
        """Return whether it is meant by some words of its name, all of them whole and in a row.

        Examples
        --------
        >>> setup = Setup(10_000, 64, "known", 4)
        >>> setup.fits("ref10000-regions64"), setup.fits("masked4"), setup.fits("ref1000")
        (True, True, False)
        """
        return f"-{text}-" in f"-{self.name}-"

    def masked_cells(self, geometry: Geometry) -> NDArray[np.int64]:
        """Return the cells that are masked in one region, ascending."""
        off_axis = np.hypot(*geometry.centres[:, :2].T)
        return np.sort(np.argsort(off_axis, kind="stable")[: self.masked])

    def judge(self, geometry: Geometry, reference: Expectation) -> Monitor:
        """Return a monitor that does not learn while it watches, with its masks."""
        settings = MonitorSettings(live=LiveSettings(enabled=False))
        judge = Monitor(self.detector, geometry, reference, settings)
        if self.masked:
            mask = Mask(self.masked_row, tuple(self.masked_cells(geometry).tolist()))
            judge.acknowledge(Acknowledgement("bench", "bench", "known", 0, (mask,)))
        return judge

    def told(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "n_ref": self.n_ref,
            "regions": self.regions,
            "e_inc": self.e_inc,
            "masked": self.masked,
        }


SETUPS = tuple(
    Setup(n_ref, regions, e_inc, masked)
    for n_ref, regions, e_inc, masked in product(
        REFERENCES, DETECTORS, ("known", "unknown"), (0, 4)
    )
) + tuple(Setup(32_400, 64, "known", masked) for masked in (1, 40))


def as_seen(showers: Showers, e_inc: str) -> Showers:
    """Return showers as a stream tells them: without incident energies where these are unknown."""
    if e_inc == "known":
        return showers
    return replace(showers, e_inc=np.full(showers.n, np.nan, np.float32))
