"""Values of the labels that grow with the detector, and their bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.detector.tree import Detector

MAX_REGION_LABELS = 256
"""Beyond this many regions, series are kept by sector: 25 series a region are paid for each."""


def region_rows(detector: Detector) -> tuple[list[str], NDArray[np.int64]]:
    """Return the label values, and the row of every region id up to the largest."""
    by_sector = len(detector.regions) > MAX_REGION_LABELS
    names = [region.sector if by_sector else region.name for region in detector.regions]
    labels = list(dict.fromkeys(names))
    rows = np.full(max(region.id for region in detector.regions) + 1, len(labels), np.int64)
    for region, name in zip(detector.regions, names, strict=True):
        rows[region.id] = labels.index(name)
    return labels, rows
