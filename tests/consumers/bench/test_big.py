"""bench big: cells and showers of a big detector, here a small one, through every step."""

import numpy as np
import pytest

from consumers.bench import big


def test_the_cells_are_those_of_the_challenge():
    for cells, rings in big.RINGS.items():
        made = big.geometry(cells, *rings)
        assert (made.n_cells, made.n_layers) == (cells, big.LAYERS)


def test_showers_hold_their_energy_in_few_cells():
    seen = big.showers(big.geometry(6480, 16, 9), 5, np.random.default_rng(1))
    assert seen.cells.sum(axis=1) == pytest.approx(seen.e_inc, rel=1e-4)
    assert (seen.cells == 0).mean() > 0.7


@pytest.mark.slow
def test_every_step_is_timed():
    told = big.measure(72, (6, 4), big.LEAST, seed=1)
    assert told["cells"] == 72
    assert len(told["steps"]) == 5
    assert all(step["cpu_s"] >= 0 and step["peak_mib"] > 50 for step in told["steps"].values())
