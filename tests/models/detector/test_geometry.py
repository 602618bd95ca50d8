"""Geometry: what cannot be a calorimeter is refused in one line."""

from dataclasses import replace

import numpy as np
import pytest
import tiny

from models.detector.geometry import GeometryError, parse
from models.showers.batch import Showers
from models.showers.pool import digitise
from models.simulation import injection
from models.simulation.fault_form import parse as parse_fault
from models.simulation.gflash import simulate_showers

FRONT, MIDDLE, BACK = tiny.GEOMETRY.layers


@pytest.mark.parametrize(
    "layers",
    [
        (FRONT, replace(MIDDLE, depth_mm=(0.0, 437.0)), BACK),
        (MIDDLE, BACK, FRONT),
        (FRONT, replace(MIDDLE, depth_mm=(89.0, 437.0)), BACK),
    ],
    ids=["over each other", "out of order", "a little over each other"],
)
def test_layers_that_share_a_depth_are_refused(layers):
    with pytest.raises(GeometryError, match=r"begins at .* mm, before .* ends") as caught:
        replace(tiny.GEOMETRY, layers=layers)
    assert "\n" not in str(caught.value)


def test_layers_may_have_gaps_between_them():
    layers = (FRONT, replace(MIDDLE, depth_mm=(100.0, 437.0)), BACK)
    assert replace(tiny.GEOMETRY, layers=layers).n_layers == 3


def test_suppression_travels_with_the_geometry_and_costs_nothing_where_there_is_none():
    kept = replace(tiny.GEOMETRY, zero_suppression_mev=3.0)
    assert parse(kept.to_json()) == kept
    assert "suppression" not in tiny.GEOMETRY.to_json()
    with pytest.raises(GeometryError, match="zero_suppression_mev"):
        replace(tiny.GEOMETRY, zero_suppression_mev=-1.0)


def test_what_is_read_out_made_or_broken_is_suppressed_alike():
    kept = replace(tiny.GEOMETRY, zero_suppression_mev=3.0)
    clean, rng = tiny.showers("gamma_clean", 20), np.random.default_rng(1)
    read = Showers(digitise(clean.cells, kept, rng), clean.e_inc)
    made = simulate_showers(kept, np.full(20, 5e3), rng)
    broken = injection.apply(parse_fault("gain:x=-0.3"), read, np.zeros(20, np.uint16), kept, rng)
    for showers in (read, made, broken):
        assert ((showers.cells == 0) | (showers.cells >= 3)).all()
        assert 0.3 < np.mean(showers.cells == 0) < 0.99
