"""Each kind of fault is told from its signs, and from the next likely one."""

from __future__ import annotations

import numpy as np
import pytest

from models.geometry import SHIPPED, load
from monitor.alarms import Kind
from monitor.kinds import Symptoms, information, likely
from monitor.rates import Test

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
        "spread": np.ones(D),
        "lit": np.full(V, 0.3),
        "lit_expected": np.full(V, 0.3),
        "listed": np.zeros(V, bool),
        "rate": 10.0,
        "share": 1 / 64,
        "n_regions": 1,
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
    Kind.HOT: (hot,),
    Kind.GAIN: (gain,),
    Kind.NOISE: (noise,),
    Kind.PEDESTAL: (pedestal,),
    Kind.SWAP: (swap,),
    Kind.SECOND: (second,),
    Kind.CONDITIONS: (conditions,),
    Kind.MODEL: (model,),
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
    ("test", "kind"), [(Test.SILENT, Kind.SILENT), (Test.UNSCORED, Kind.TRANSPORT)]
)
def test_some_tests_say_themselves_what_it_is(test, kind):
    assert likely(symptoms(test=test), GEOMETRY)[0] is kind


def test_the_struck_cell_has_most_to_say():
    assert int(np.argmax(information(dead()))) == CORE
    assert information(symptoms()) == pytest.approx(0, abs=1e-12)
