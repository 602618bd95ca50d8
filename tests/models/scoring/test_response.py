"""How far latents move with gains and pedestals: what a scorer of known latents must give."""

from dataclasses import replace

import numpy as np
import pytest

from models.detector.geometry import Geometry, Layer
from models.scoring.response import channel_response
from models.scoring.scored import Scored
from models.showers.batch import Showers

RINGS = np.array([2, 1, 2, 1, 0, 1, 2, 1, 2], np.int8)
OWN, BESIDE, ALL = 3.0, -0.4, 0.1
QUIET = Geometry("nine", (Layer("one", (3, 3), (10.0, 10.0), (0.0, 100.0)),), noise_mev=0.0)


class Linear:
    """A latent is the cell's energy, less a part of the energy of those beside the core.

    That of the layer is a part of all energy.
    """

    def score(self, showers: Showers) -> Scored:
        cells = showers.cells
        near, core = cells[:, RINGS == 1].sum(1, keepdims=True), cells[:, RINGS == 0]
        latents = OWN * cells
        latents[:, RINGS == 0] += BESIDE * near
        latents[:, RINGS == 1] += BESIDE * core
        latents = np.hstack([latents, ALL * cells.sum(1, keepdims=True)])
        n = showers.n
        return Scored(
            np.zeros((n, 1), np.float32), np.ones((n, 1)), np.ones(n), latents,
            np.zeros(n, np.int64), np.ones(n, bool), np.zeros(n, bool), np.zeros((n, 1), np.int64),
        )  # fmt: skip


def test_the_response_is_that_of_the_latents() -> None:
    cells = np.full((50, 9), 2.0, np.float32)
    showers = Showers(cells, np.full(50, np.nan, np.float32))
    sigma = np.full((1, 10), 2.0, np.float32)
    geometry = replace(QUIET, noise_mev=0.1)
    found = channel_response(Linear(), showers, geometry, np.zeros((1, 10), np.float32), sigma)
    assert found.pedestal == pytest.approx(found.gain / 2, abs=1e-3)  # of 2 MeV in each
    near, core = np.flatnonzero(RINGS == 1), np.flatnonzero(RINGS == 0)
    expected = OWN * np.eye(9)
    expected[np.ix_(near, core)] = expected[np.ix_(core, near)] = BESIDE
    assert found.gain[:, :9] == pytest.approx(expected, abs=1e-3)
    assert found.gain[:, 9:] == pytest.approx(np.full((9, 9), ALL), abs=1e-3)


def test_a_cell_without_noise_has_no_pedestal() -> None:
    showers = Showers(np.ones((50, 9), np.float32), np.full(50, np.nan, np.float32))
    flat = np.ones((1, 10), np.float32)
    assert not channel_response(Linear(), showers, QUIET, flat, flat).pedestal.any()
