"""Scales that references and windows share: what is counted, in which bins, in which units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from models.detector.geometry import Geometry

LEVELS = (1e-1, 1e-2, 1e-3)
"""Levels α at which exceedances of the combined p-value are counted."""

P_EDGES = np.array(
    [
        0,
        1e-4,
        3e-4,
        1e-3,
        3e-3,
        1e-2,
        3e-2,
        0.1,
        0.2,
        0.3,
        0.4,
        0.5,
        0.6,
        0.7,
        0.8,
        0.9,
        0.97,
        0.99,
        1,
    ]
)
"""Edges of the p-value histogram, B + 1 of them: fine in both tails, the same everywhere."""

P_MIN = 1e-12
"""No p-value is smaller: no reference knows more."""

Z_UNIT = 1 / 256
"""Latents are summed in whole multiples of this, so that sums are exact in any order."""

Z_CLIP = 32.0
"""Latents beyond this are taken as this: one wild cell must not hide a thousand others."""

LIT_SIGMA = 3.0
"""A cell is lit above this many times its noise or, if that is larger, its least count."""


def lit_threshold(geometry: Geometry) -> float:
    """Return the energy above which a cell is lit, MeV."""
    return LIT_SIGMA * max(geometry.noise_mev, geometry.least_count_mev)
