"""Each kind of fault is told from its signs, and from the next likely one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.detector.files import SHIPPED, load
from monitor.alarms.kinds import carriers, likely
from monitor.alarms.symptoms import Symptoms, information, standing_out
from monitor.quality.alarms import Kind
from monitor.sequential.rates import Test

GEOMETRY = load(SHIPPED / "pb-lar-504.json")
V, D = GEOMETRY.n_cells, GEOMETRY.n_cells + GEOMETRY.n_layers
MIDDLE = GEOMETRY.slices[1]
RESPONSE, PROFILE = V, V + 1
CORE = 353


def symptoms(**changes) -> Symptoms:
    fields = {
        "test": Test.EXCEEDANCES,
        "showers": 3000.0,
        "shift": np.zeros(D),
        "shift_error": np.full(D, 3000**-0.5),
        "spread": np.ones(D),
        "spread_error": np.full(D, (2 / 3000) ** 0.5),
        "lit": np.full(V, 0.3),
        "lit_expected": np.full(V, 0.3),
        "listed": np.zeros(V, bool),
        "rate": 10.0,
        "share": 1 / 64,
        "n_regions": 1,
        "unscored": 0.0,
    }
    return Symptoms(**(fields | changes))


def dead() -> Symptoms:
    s = symptoms()
    s.spread[CORE], s.shift[CORE], s.lit[CORE], s.listed[CORE] = 700, -25, 0, True
    s.spread[MIDDLE] *= 1.3  # its neighbours are expected to share in what is missing
    s.spread[CORE] = 700
    s.shift[RESPONSE], s.spread[RESPONSE] = -7.7, 72
    return s


def quiet_dead() -> Symptoms:
    s = symptoms(rate=1.0)
    s.spread[5], s.lit_expected[5], s.lit[5], s.listed[5] = 0.01, 0.001, 0.0, True
    return s


def hot() -> Symptoms:
    s = symptoms()
    s.spread[5], s.shift[5], s.lit[5], s.listed[5] = 22, 2.4, 0.6, True
    return s


def hot_in_the_core() -> Symptoms:
    """30 % of the showers have so much more in the core cell, which depends on it but little."""
    s = symptoms(showers=750.0, rate=1.5)
    s.shift[CORE], s.spread[CORE] = 0.18, 1.1
    s.shift[CORE + 12], s.spread[CORE + 12] = -0.19, 1.24  # a neighbour falls short of it
    s.shift[CORE + 1] = -0.1
    s.shift[RESPONSE], s.spread[RESPONSE] = 0.4, 1.52
    s.shift_error[:] = 750**-0.5
    s.spread_error[:] = (2 / 750) ** 0.5
    return s


def hot_core_of_one_layer() -> Symptoms:
    """A hot cell beside the axis of a crystal detector: others are wider, one alone is raised."""
    s = symptoms(rate=27.0)
    s.shift[[CORE, CORE + 1, CORE + 12]] = -4.6, 2.7, -2.2
    s.spread[[CORE, CORE + 1, CORE + 12]] = 105, 29, 35
    s.listed[[CORE, CORE + 1, CORE + 12]] = True
    s.shift[RESPONSE], s.spread[RESPONSE] = 2.3, 20
    return s


def noisy_cell() -> Symptoms:
    s = symptoms(rate=2.0)
    s.spread[5], s.listed[5] = 4.0, True
    return s


def gain() -> Symptoms:
    s = symptoms(rate=2.0)
    s.shift[RESPONSE], s.spread[RESPONSE] = 0.8, 1.64
    return s


def noise() -> Symptoms:
    s = symptoms()
    s.spread[MIDDLE] = 2.8
    s.listed[MIDDLE] = True
    return s


def pedestal() -> Symptoms:
    s = noise()
    s.spread[MIDDLE], s.shift[MIDDLE] = 1.6, 0.9
    return s


def faint_pedestal() -> Symptoms:
    s = symptoms()
    s.spread[MIDDLE], s.shift[MIDDLE] = 1.1, -0.4
    return s


def swap() -> Symptoms:
    s = symptoms(n_regions=2)
    s.shift[RESPONSE], s.spread[RESPONSE] = -1.4, 570
    return s


def second() -> Symptoms:
    s = symptoms(rate=74.0)
    core = np.r_[MIDDLE.start + 50 : MIDDLE.start + 90]
    s.shift[core], s.spread[core] = np.tile([2.0, -1.0], 20), 5.0
    s.listed[core] = True
    s.shift[RESPONSE], s.spread[RESPONSE] = -2.4, 8.3
    return s


def strange() -> Symptoms:
    """Showers of all sorts: cells here and there have more spread, some far from any rule."""
    s = symptoms(rate=100.0)
    some = np.arange(0, MIDDLE.stop, 7)  # none beside another
    s.spread[some], s.shift[some] = 3.0, 0.7
    s.spread[some[:5]], s.shift[some[:5]] = 0.3, 0.0
    s.shift[RESPONSE], s.spread[RESPONSE] = -0.5, 3.4
    return s


def some_strange() -> Symptoms:
    """One shower in ten: the total energy is off at times, and it is no gain."""
    s = symptoms(rate=10.0)
    s.shift[RESPONSE], s.spread[RESPONSE] = -0.17, 1.5
    return s


def conditions() -> Symptoms:
    s = symptoms(rate=1.1, share=1.0, n_regions=64)
    s.shift[PROFILE] = -0.5
    return s


def model() -> Symptoms:
    s = symptoms(share=1.0, n_regions=64)
    s.spread[:V] = 3.0
    s.listed[:] = True
    return s


CASES = {
    Kind.DEAD: (dead, quiet_dead),
    Kind.HOT: (hot, hot_in_the_core, hot_core_of_one_layer, noisy_cell),
    Kind.GAIN: (gain,),
    Kind.NOISE: (noise,),
    Kind.PEDESTAL: (pedestal, faint_pedestal),
    Kind.SWAP: (swap,),
    Kind.SECOND: (second,),
    Kind.CONDITIONS: (conditions,),
    Kind.MODEL: (model,),
    Kind.UNKNOWN: (strange, some_strange),
}


@pytest.mark.parametrize(
    ("kind", "make"), [(k, make) for k, all_ in CASES.items() for make in all_]
)
def test_a_kind_is_told_from_its_signs(kind, make):
    found, margin = likely(make(), GEOMETRY)
    assert found is kind
    assert margin > 0


def test_without_signs_the_kind_is_unknown():
    assert likely(symptoms(rate=1.5), GEOMETRY)[0] is Kind.UNKNOWN


@pytest.mark.parametrize(
    ("test", "kind"),
    [
        (Test.SILENT, Kind.SILENT),
        (Test.CROWDED, Kind.CROWDED),
        (Test.UNSCORED, Kind.TRANSPORT),
    ],
)
def test_some_tests_say_themselves_what_it_is(test, kind):
    assert likely(symptoms(test=test), GEOMETRY)[0] is kind


CRYSTALS = load(SHIPPED / "crystals-121.json")
AXIS = 60


def crystals(**changes) -> Symptoms:
    """Return what 250 showers in one layer of crystals show, the last latent the total energy."""
    d = CRYSTALS.n_cells + 1
    fields = {
        "showers": 250.0,
        "shift": np.zeros(d),
        "shift_error": np.full(d, 250**-0.5),
        "spread": np.ones(d),
        "spread_error": np.full(d, (2 / 250) ** 0.5),
        "lit": np.full(CRYSTALS.n_cells, 0.1),
        "lit_expected": np.full(CRYSTALS.n_cells, 0.1),
        "listed": np.zeros(CRYSTALS.n_cells, bool),
    }
    return symptoms(**(fields | changes))


def test_kinds_are_told_in_a_detector_of_one_layer_too():
    s = crystals(rate=100.0)  # 2 GeV more in the crystal on the axis, always
    s.shift[[AXIS, -1]], s.spread[[AXIS, -1]] = (0.95, 8.3), (7.5, 71.9)
    s.shift_error[AXIS] *= 7.5**0.5
    assert likely(s, CRYSTALS)[0] is Kind.HOT
    assert np.flatnonzero(carriers(s, Kind.HOT)).tolist() == [AXIS]
    s = crystals(rate=3.0)
    s.shift[-1], s.spread[-1] = 2.07, 5.36
    assert likely(s, CRYSTALS)[0] is Kind.GAIN
    s = crystals(rate=100.0)  # a second shower three crystals away
    s.shift[[63, 62, 52]], s.spread[[63, 62, 52]] = (11.6, 2.8, 1.2), (143, 11, 4)
    s.shift[-1], s.spread[-1] = -14.0, 225
    assert likely(s, CRYSTALS)[0] is Kind.SECOND


def test_only_a_cell_that_reads_more_is_named_as_hot():
    s = hot_in_the_core()
    assert standing_out(s)[[CORE, CORE + 12]].all()
    assert np.flatnonzero(carriers(s, Kind.HOT)).tolist() == [CORE]
    assert np.flatnonzero(carriers(hot_core_of_one_layer(), Kind.HOT)).tolist() == [CORE + 1]


def test_only_a_dark_cell_is_named_as_dead():
    assert np.flatnonzero(carriers(dead(), Kind.DEAD)).tolist() == [CORE]


def test_a_detector_of_one_region_is_not_everywhere():
    s = hot()
    alone = replace(s, share=1.0, n_regions=1)
    assert likely(alone, GEOMETRY)[0] is Kind.HOT
    assert likely(alone, GEOMETRY)[1] > likely(replace(s, share=1.0, n_regions=64), GEOMETRY)[1]


def test_two_showers_in_a_cell_that_is_seldom_lit_say_little():
    few = symptoms(showers=60.0, shift_error=np.full(D, 60**-0.5))
    few.lit_expected[5], few.lit[5] = 0.0, 2 / 60
    assert not standing_out(few).any()
    few.lit[5] = 30 / 60
    assert np.flatnonzero(standing_out(few)).tolist() == [5]


def test_the_struck_cell_has_most_to_say():
    assert int(np.argmax(information(dead()))) == CORE
    assert information(symptoms()) == pytest.approx(0, abs=1e-12)
