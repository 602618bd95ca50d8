"""Pions: two photons at the kinematics of a decay, where they fly."""

import numpy as np
import pytest

from models.detector import files
from models.showers.batch import Showers
from models.simulation import gflash
from models.simulation.moving import ALONG_X, ALONG_Y, moved
from models.simulation.pions import MASS, UPSTREAM_MM, Decays, decays, pions

GEOMETRY = files.load(files.SHIPPED / "pb-lar-504.json")


def photons(n=300, energy=(1e3, 2e4)):
    rng = np.random.default_rng(1)
    return gflash.simulate_showers(GEOMETRY, rng.uniform(*energy, n), rng, noise=False)


def test_both_photons_together_are_the_pion():
    energy = np.random.default_rng(2).uniform(1e3, 2e4, 5000)
    found = decays(energy, np.random.default_rng(1))
    ahead = np.isfinite(found.slope).all(axis=(1, 2))
    assert ahead.mean() > 0.99
    e, slope = found.energy[ahead], found.slope[ahead]
    length = np.sqrt(1 + np.square(slope).sum(axis=2, keepdims=True))
    direction = np.concatenate([slope, np.ones((*slope.shape[:2], 1))], axis=2) / length
    momentum = (e[:, :, None] * direction).sum(axis=1)
    assert e.sum(axis=1) == pytest.approx(energy[ahead])
    assert np.abs(momentum[:, :2]).max() < 1e-6
    mass = np.sqrt(e.sum(axis=1) ** 2 - np.square(momentum).sum(axis=1))
    assert mass == pytest.approx(np.full(len(mass), MASS), rel=1e-4)


def test_photons_are_as_far_apart_as_the_energy_lets_them_and_mostly_little_more():
    found = decays(np.full(4000, 1e4), np.random.default_rng(1))
    least = UPSTREAM_MM * 2 * MASS / 1e4
    assert found.opening_mm.min() >= 0.98 * least
    assert np.median(found.opening_mm) < 1.4 * least


@pytest.mark.parametrize(("axis", "layer"), [(ALONG_X, 1), (ALONG_Y, 0), (ALONG_Y, 1)])
def test_what_is_moved_lies_further_along_that_axis_and_nowhere_else(axis, layer):
    cells, where = GEOMETRY.slices[layer], GEOMETRY.centres
    one = photons(50).cells[:, cells].astype(np.float64)
    there = moved(one, GEOMETRY.layers[layer], 80.0, GEOMETRY, axis)
    shift = [
        (there @ where[cells, a]) / there.sum(axis=1) - (one @ where[cells, a]) / one.sum(axis=1)
        for a in (0, 1)
    ]
    assert np.median(shift[axis]) == pytest.approx(80, abs=8)
    assert np.abs(shift[1 - axis]).max() < 2
    assert there.sum() == pytest.approx(one.sum(), rel=0.05)


def test_a_pion_has_the_energy_of_both_photons_where_they_fly():
    slope = np.array([[[0.0, 0.02], [0.0, -0.02]]] * 40)
    found = Decays(np.full((40, 2), 5e3), slope)
    made = pions(found, photons(), GEOMETRY, np.random.default_rng(1))
    assert made.e_inc == pytest.approx(np.full(40, 1e4))
    one = photons(40, (1e4, 1e4 + 1))
    assert made.cells.sum(axis=1).mean() == pytest.approx(one.cells.sum(axis=1).mean(), rel=0.05)
    strips = made.cells[:, GEOMETRY.slices[0]].reshape(40, 3, 96).sum(axis=(0, 1))
    y = GEOMETRY.centres[:96, 1]
    for side in (-33, 33):
        assert strips[np.abs(y - side) < 8].sum() > 5 * strips[np.abs(y) < 8].sum()


def test_a_photon_that_flies_elsewhere_is_lost():
    slope = np.array([[[0.0, 0.0], [np.inf, np.inf]]] * 20)
    found = Decays(np.full((20, 2), 5e3), slope)
    made = pions(found, photons(), GEOMETRY, np.random.default_rng(1))
    assert isinstance(made, Showers)
    half = photons(20, (5e3, 5e3 + 1))
    assert made.cells.sum(axis=1).mean() == pytest.approx(half.cells.sum(axis=1).mean(), rel=0.05)
