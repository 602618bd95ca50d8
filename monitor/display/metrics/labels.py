"""Values of the labels that grow with the detector, and their bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.detector.tree import Detector

MAX_REGION_LABELS = 256
"""Beyond this many regions, series are kept by sector: 25 series a region are paid for each."""


def region_labels(detector: Detector) -> list[str]:
    """Return what the series of each region are labelled with, in the order of regions.

    Its name; where regions are many, that of the innermost sectors around them that are few enough.
    """
    regions = detector.regions
    if len(regions) <= MAX_REGION_LABELS:
        return [region.name for region in regions]
    paths = {sector: detector.path(sector) for sector in detector.innermost}
    for depth in range(max(len(path) for path in paths.values()), 0, -1):
        shown = {sector: path[:depth][-1] for sector, path in paths.items()}
        if len(set(shown.values())) <= MAX_REGION_LABELS:
            return [shown[region.sector] for region in regions]
    return [detector.name] * len(regions)


def region_rows(detector: Detector) -> tuple[list[str], NDArray[np.int64]]:
    """Return the label values, and the row of every region id up to the largest."""
    names = region_labels(detector)
    labels = {name: row for row, name in enumerate(dict.fromkeys(names))}
    rows = np.full(max(region.id for region in detector.regions) + 1, len(labels), np.int64)
    for region, name in zip(detector.regions, names, strict=True):
        rows[region.id] = labels[name]
    return list(labels), rows
