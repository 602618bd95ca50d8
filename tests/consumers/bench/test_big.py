"""bench big: cells and showers of a big detector, here a small one, through every step."""

import numpy as np
import pytest

from consumers.bench import big
from consumers.wire.user_error import UserError


def test_the_cells_are_those_of_the_challenge():
    for cells, rings in big.RINGS.items():
        made = big.geometry(*rings)
        assert (made.n_cells, made.n_layers) == (cells, rings[0])


def test_showers_hold_their_energy_in_few_cells():
    seen = big.showers(big.geometry(45, 16, 9), 5, np.random.default_rng(1))
    assert seen.cells.sum(axis=1) == pytest.approx(seen.e_inc, rel=1e-4)
    assert (seen.cells == 0).mean() > 0.7


@pytest.mark.slow
def test_every_command_is_timed(tmp_path):
    told = big.measure(tmp_path, (3, 6, 4), big.LEAST, seed=1)
    assert told["cells"] == 72
    assert [name.split(":")[0] for name in told["steps"]] == [
        "train", "reference certify", "apply", "evaluate",
    ]  # fmt: skip
    assert all(step["cpu_s"] > 1 and step["peak_mib"] > 100 for step in told["steps"].values())


def test_a_command_that_fails_is_said_in_its_own_words(tmp_path):
    with pytest.raises(UserError, match=r"^apply: calodqm apply: "):
        big._timed(["apply", "nothing here", "--artefact", "none", "--out", "p"], tmp_path)
