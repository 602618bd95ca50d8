"""Cells that are filled in hold what the energy lets expect, and the energy stays."""

import numpy as np
import pytest
import tiny

from models.flows.filling import Filling
from models.showers.batch import Showers


def test_masked_cells_are_filled_with_what_the_energy_lets_expect(feature_map):
    good = tiny.showers()
    core = int(np.argmax(good.cells.mean(axis=0)))
    mask = np.zeros(good.cells.shape, bool)
    mask[:, core] = True
    broken = good.cells.copy()
    broken[:, core] = 1e6
    filled = Filling(feature_map)(Showers(broken, good.e_inc), mask)
    rest = np.delete(filled.cells, core, axis=1)
    assert np.array_equal(rest, np.delete(good.cells, core, axis=1))
    response = feature_map.e_rec(filled.cells) / good.e_inc
    assert response.mean() == pytest.approx(1, abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 4, 40, 144, 288])
def test_the_energy_of_filled_showers_converges_however_much_is_missing(feature_map, n):
    good = tiny.showers()
    order = np.argsort(-good.cells.mean(axis=0))
    layers = {144: np.arange(288, 432), 288: np.arange(288)}
    mask = np.zeros(good.cells.shape, bool)
    mask[:, layers.get(n, order[:n])] = True
    filled = Filling(feature_map)(good, mask)
    again = Filling(feature_map)(filled, mask)
    ratio = feature_map.e_rec(filled.cells) / feature_map.e_rec(good.cells)
    assert np.allclose(again.cells, filled.cells, rtol=1e-3, atol=1e-3)
    assert np.median(ratio) == pytest.approx(1, abs=0.08)
