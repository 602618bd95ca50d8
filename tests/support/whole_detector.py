"""A whole detector of crystals: its channels, and showers anywhere in it."""

import numpy as np

from models.detector.channels import Channels
from models.detector.geometry import Geometry, Layer
from models.detector.parts import GridGroup, GridLayer, Part
from models.simulation import whole
from models.simulation.canvas import Home

CRYSTALS = Geometry(
    "crystals-9",
    (Layer("crystals", (3, 3), (22.0, 22.0), (0.0, 230.0)),),
    noise_mev=40.0,
    least_count_mev=10.0,
    materials=(("active", "PbWO4"),),
)
PART = Part(
    "B",
    (1, 4),
    (GridLayer("crystals", (8, 6), patch=(3, 3)),),
    wrap="columns",
    groups=(GridGroup("card", (4, 3)),),
)
EVEN = whole.Spread()


def detector(
    channels: Channels,
    geometry: Geometry,
    given: whole.Spread = EVEN,
    *,
    largest: bool = True,
) -> whole.WholeDetector:
    rng = np.random.default_rng(1)
    pool = whole.simulated_pool(channels, geometry, np.full(400, 10_000.0), rng)
    own = whole.constants(len(channels), geometry, given, 3)
    home = Home(np.zeros(len(channels), np.int64), largest)
    return whole.WholeDetector(channels, geometry, pool, own, home)


def spread_out(channels: Channels, n: int, seed: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.choice(np.flatnonzero(channels.may_seed), n).astype(np.uint32)
