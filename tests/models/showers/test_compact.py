"""Showers as arrays for a file."""

import numpy as np
import pytest

from models.showers.batch import Showers
from models.showers.compact import compact, whole


@pytest.mark.parametrize(("least", "most"), [(0.25, 8000), (0.25, 1e6), (10, 3e5), (0, 1e6)])
def test_showers_are_what_they_were(least, most):
    rng = np.random.default_rng(1)
    cells = rng.uniform(-most, most, (20, 5)).astype(np.float32)
    if least:
        cells = np.rint(cells / np.float32(least)) * np.float32(least)
    e_inc = np.where(np.arange(20) % 3, rng.uniform(1, 1e5, 20), np.nan).astype(np.float32)
    arrays = compact(Showers(cells, e_inc, {"eta": cells[:, 0]}), least)
    assert all(np.isfinite(array).all() for array in arrays.values())
    again = whole(arrays, least)
    assert np.array_equal(again.cells, cells)
    assert np.array_equal(again.e_inc, e_inc, equal_nan=True)
    assert np.array_equal(again.conditions["eta"], cells[:, 0])


def test_small_counts_take_two_bytes_a_cell():
    showers = Showers(np.full((3, 2), 50, np.float32), np.full(3, 1e3, np.float32))
    assert compact(showers, 0.25)["cells"].dtype == np.int16
