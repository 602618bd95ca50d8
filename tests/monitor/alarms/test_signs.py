"""Signs: which cells lie beside each other."""

import numpy as np
import pytest

from models.detector.geometry import Geometry, Layer
from monitor.alarms.signs import _beside

EDGES = (0.0, 5.0, 10.0, 15.0)


def beside(layer, cell):
    return set(np.flatnonzero(_beside(cell, Geometry("one", (layer,), noise_mev=1.0))).tolist())


@pytest.mark.parametrize("angle", range(6))
def test_cells_of_a_ring_have_neighbours_over_the_seam(angle):
    rings = Layer("rings", (6, 3), (1.0, 1.0), (0.0, 1.0), EDGES)
    expected = {(angle + a) % 6 * 3 + r for a in (-1, 0, 1) for r in range(3)} - {angle * 3 + 1}
    assert beside(rings, angle * 3 + 1) == expected


def test_cells_of_a_grid_have_none_beyond_its_edge():
    grid = Layer("grid", (6, 3), (1.0, 1.0), (0.0, 1.0))
    assert beside(grid, 0) == {1, 3, 4}


@pytest.mark.parametrize("angles", [1, 2])
def test_whole_and_half_rings_need_no_seam(angles):
    rings = Layer("rings", (angles, 3), (1.0, 1.0), (0.0, 1.0), EDGES)
    assert beside(rings, 0) == {1, 3, 4} & set(range(angles * 3))
