"""Channel streams: what is looked for in every channel and group, and with what weight."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from monitor.sequential.rates import Test


class Stream(NamedTuple):
    """One thing that is looked for."""

    test: Test
    scope: int
    """Rings that count: index into `SCOPES`; or `LAYER`."""

    size: float
    """Slope of the bet, negative for too little; ratio of rates for what is counted."""


CORE, INNER, ALL = 0, 1, 2
SCOPES = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1]], np.float64)
"""Rings that count in each scope: a channel in the core of a shower says more."""

LAYER = 3
"""Scope of the latent of a layer's energy, in showers whose core a channel is: what its gain moves
most. The latent of its own is what it has beside the others, and hardly moves."""

STREAMS = (
    *(Stream(Test.LATENT_MEAN, s, x) for s in (CORE, INNER) for x in (0.06, 0.2, 0.5)),
    *(Stream(Test.LATENT_MEAN, s, -x) for s in (CORE, INNER) for x in (0.06, 0.2, 0.5)),
    *(Stream(Test.LATENT_MEAN, LAYER, x) for x in (0.15, 0.4, 0.7, -0.15, -0.4, -0.7)),
    Stream(Test.LATENT_SPREAD, INNER, 0.1),
    Stream(Test.LATENT_SPREAD, ALL, 0.04),
    Stream(Test.LATENT_SPREAD, ALL, 0.1),
    Stream(Test.LATENT_SPREAD, INNER, -0.25),
    Stream(Test.OCCUPANCY, INNER, 0.1),
    Stream(Test.OCCUPANCY, INNER, 0.5),
    Stream(Test.OCCUPANCY, ALL, 1.6),
    Stream(Test.OCCUPANCY, ALL, 8.0),
    Stream(Test.SEEDS, CORE, 0.1),
    Stream(Test.SEEDS, CORE, 3.0),
    Stream(Test.SEEDS, CORE, 30.0),
    Stream(Test.ENERGY, CORE, -0.5),
)
"""What is looked for in every unit; F of them."""

FAMILY_SHARE = {
    Test.LATENT_MEAN: 0.45,
    Test.LATENT_SPREAD: 0.2,
    Test.OCCUPANCY: 0.2,
    Test.SEEDS: 0.1,
    Test.ENERGY: 0.05,
}

WEIGHTS = np.array([FAMILY_SHARE[s.test] / sum(o.test is s.test for o in STREAMS) for s in STREAMS])
"""Prior weight of each stream, with sum 1."""


def streams_of(test: Test) -> list[tuple[int, Stream]]:
    """Return the streams of a test, with their places in `STREAMS`."""
    return [(i, stream) for i, stream in enumerate(STREAMS) if stream.test is test]
