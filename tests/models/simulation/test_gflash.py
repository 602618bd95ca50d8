"""The fast simulation: physics where a formula says it, and Geant4 where showers are here."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.detector import files as geometries
from models.detector.geometry import Geometry, Layer
from models.detector.materials import MATERIALS, MaterialError, medium
from models.showers import shipped
from models.showers.readers import ReaderError
from models.simulation.gflash import deposits, profile, radii, simulate_showers
from models.simulation.sources import open_source

PB_LAR = geometries.load(geometries.SHIPPED / "pb-lar-504.json")
TRAIN = shipped.PB_LAR / "gamma_train.h5"
CRYSTALS = Geometry(
    "crystals",
    (Layer("crystals", (11, 11), (22.0, 22.0), (0.0, 230.0)),),
    noise_mev=40.0,
    materials=(("active", "PbWO4"),),
)


@pytest.fixture(scope="module")
def geant4():
    return open_source(TRAIN, PB_LAR).rows(0, 3000).showers


@pytest.fixture(scope="module")
def fast(geant4):
    return simulate_showers(PB_LAR, geant4.e_inc, np.random.default_rng(1))


def layer_energy(showers):
    return np.stack([showers.cells[:, s].sum(1, dtype=np.float64) for s in PB_LAR.slices], 1)


def test_lead_tungstate_has_the_constants_of_the_field():
    crystal = medium(CRYSTALS)
    assert crystal.critical_energy == pytest.approx(8.74, abs=0.05)
    assert crystal.moliere_mm == pytest.approx(21.6, abs=0.3)
    assert crystal.x0_mm == pytest.approx(8.9, abs=0.1)


def test_lead_and_liquid_argon_mix_as_the_paper_says():
    stuff = medium(PB_LAR)
    assert stuff.x0_mm == pytest.approx(15.6, abs=0.1)
    assert stuff.moliere_mm == pytest.approx(36.9, abs=0.3)
    assert stuff.critical_energy == pytest.approx(8.96, abs=0.05)
    assert (stuff.sampling_frequency, stuff.e_hat) == pytest.approx((2.60, 0.691), abs=0.01)


@pytest.mark.slow
def test_the_response_is_that_of_geant4(geant4, fast):
    ours, theirs = (s.cells.sum(1).mean(dtype=float) / s.e_inc.mean() for s in (fast, geant4))
    assert ours == pytest.approx(theirs, rel=0.02)


@pytest.mark.slow
def test_the_sampling_term_is_the_one_asked_for(geant4):
    e = np.full(2000, 10_000.0)
    showers = simulate_showers(PB_LAR, e, np.random.default_rng(2), sampling_term=0.07, noise=False)
    total = showers.cells.sum(1, dtype=np.float64)
    assert total.std() / total.mean() * np.sqrt(10) == pytest.approx(0.07, rel=0.1)
    named = replace(PB_LAR, materials=(*PB_LAR.materials, ("sampling_term", 0.07)))
    again = simulate_showers(named, e, np.random.default_rng(2), noise=False)
    np.testing.assert_array_equal(again.cells, showers.cells)


@pytest.mark.parametrize(("low", "high"), [(1, 3), (3, 8), (8, 20)])
def test_layer_fractions_are_near_those_of_geant4(geant4, fast, low, high):
    # Untuned: the fast showers reach a little deeper, and never by more than this.
    mine = (geant4.e_inc > low * 1000) & (geant4.e_inc <= high * 1000)
    fractions = []
    for showers in (fast, geant4):
        energy = layer_energy(showers)[mine]
        fractions.append(energy.mean(0) / energy.sum(1).mean())
    np.testing.assert_allclose(fractions[0], fractions[1], atol=0.08)
    assert fractions[0][0] < fractions[1][0]


def test_fluctuations_of_the_depth_are_near_those_of_geant4(geant4, fast):
    spread = []
    for showers in (fast, geant4):
        energy = layer_energy(showers)[showers.e_inc > 5000]
        spread.append((energy[:, 0] / energy.sum(1)).std())
    assert spread[0] == pytest.approx(spread[1], rel=0.15)


def test_the_core_is_as_wide_as_that_of_geant4(geant4, fast):
    share = []
    for showers in (fast, geant4):
        middle = showers.cells[:, PB_LAR.slices[1]].sum(0, dtype=np.float64).reshape(12, 12)
        share.append(middle[4:8, 4:8].sum() / middle.sum())
    assert share[0] == pytest.approx(share[1], abs=0.02)


def test_cells_are_digitised_and_noisy_as_the_geometry_says(fast):
    counts = fast.cells / PB_LAR.least_count_mev
    np.testing.assert_array_equal(counts, np.rint(counts))
    assert fast.cells[:, PB_LAR.slices[1].start].std() == pytest.approx(1.0, rel=0.1)


def test_energy_is_conserved_along_the_depth():
    stuff, rng, energy = medium(PB_LAR), np.random.default_rng(3), np.full(200, 5000.0)
    shape = profile(stuff, energy, rng, "e-")
    slices = deposits(shape, energy, np.linspace(0, 300, 100))
    np.testing.assert_allclose(slices.sum(1), energy, rtol=1e-6)


def test_radii_are_those_of_the_paper_at_ten_gev():
    tau = np.array([0.5, 1.0, 2.0, 3.0])
    r = radii(medium(PB_LAR), tau, np.full(4, 10_000.0))
    np.testing.assert_allclose(r.core, [0.080, 0.122, 0.208, 0.296], atol=2e-3)
    np.testing.assert_allclose(r.tail, [0.904, 0.586, 0.768, 1.247], atol=2e-2)
    np.testing.assert_allclose(r.share, [0.99, 0.91, 0.62, 0.38], atol=2e-2)


@pytest.mark.slow
def test_photons_begin_later_than_electrons():
    energy, rng = np.full(3000, 10_000.0), np.random.default_rng(4)
    front = [
        layer_energy(simulate_showers(PB_LAR, energy, rng, particle))[:, 0].mean()
        for particle in ("gamma", "e-")
    ]
    assert front[0] < 0.9 * front[1]


def test_crystals_hold_what_the_parametrisation_says():
    # 26 radiation lengths: a few per cent of 50 GeV leak; no sampling fluctuations.
    showers = simulate_showers(
        CRYSTALS, np.full(500, 50_000.0), np.random.default_rng(5), noise=False
    )
    total = showers.cells.sum(1, dtype=np.float64) / 50_000
    assert 0.94 < total.mean() < 1
    assert total.std() < 0.03


def test_the_same_seed_gives_the_same_showers():
    e = np.full(50, 3000.0)
    a, b = (simulate_showers(PB_LAR, e, np.random.default_rng(6)).cells for _ in range(2))
    np.testing.assert_array_equal(a, b)


def test_polar_layers_are_filled_too():
    rings = Layer("rings", (8, 3), (10.0, 20.0), (0.0, 480.0), (0.0, 20.0, 60.0, 200.0))
    geometry = replace(PB_LAR, layers=(rings,), noise_mev=0.0)
    showers = simulate_showers(geometry, np.full(400, 10_000.0), np.random.default_rng(7))
    around = showers.cells.reshape(-1, 8, 3).mean((0, 2), dtype=np.float64)
    np.testing.assert_allclose(around / around.mean(), 1, atol=0.15)


@pytest.mark.parametrize(
    ("materials", "says"),
    [
        ((), "`active` is None"),
        ((("active", "cheese"),), "cheese"),
        ((("active", "LAr"), ("passive", "Pb"), ("passive_mm", 0), ("active_mm", 4)), "thickness"),
    ],
)
def test_a_geometry_without_materials_is_refused_in_one_line(materials, says):
    with pytest.raises(MaterialError, match=says):
        simulate_showers(
            replace(PB_LAR, materials=materials), np.full(3, 1e4), np.random.default_rng(1)
        )
    assert "Pb" in MATERIALS


@pytest.mark.parametrize("energies", [[50.0], [np.nan], [[1e4]]])
def test_energies_outside_of_the_parametrisation_are_refused(energies):
    with pytest.raises(ValueError, match="100 MeV"):
        simulate_showers(PB_LAR, np.array(energies), np.random.default_rng(1))


def test_a_simulated_source_is_read_like_a_file():
    file = open_source(Path("gflash:e-,n=200,low=2000,high=4000,seed=3"), PB_LAR)
    showers = file.rows(0, file.n).showers
    assert showers.n == 200
    assert np.all((showers.e_inc >= 2000) & (showers.e_inc <= 4000))


@pytest.mark.parametrize(
    "text",
    [
        "gflash:pion",
        "gflash:gamma,m=3",
        "gflash:gamma,n=-3",
        "gflash:gamma,low=50",
        "gflash:gamma,n=0",
        "gflash:gamma,n=99999999",
    ],
)
def test_a_wrong_simulated_source_is_refused_in_one_line(text):
    with pytest.raises(ReaderError, match="write gflash:PARTICLE") as caught:
        open_source(Path(text), PB_LAR)
    assert "\n" not in str(caught.value)


def test_a_shower_that_ends_early_is_wide_early():
    # At 10 GeV and 8 X0: from 1.11 to 1.69 between the 5 % and 95 % quantiles of showers.
    energy = np.full(20_000, 10_000.0)
    shape = profile(medium(PB_LAR), energy, np.random.default_rng(5), "e-")
    tau = shape.tau(np.full(20_000, 8.0), np.arange(20_000))
    np.testing.assert_allclose(np.quantile(tau, [0.05, 0.95]), [1.11, 1.69], atol=0.03)
    early = shape.alpha / shape.beta < np.median(shape.alpha / shape.beta)
    assert tau[early].min() > tau[~early].max()
