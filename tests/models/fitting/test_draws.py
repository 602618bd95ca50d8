"""What training and references draw from showers: mirrors, digitisation, shares, and no twins."""

import numpy as np
import pytest
import tiny
from fitted import small

from models.fitting.certification import every_image
from models.fitting.recipe import split
from models.fitting.twins import twins
from models.showers.batch import Showers
from models.showers.pool import Pool, digitise
from models.showers.symmetries import Symmetry


def test_mirrors_are_their_own_inverse_and_stay_in_their_layer():
    identity, x, y, both = (one.cells for one in Symmetry(("x", "y")).images(tiny.GEOMETRY))
    assert np.array_equal(identity, np.arange(504))
    assert np.array_equal(x[y], both)
    for image in (x, y, both):
        assert np.array_equal(image[image], identity)
        layer = tiny.GEOMETRY.layer_of_cell
        assert np.array_equal(layer[image], layer)
    centres = tiny.GEOMETRY.centres
    assert np.allclose(centres[x] * [-1, 1, 1], centres)
    assert np.allclose(centres[y] * [1, -1, 1], centres)


def test_digitisation_has_the_noise_and_the_step_of_the_detector():
    rng = np.random.default_rng(1)
    read = digitise(np.full((2000, 504), 7.0, np.float32), tiny.GEOMETRY, rng)
    assert read.mean() == pytest.approx(7, abs=0.01)
    assert read.std() == pytest.approx(np.hypot(1, 0.25 / np.sqrt(12)), rel=0.01)
    assert np.array_equal(read, np.rint(read * 4) / 4)


def test_only_clean_showers_get_noise():
    good = tiny.showers()[slice(0, 10)]
    clean = np.arange(10) < 5
    draw = Pool(good, clean).draw(np.arange(10), tiny.GEOMETRY, np.random.default_rng(1), ())
    changed = (draw.cells != good.cells).any(axis=1)
    assert np.array_equal(changed, clean)


def test_certified_showers_are_kept_out_of_training():
    good = tiny.showers()
    certify = Pool(good[slice(0, 300)])
    train, stop, aside = split(Pool(good), small(), certify, tiny.GEOMETRY)
    assert aside is certify
    assert train.n + stop.n == good.n - 300
    assert not np.isin(certify.showers.e_inc, train.showers.e_inc).any()
    assert not np.isin(certify.showers.e_inc, stop.showers.e_inc).any()


def of_energy(showers, e_inc):
    return Showers(showers.cells, np.full(showers.n, e_inc, np.float32))


@pytest.mark.parametrize("e_inc", [1e4, np.nan])
def test_showers_of_one_energy_or_none_are_told_apart_by_their_cells(e_inc):
    good = of_energy(tiny.showers(), e_inc)
    certify = Pool(good[slice(0, 300)])
    train, stop, _ = split(Pool(good), small(), certify, tiny.GEOMETRY)
    assert train.n + stop.n == good.n - 300
    of_others = split(Pool(good[slice(300, 1200)]), small(), certify, tiny.GEOMETRY)
    assert of_others[0].n + of_others[1].n == 900


def test_showers_of_other_energies_are_no_twins():
    good = tiny.showers()
    assert not twins(good, of_energy(good, 1e4), tiny.GEOMETRY).any()


@pytest.mark.parametrize("known", [True, False])
def test_a_shower_is_the_twin_of_its_clean_and_of_its_newly_digitised_form(known):
    clean = tiny.showers("gamma_clean")
    clean = clean if known else of_energy(clean, np.nan)
    rng = np.random.default_rng(1)
    one, other = (Showers(digitise(clean.cells, tiny.GEOMETRY, rng), clean.e_inc) for _ in range(2))
    assert twins(one, other, tiny.GEOMETRY).all()
    assert twins(one, clean, tiny.GEOMETRY).all()
    assert not twins(one[slice(0, 600)], other[slice(600, 1200)], tiny.GEOMETRY).any()


def test_noise_alone_is_not_its_own_twin():
    rng = np.random.default_rng(1)
    nothing, e_inc = np.zeros((300, 504), np.float32), np.full(300, 100, np.float32)
    one, other = (Showers(digitise(nothing, tiny.GEOMETRY, rng), e_inc) for _ in range(2))
    assert not twins(one, other, tiny.GEOMETRY).any()
    assert twins(one, one, tiny.GEOMETRY).all()


def test_without_files_of_its_own_the_reference_gets_a_share():
    good = tiny.showers()
    parts = split(Pool(good), small(), None, tiny.GEOMETRY)
    energies = np.concatenate([part.showers.e_inc for part in parts])
    assert sorted(energies) == sorted(good.e_inc)
    assert parts[2].n == 300


def test_population_holds_every_image_and_fresh_noise_for_clean_ones():
    good = tiny.showers()[slice(0, 10)]
    clean = np.arange(10) < 4
    showers, index = every_image(
        Pool(good, clean), tiny.GEOMETRY, small().certification, np.random.default_rng(1)
    )
    assert showers.n == 2 * (10 + 4)
    assert np.bincount(index).tolist() == [4] * 4 + [2] * 6
    assert len(np.unique(showers.cells[index == 0], axis=0)) == 4


def test_flips_of_noise_free_showers_keep_their_energy():
    good = tiny.showers()[slice(0, 5)]
    draw = Pool(Showers(good.cells, good.e_inc)).draw(
        np.arange(5),
        tiny.GEOMETRY,
        np.random.default_rng(3),
        Symmetry(("x", "y")).images(tiny.GEOMETRY),
    )
    assert np.allclose(draw.cells.sum(axis=1), good.cells.sum(axis=1), atol=1e-2)
