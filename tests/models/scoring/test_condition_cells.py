"""Condition cells: equal counts where that can be, and enough in each whatever ties there are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.scoring.condition_cells import check, inner_edges


def counts(energy, n_cells):
    edges = inner_edges(energy, n_cells)
    cell = np.searchsorted(edges, energy, side="right")
    return np.bincount(cell, minlength=len(edges) + 1)


@pytest.mark.slow
@given(st.integers(1, 8), st.integers(20, 200))
def test_distinct_energies_make_equal_counts(n_cells, n):
    energy = np.random.default_rng(n).permutation(n) + 0.5
    found = counts(energy, n_cells)
    assert len(found) == n_cells
    assert found.max() - found.min() <= 1


@pytest.mark.slow
@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.integers(1, 8))
def test_equal_energies_stay_together_and_no_cell_is_empty(values, n_cells):
    energy = np.array(values, float)
    edges = inner_edges(energy, n_cells)
    assert np.all(np.diff(edges) > 0)
    assert not set(edges.tolist()) & set(values)
    assert counts(energy, n_cells).min() > 0
    assert len(edges) < n_cells


@pytest.mark.parametrize("share", [0.05, 1 / 6, 0.3, 0.7])
def test_empty_triggers_leave_enough_in_every_cell(share):
    rng = np.random.default_rng(3)
    energy = rng.uniform(1000, 20_000, 3000)
    energy[rng.random(3000) < share] = 50.0
    found = counts(energy, 6)
    rest = 3000 * min(1 - share, 1) / 6
    assert found.min() > 0.8 * rest
    check(energy, np.arange(3000), 6)


def test_too_few_showers_are_told_with_their_cell_and_how_many_it_takes():
    energy = np.arange(1.0, 201)
    with pytest.raises(ValueError, match=r"condition cell 0 \(0 to .* MeV\).*about 400 in all"):
        check(energy, np.arange(200), 6)
    check(energy, np.arange(200), 2)
