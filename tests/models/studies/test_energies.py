"""Energies: layers that count differently are told apart, and the simulation is beside the showers."""

from dataclasses import replace

import numpy as np
import pytest
import tiny

from models.detector.materials import MaterialError
from models.showers.batch import Showers
from models.studies import energies, energy_plots


def test_layers_together_tell_the_energy_better_than_their_sum():
    rows = energies.linearity(tiny.artefact().feature_map, tiny.showers("gamma_test", 1000))
    assert len(rows) == energies.RANGES
    assert sum(row.showers for row in rows) == 1000
    for row in rows:
        assert row.response == pytest.approx(1, abs=0.02)
        assert 0.01 < row.spread < 0.08
    assert rows[0].spread < 0.8 * rows[0].plain_spread


def test_showers_of_unknown_energy_are_left_out():
    good = tiny.showers("gamma_test", 1000)
    blind = np.where(np.arange(1000) < 950, np.nan, good.e_inc).astype(np.float32)
    assert energies.linearity(tiny.artefact().feature_map, Showers(good.cells, blind)) == ()


@pytest.mark.slow
def test_profiles_of_the_fast_simulation_are_near_those_of_geant4():
    good, rng = tiny.showers("gamma_test", 1000), np.random.default_rng(1)
    rows = energies.likeness(good, tiny.GEOMETRY, rng)
    middle = [row for row in rows if row.layer == "middle"]
    assert len(middle) == energies.RANGES
    for row in middle:
        assert row.fast_share == pytest.approx(row.share, abs=0.1)
        assert row.fast_share_spread == pytest.approx(row.share_spread, rel=0.25)
        assert row.fast_width_mm == pytest.approx(row.width_mm, rel=0.1)
        assert row.fast_width_spread_mm == pytest.approx(row.width_spread_mm, rel=0.5)
    figure = energy_plots.likeness(rows)
    assert len(figure.axes) == 4
    assert (
        len(energy_plots.linearity(energies.linearity(tiny.artefact().feature_map, good)).axes) == 2
    )


def test_a_geometry_without_materials_is_compared_with_nothing():
    bare = replace(tiny.GEOMETRY, materials=())
    with pytest.raises(MaterialError):
        energies.likeness(tiny.showers("gamma_test", 200), bare, np.random.default_rng(1))
