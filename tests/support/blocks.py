"""Blocks of plain showers, for tests that need bytes rather than physics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from consumers.wire.block import Block
from models.detector.files import SHIPPED, load
from models.showers.batch import Showers

if TYPE_CHECKING:
    from models.detector.geometry import Geometry

GEOMETRY: Geometry = load(SHIPPED / "pb-lar-504.json")
START_NS = 1_767_225_600 * 10**9
"""2026-01-01, a full data-second."""


def block(n: int = 4, seed: int = 0, *, producer: str = "tests", seq: int = 0) -> Block:
    """Return N showers of noise with distinct event ids, spread over a data-second."""
    rng = np.random.default_rng(seed)
    cells = rng.normal(0, 1, (n, GEOMETRY.n_cells)).astype(np.float32)
    return Block(
        showers=Showers(cells, rng.uniform(1e3, 2e4, n).astype(np.float32)),
        event_id=np.arange(n, dtype=np.uint64) + np.uint64(1000 * seq),
        time_ns=START_NS + np.sort(rng.integers(0, 10**9, n)),
        run=np.full(n, 7, np.int64),
        lumisection=np.full(n, 3, np.int64),
        region=rng.integers(0, 16, n),
        producer=producer,
        seq=seq,
    )
