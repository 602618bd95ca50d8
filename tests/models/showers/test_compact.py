"""Showers as arrays for a file."""

import re

import numpy as np
import pytest

from models.showers.batch import Showers
from models.showers.compact import MOST_CELLS, compact, most, whole


@pytest.mark.parametrize(("least", "most"), [(0.25, 8000), (0.25, 1e6), (10, 3e5), (0, 1e6)])
def test_showers_are_what_they_were(least, most):
    rng = np.random.default_rng(1)
    cells = rng.uniform(-most, most, (20, 5)).astype(np.float32)
    if least:
        cells = np.rint(cells / np.float32(least)) * np.float32(least)
    e_inc = np.where(np.arange(20) % 3, rng.uniform(1, 1e5, 20), np.nan).astype(np.float32)
    arrays = compact(Showers(cells, e_inc, {"eta": cells[:, 0]}), least)
    assert all(np.isfinite(array).all() for array in arrays.values())
    again = whole(arrays, 5, least)
    assert np.array_equal(again.cells, cells)
    assert np.array_equal(again.e_inc, e_inc, equal_nan=True)
    assert np.array_equal(again.conditions["eta"], cells[:, 0])


def test_small_counts_take_two_bytes_a_cell():
    showers = Showers(np.full((3, 2), 50, np.float32), np.full(3, 1e3, np.float32))
    assert compact(showers, 0.25)["cells"].dtype == np.int16


@pytest.mark.parametrize("odd", [0.1, 0.25 * 2**25])
def test_showers_that_are_not_in_whole_least_counts_stay_what_they_are(odd):
    cells = np.full((3, 2), 50, np.float32)
    cells[1, 1] = odd
    arrays = compact(Showers(cells, np.full(3, 1e3, np.float32)), 0.25)
    assert arrays["cells"].dtype == np.float32
    assert np.array_equal(whole(arrays, 2, 0.25).cells, cells)


def arrays_of(cells, **others):
    return {"cells": cells, "e_inc": np.full(len(cells), 1e3, np.float32)} | others


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        (arrays_of(np.zeros((3, 2), np.int8)), "int8"),
        (arrays_of(np.zeros((3, 2), np.float16)), "float16"),
        (arrays_of(np.zeros((3, 4), np.int16)), "(3, 4)"),
        (arrays_of(np.zeros(3, np.int16)), "(3,)"),
        (arrays_of(np.zeros((most(2) + 1, 2), np.int16)), "up to 12000"),
        (arrays_of(np.zeros((3, 2), np.int16), e_inc=np.ones(2, np.float32)), "e_inc"),
        (arrays_of(np.zeros((3, 2), np.int16), **{"condition.eta": np.ones(3)}), "eta"),
        ({"cells": np.zeros((3, 2), np.int16)}, "no e_inc"),
    ],
)
def test_what_are_no_such_showers_is_refused_in_one_line_before_any_is_made(
    arrays, says, monkeypatch
):
    monkeypatch.setattr("models.showers.compact.Showers", lambda *_: pytest.fail("made"))
    with pytest.raises(ValueError, match=re.escape(says)) as caught:
        whole(arrays, 2, 0.25)
    assert "\n" not in str(caught.value)


def test_of_showers_of_many_cells_a_file_holds_fewer():
    assert most(25) == 12_000
    assert most(504) * 504 <= MOST_CELLS < (most(504) + 1) * 504


def test_counts_of_no_least_count_are_refused():
    with pytest.raises(ValueError, match="no least count"):
        whole(arrays_of(np.ones((3, 2), np.int16)), 2, 0.0)
