"""Units: a factor of a thousand is told by the noise and by the response; a factor of a few is not."""

from dataclasses import replace

import numpy as np
import pytest
import tiny

from models.showers.batch import Showers
from models.showers.units import doubts


def words(showers, *, clean=False, geometry=tiny.GEOMETRY):
    return " and ".join(doubts(showers, geometry, clean=clean))


@pytest.mark.parametrize("name", ["gamma_train", "pi0", "mu", "eplus", "lead3"])
def test_the_shipped_showers_are_in_mev(name):
    assert not words(tiny.showers(name, 400))


@pytest.mark.parametrize(
    ("cells", "energies", "says"),
    [
        (1e-3, 1, ("noise", "sampling fraction")),
        (1, 1e-3, ("sampling fraction",)),
        (1e-3, 1e-3, ("noise",)),
        (1e3, 1, ("noise", "sampling fraction")),
    ],
)
def test_other_units_are_told_at_once(cells, energies, says):
    good = tiny.showers("gamma_test", 200)
    other = Showers(good.cells * np.float32(cells), good.e_inc * np.float32(energies))
    told = words(other)
    assert [word in told for word in ("noise", "sampling fraction")] == [
        word in says for word in ("noise", "sampling fraction")
    ]


def test_unknown_energies_leave_the_noise_to_tell():
    good = tiny.showers("gamma_test", 200)
    unknown = np.full_like(good.e_inc, np.nan)
    assert "noise" in words(Showers(good.cells / 1000, unknown))
    assert not words(Showers(good.cells, unknown))


def test_suppressed_noise_leaves_the_response_to_tell():
    good = tiny.showers("gamma_test", 200)
    lit = np.where(good.cells > 4, good.cells, 0).astype(np.float32)
    assert not words(Showers(lit, good.e_inc))
    assert words(Showers(lit / 1000, good.e_inc)).startswith("cells hold")
    assert not words(Showers(good.cells, good.e_inc), clean=True)


def test_a_geometry_that_is_off_by_a_factor_of_a_few_is_no_other_unit():
    good = tiny.showers("gamma_test", 200)
    for fraction, noise in ((1.0, 1.0), (0.05, 0.2), (0.19, 8.0)):
        geometry = replace(tiny.GEOMETRY, sampling_fraction=fraction, noise_mev=noise)
        assert not words(good, geometry=geometry)
