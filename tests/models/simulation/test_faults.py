"""Faults: said in one form, refused in one line, and seen in the showers as large as stated."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.detector import calochallenge
from models.detector import files as geometries
from models.showers import shipped
from models.showers.batch import Showers
from models.showers.readers import open_source
from models.simulation.fault_form import parse
from models.simulation.faults import KEYS, STREAM, Fault, FaultError, FaultKind
from models.simulation.injection import apply, struck, weights

PB_LAR = geometries.load(geometries.SHIPPED / "pb-lar-504.json")
TRAIN = shipped.PB_LAR / "gamma_train.h5"
ENERGY_KINDS = sorted(set(FaultKind) - STREAM)


@pytest.fixture(scope="module")
def good():
    return open_source(Path(TRAIN), PB_LAR).rows(0, 4000).showers


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def everywhere(showers):
    return np.zeros(showers.n, np.uint16)


def injected(text, showers, rng):
    return apply(parse(text), showers, everywhere(showers), PB_LAR, rng)


@pytest.mark.parametrize(
    ("text", "says"),
    [("hot:cells=504", "cells 0 to 503"), ("noise:layer=front", "strips, middle, back")],
)
def test_a_place_outside_of_the_geometry_is_refused(text, says):
    with pytest.raises(FaultError, match=says):
        struck(parse(text), PB_LAR)


@pytest.mark.parametrize("kind", sorted(STREAM))
def test_faults_of_the_stream_are_no_energies(kind, good, rng):
    with pytest.raises(FaultError, match="stream"):
        apply(Fault(kind), good, everywhere(good), PB_LAR, rng)


@pytest.mark.parametrize("kind", ENERGY_KINDS)
def test_a_fault_strikes_its_region_alone_and_reads_in_whole_counts(kind, good, rng):
    few = good[:600]
    region = np.arange(600) % 3
    share = {"share": 1.0} if "share" in KEYS[kind] else {}
    fault = Fault(kind, (1, 2) if kind is FaultKind.SWAP else (1,), magnitudes=share)
    struck_showers = apply(fault, few, region, PB_LAR, rng)
    changed = (struck_showers.cells != few.cells).any(1)
    assert changed.any()
    assert set(region[changed]) <= set(fault.region)
    np.testing.assert_array_equal(struck_showers.e_inc, few.e_inc)
    counts = struck_showers.cells / PB_LAR.least_count_mev
    np.testing.assert_array_equal(counts, np.rint(counts))


@pytest.mark.parametrize("kind", ENERGY_KINDS)
def test_a_batch_of_one_and_of_none_can_be_struck(kind, good, rng):
    for showers in (good[:1], good[:0]):
        fault = Fault(kind, cells=(1, 2)) if kind is FaultKind.SWAP else Fault(kind)
        assert apply(fault, showers, everywhere(showers), PB_LAR, rng, good).n == showers.n


def test_the_default_cell_is_the_core_of_the_middle_layer(good):
    (cell,) = struck(parse("dead"), PB_LAR)
    assert PB_LAR.cell_name(int(cell)) == "middle[5,5]"
    hottest = np.argsort(good.cells[:, PB_LAR.slices[1]].sum(0))[-4:] + PB_LAR.slices[1].start
    assert cell in hottest


def test_dead_cells_read_zero(good, rng):
    cells = injected("dead:cells=3+353", good, rng).cells
    assert not cells[:, [3, 353]].any()


def test_a_hot_cell_reads_as_much_more_as_stated_in_its_share(good, rng):
    more = injected("hot:cells=3,x=50,share=0.3", good, rng).cells[:, 3] - good.cells[:, 3]
    assert set(np.unique(more)) == {0.0, 50.0}
    assert np.mean(more > 0) == pytest.approx(0.3, abs=0.03)


def test_noise_grows_as_stated_in_its_layer_alone(good, rng):
    cells = injected("noise:layer=strips,x=3", good, rng).cells
    assert cells[:, :10].std() == pytest.approx(3 * good.cells[:, :10].std(), rel=0.05)
    np.testing.assert_array_equal(cells[:, 288:], good.cells[:, 288:])


def test_gain_and_trip_scale_the_response_and_keep_the_noise(good, rng):
    total = good.cells.sum(dtype=np.float64)
    assert injected("gain:x=0.02", good, rng).cells.sum() / total == pytest.approx(1.02, abs=2e-3)
    tripped = injected("trip:x=0.5", good, rng).cells
    assert tripped.sum() / total == pytest.approx(0.5, abs=2e-3)
    assert tripped[:, 288].std() == pytest.approx(good.cells[:, 288].std(), rel=0.05)


def test_a_burst_moves_cells_together(good, rng):
    moved = injected("burst:layer=middle,x=5,share=1", good, rng).cells - good.cells
    assert np.ptp(moved[:, 288:432], axis=1).max() <= PB_LAR.least_count_mev
    assert moved[:, 288].std() == pytest.approx(5, rel=0.05)


def test_a_spike_is_one_cell_alone(good, rng):
    more = injected("spike:mev=500,share=0.1", good, rng).cells - good.cells
    hit = (more != 0).any(1)
    assert hit.mean() == pytest.approx(0.1, abs=0.02)
    np.testing.assert_array_equal(np.sort(more[hit], 1)[:, -2:], np.tile([0, 500], (hit.sum(), 1)))


def test_pile_up_adds_the_energy_stated(good, rng):
    more = injected("pile-up:x=10,mev=5", good, rng).cells - good.cells
    assert more.sum(1).mean() == pytest.approx(50, rel=0.05)


def test_two_cells_are_swapped(good, rng):
    cells = injected("swap:cells=353+354", good, rng).cells
    np.testing.assert_array_equal(cells[:, [354, 353]], good.cells[:, [353, 354]])


def test_swapped_regions_exchange_cells_and_keep_incident_energies(good, rng):
    region = np.repeat([3, 4], [40, 50])
    few = good[:90]
    swapped = apply(parse("swap:region=3+4"), few, region, PB_LAR, rng)
    np.testing.assert_array_equal(swapped.cells[:40], few.cells[40:80])
    np.testing.assert_array_equal(swapped.cells[40:80], few.cells[:40])
    np.testing.assert_array_equal(swapped.cells[80:], few.cells[80:])


@pytest.mark.parametrize("mm", [5, 20, 40])
def test_two_photons_keep_the_response_and_move_the_centre(good, rng, mm):
    two = injected(f"second:mm={mm},x=0.3", good, rng)
    response = (two.cells.sum(1) / two.e_inc).mean()
    assert response == pytest.approx((good.cells.sum(1) / good.e_inc).mean(), rel=0.01)
    strips = two.cells[:, PB_LAR.slices[0]].reshape(-1, 3, 96).sum(1, dtype=np.float64)
    lit = np.where(strips > 6, strips, 0).sum(0)
    centre = lit @ ((np.arange(96) - 47.5) * 5) / lit.sum()
    assert centre == pytest.approx(0.37 * mm, rel=0.15)  # two of 30 and 70 %: soft ones end earlier


def test_two_photons_do_not_betray_themselves_by_noise(good, rng):
    far = slice(PB_LAR.slices[1].start, PB_LAR.slices[1].start + 3)  # a corner of the middle layer
    two = injected("second:mm=20", good, rng)
    assert two.cells[:, far].std() == pytest.approx(good.cells[:, far].std(), rel=0.05)


def test_a_shift_of_conditions_prefers_high_energies(good):
    mean = weights(parse("shift:x=1"), good) @ good.e_inc.astype(float)
    assert mean > 1.2 * good.e_inc.mean()


def test_every_kind_has_keys():
    assert set(KEYS) == set(FaultKind)


def test_unknown_energies_are_taken_from_the_cells(good, rng):
    unknown = Showers(good.cells, np.full_like(good.e_inc, np.nan))
    two = injected("second:mm=20", unknown, rng)
    ratio = two.cells.sum(dtype=np.float64) / good.cells.sum(dtype=np.float64)
    assert ratio == pytest.approx(1, abs=0.02)


BINNING = """<Bins><Bin name="photon">
<Layer id="0" r_edges="0,5,10,30" n_bin_alpha="4" />
<Layer id="1" r_edges="0,20,60" n_bin_alpha="1" />
</Bin></Bins>"""
CRYSTALS = geometries.load(geometries.SHIPPED / "crystals-121.json")
POLAR = calochallenge.parse(BINNING)
GEOMETRIES = {
    "pb-lar": PB_LAR,
    "crystals": CRYSTALS,
    "calochallenge": POLAR,
    "calochallenge with noise": replace(POLAR, noise_mev=2.0, least_count_mev=0.5),
}
REFUSED = {
    "calochallenge": {
        FaultKind.HOT,
        FaultKind.NOISE,
        FaultKind.PEDESTAL,
        FaultKind.BURST,
        FaultKind.SECOND,
    },
    "calochallenge with noise": {FaultKind.SECOND},
}


def drawn(geometry, rng, n=60):
    e_inc = rng.uniform(5e3, 2e4, n).astype(np.float32)
    near = np.exp(-np.hypot(*geometry.centres[:, :2].T) / 20)
    mean = e_inc[:, None] * geometry.sampling_fraction * near / near.sum()
    noise = rng.normal(0, geometry.noise_mev, mean.shape)
    return Showers((mean * rng.gamma(4, 0.25, mean.shape) + noise).astype(np.float32), e_inc)


@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize("kind", ENERGY_KINDS)
def test_a_fault_is_seen_in_every_geometry_or_refused_in_one_line(kind, name, rng):
    geometry = GEOMETRIES[name]
    showers = drawn(geometry, rng)
    share = {"share": 1.0} if "share" in KEYS[kind] else {}
    fault = Fault(kind, cells=(1, 2) if kind is FaultKind.SWAP else (), magnitudes=share)
    if kind in REFUSED.get(name, ()):
        with pytest.raises(FaultError, match=f"^{kind}: .*{geometry.name}") as caught:
            apply(fault, showers, everywhere(showers), geometry, rng)
        assert "\n" not in str(caught.value)
        return
    seen = apply(fault, showers, everywhere(showers), geometry, rng).cells
    assert (seen != showers.cells).any(1).all()
    more = seen.sum(dtype=np.float64) - showers.cells.sum(dtype=np.float64)
    sign = {
        FaultKind.DEAD: -1,
        FaultKind.TRIP: -1,
        FaultKind.GAIN: 1,
        FaultKind.HOT: 1,
        FaultKind.SPIKE: 1,
    }
    assert sign.get(kind, np.sign(more)) == np.sign(more)


def test_a_fault_that_fits_no_shower_is_still_refused(rng):
    none = drawn(POLAR, rng)[:0]
    with pytest.raises(FaultError, match="has none"):
        apply(parse("hot"), none, everywhere(none), POLAR, rng)
    with pytest.raises(FaultError, match="is polar"):
        struck(parse("second"), POLAR)
