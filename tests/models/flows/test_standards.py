"""Standards: energies are calibrated layer by layer in any unit, and empty cells have a floor."""

from dataclasses import replace

import numpy as np
import pytest
import tiny

from models.detector.geometry import Geometry, Layer
from models.flows import features, standards
from models.flows.cell_energies import inverse
from models.flows.filling import Filling
from models.showers.batch import Showers

TWO = Geometry(
    "two",
    (
        Layer("front", (1, 2), (10.0, 10.0), (0.0, 10.0)),
        Layer("back", (1, 2), (10.0, 10.0), (10.0, 50.0)),
    ),
    noise_mev=0.0,
)
QUIET = replace(tiny.GEOMETRY, noise_mev=0.0, least_count_mev=0.0)


def of_two_layers(n=4000, low=1e3, high=2e4, seed=1):
    """Return energies, and cores of two layers that count them by factors of 4 and 9."""
    rng = np.random.default_rng(seed)
    e = rng.uniform(low, high, n)
    share = rng.beta(4, 3, n)
    energy = np.column_stack([share * (e - 30) / 4, (1 - share) * (e - 30) / 9])
    return e.astype(np.float32), energy * rng.normal(1, 0.02, energy.shape)


def test_every_layer_gets_the_factor_that_it_counts_with():
    e, core = of_two_layers()
    offset, *factors = standards._calibration(core, e, TWO)
    assert factors == pytest.approx([4, 9], rel=0.01)
    assert offset == pytest.approx(30, abs=30)


@pytest.mark.parametrize("unit", [1e-3, 1e3])
def test_factors_do_not_depend_on_the_unit_of_energy(unit):
    e, core = of_two_layers()
    offset, *factors = standards._calibration(core, e, TWO)
    other, *again = standards._calibration(core * unit, (e * unit).astype(np.float32), TWO)
    assert again == pytest.approx(factors, rel=1e-4)
    assert other == pytest.approx(offset * unit, rel=0.01)


def test_showers_of_one_energy_are_not_told_that_energy_whatever_they_hold():
    e, core = of_two_layers(low=1e4, high=1e4)
    offset, *factors = standards._calibration(core, e, TWO)
    assert offset == 0
    assert (0.5 * core) @ np.array(factors) == pytest.approx(0.5 * e, rel=0.15)


def test_a_layer_that_holds_nothing_has_the_factor_of_all():
    e, core = of_two_layers()
    core[:, 1] = 0
    _, front, back = standards._calibration(core, e, TWO)
    assert back == pytest.approx(e.sum() / core.sum(), rel=0.15)
    assert front > 4


def suppressed(showers, sigma):
    cut = np.float32(sigma * tiny.GEOMETRY.noise_mev)
    return Showers(np.where(showers.cells > cut, showers.cells, np.float32(0)), showers.e_inc)


def test_digitised_noise_makes_no_empty_cells():
    assert not standards.zeros(tiny.showers().cells, tiny.GEOMETRY).any()
    assert standards.fit(tiny.showers(), tiny.GEOMETRY).sparse == ()


@pytest.mark.parametrize("sigma", [2, 3, 5])
def test_suppressed_cells_may_be_unlit_and_bright_ones_may_not(sigma):
    cells = suppressed(tiny.showers(), sigma).cells
    empty = standards.zeros(cells, tiny.GEOMETRY)
    assert empty[cells.mean(axis=0) < 1].all()
    assert not empty[np.argsort(-cells.mean(axis=0))[:4]].any()


def test_one_dead_channel_makes_its_cell_alone_one_that_may_be_unlit():
    cells = tiny.showers().cells.copy()
    cells[:, 17] = 0
    found = standards.fit(Showers(cells, tiny.showers().e_inc), tiny.GEOMETRY)
    assert found.sparse == (2 + 17,)


@pytest.mark.parametrize("kind", ["suppressed", "noise-free"])
def test_what_is_unlit_is_at_its_floor_and_what_is_lit_is_above(kind):
    if kind == "suppressed":
        showers, geometry = suppressed(tiny.showers(), 3), tiny.GEOMETRY
    else:
        showers, geometry = tiny.showers("gamma_clean"), QUIET
    made = standards.fit(showers, geometry)
    f, _ = made(showers)
    floor, draws = (part[:, 2:].numpy() for part in f.sparse)
    cells, lit = f.cells.numpy(), showers.cells != 0
    empty = np.isin(np.arange(2, 506), made.sparse)
    assert np.array_equal((draws == 1)[:, empty], lit[:, empty])
    assert np.array_equal(cells[:, empty][~lit[:, empty]], floor[:, empty][~lit[:, empty]])
    assert (cells >= floor).all()
    # Seldom lit cells are measured by what their layer holds where lit: no spread is tiny.
    assert np.abs(cells[lit]).max() < 40
    again = inverse(made, f.cells, f.conditions)
    assert np.allclose(again[lit], showers.cells[lit], rtol=1e-2, atol=1e-2)


def test_draws_are_the_showers_own_and_even():
    showers = suppressed(tiny.showers(), 3)
    made = standards.fit(showers, tiny.GEOMETRY)
    whole, part = made(showers)[0], made(showers[slice(5, 9)])[0]
    assert np.array_equal(whole.sparse.draws[5:9], part.sparse.draws)
    draws = whole.sparse.draws.numpy()
    unlit = draws[draws < 1]
    assert np.histogram(unlit, 10, (0, 1))[0] == pytest.approx(len(unlit) / 10, rel=0.02)


def test_a_map_of_empty_cells_is_saved_whole_and_one_without_as_ever():
    sparse = standards.fit(suppressed(tiny.showers(), 3), tiny.GEOMETRY)
    again = features.from_arrays(sparse.arrays(), ())
    assert again.sparse == sparse.sparse
    plain = standards.fit(tiny.showers(), tiny.GEOMETRY).arrays()
    assert not {"floor_mev", "cell_odds"} & set(plain)
    assert features.from_arrays(plain, ()).sparse == ()


def test_masked_cells_that_are_mostly_unlit_are_taken_as_unlit():
    showers = suppressed(tiny.showers(), 3)[slice(0, 50)]
    made = standards.fit(suppressed(tiny.showers(), 3), tiny.GEOMETRY)
    mask = np.zeros(showers.cells.shape, bool)
    mask[:, [0, 353]] = True
    filled = Filling(made)(showers, mask).cells
    assert (filled[:, 0] == 0).all()
    assert (filled[:, 353] > 0).all()
