"""Features: ordinary numbers for every shower that a detector can read."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from models.fitting import generation
from models.flows import features, standards
from models.flows.cell_energies import inverse
from models.flows.feature_checks import FeatureError
from models.showers.batch import Showers
from models.showers.hashing import keys, uniform


def test_features_of_good_showers_are_standard(feature_map):
    f, _ = feature_map(tiny.showers())
    for part in (f.cells, f.layers):
        assert abs(float(part.mean())) < 0.02
        assert float(part.std()) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("n", [1, 40])
def test_showers_stay_as_they_are_and_may_be_read_only(feature_map, n):
    cells = tiny.showers().cells[:n].copy()
    before = cells.copy()
    feature_map(Showers(cells, np.full(n, 5e3, np.float32)))
    assert np.array_equal(cells, before)
    cells.flags.writeable = False
    feature_map(Showers(cells, np.full(n, 5e3, np.float32)))


def test_energy_is_reconstructed_without_bias(feature_map):
    good = tiny.showers()
    for low, high in ((1e3, 5e3), (5e3, 1e4), (1e4, 2e4)):
        rows = (good.e_inc >= low) & (good.e_inc < high)
        response = feature_map.e_rec(good.cells[rows]) / good.e_inc[rows]
        assert response.mean() == pytest.approx(1, abs=0.015)
        assert response.std() < 0.07


@pytest.mark.slow
@given(
    hnp.arrays(
        np.float32, (2, 504), elements=st.floats(-1e9, 1e9, width=32), fill=st.just(np.float32(0))
    ),
    st.one_of(st.just(float("nan")), st.floats(0.125, 1e9, width=32)),
)
@settings(max_examples=50)
def test_every_shower_that_can_be_has_finite_features(cells, e_inc):
    feature_map = _map()
    f, e_rec = feature_map(Showers(cells, np.full(2, e_inc, np.float32)))
    for part in f[:3]:
        assert np.isfinite(part.numpy()).all()
    assert (e_rec > 0).all()


def _map(made=[]):  # noqa: B006  a cache: Hypothesis forbids module fixtures here
    if not made:
        made.append(standards.fit(tiny.showers(), tiny.GEOMETRY))
    return made[0]


def test_features_invert(feature_map):
    good = tiny.showers()
    f, _ = feature_map(good)
    again = inverse(feature_map, f.cells, f.conditions)
    assert np.allclose(again, good.cells, rtol=1e-3, atol=2e-3)


def test_dither_changes_cells_by_less_than_a_least_count(feature_map):
    good = tiny.showers()[slice(0, 50)]
    rng = np.random.default_rng(1)
    dither = (rng.random(good.cells.shape, np.float32) - 0.5) * 0.25
    f, _ = feature_map(good, dither.astype(np.float32))
    moved = inverse(feature_map, f.cells, f.conditions) - good.cells
    assert 0.05 < np.abs(moved).max() < 0.14


def test_unknown_energy_gives_a_response_drawn_from_its_null(feature_map):
    good = tiny.showers()
    blind = Showers(good.cells, np.full(good.n, np.nan, np.float32))
    f, e_rec = feature_map(blind)
    known, e_rec_known = feature_map(good)
    assert np.array_equal(e_rec, e_rec_known)
    assert np.array_equal(f.cells, known.cells)
    response = f.layers[:, 0].numpy()
    assert abs(response.mean()) < 0.1
    assert response.std() == pytest.approx(1, abs=0.07)
    assert np.array_equal(feature_map(blind)[0].layers, f.layers)


def mostly_blind(showers, known):
    e_inc = np.where(np.arange(showers.n) < known, showers.e_inc, np.nan).astype(np.float32)
    return Showers(showers.cells, e_inc)


@pytest.mark.parametrize("known", [0, 150])
def test_a_model_trained_without_energies_ignores_those_of_showers(known):
    good = tiny.showers()
    blind = standards.fit(mostly_blind(good, known), tiny.GEOMETRY)
    again = features.from_arrays(blind.arrays(), ())
    assert not again.knows_response
    response = again(good)[0].layers[:, 0].numpy()
    assert abs(response.mean()) < 0.1
    assert response.std() == pytest.approx(1, abs=0.07)
    rest = again(mostly_blind(good, 0))[0]
    assert np.array_equal(again(good)[0].layers[:, 1:], rest.layers[:, 1:])


def test_a_model_trained_without_energies_generates_none():
    good = tiny.showers()
    blind = replace(
        tiny.artefact(), feature_map=standards.fit(mostly_blind(good, 0), tiny.GEOMETRY)
    )
    assert np.isnan(generation.generate(blind, good, 3, 1).e_inc).all()


def test_conditions_beyond_training_are_clamped(feature_map):
    context = feature_map.standardised(np.array([1e-3, 1e8]), {})
    assert np.allclose(context[:, 0], feature_map.limits[:, 0])


def test_a_further_condition_is_used_and_must_be_there():
    good = tiny.showers()
    eta = np.linspace(-1, 1, good.n).astype(np.float32)
    with_eta = Showers(good.cells, good.e_inc, {"eta": eta})
    feature_map = standards.fit(with_eta, tiny.GEOMETRY, ("eta",))
    assert feature_map(with_eta)[0].conditions.shape == (good.n, 2)
    with pytest.raises(FeatureError, match="eta"):
        feature_map(good)


def test_too_few_showers_are_refused():
    with pytest.raises(FeatureError, match="too few"):
        standards.fit(tiny.showers()[slice(0, 50)], tiny.GEOMETRY)


def test_keys_depend_on_every_bit_and_on_nothing_else():
    good = tiny.showers()
    key = keys(good)
    assert len(np.unique(key)) == good.n
    assert np.array_equal(keys(good[slice(5, 9)]), key[5:9])
    cells = good.cells.copy()
    cells[0, 503] += 0.25
    assert keys(Showers(cells, good.e_inc))[0] != key[0]
    e_inc = good.e_inc.copy()
    e_inc[0] = np.nextafter(e_inc[0], np.float32(np.inf))
    assert keys(Showers(good.cells, e_inc))[0] != key[0]


def test_uniforms_are_uniform_and_independent():
    u = uniform(keys(tiny.showers()), 3)
    assert u.shape == (1200, 3)
    assert ((u > 0) & (u < 1)).all()
    assert np.allclose(u.mean(axis=0), 0.5, atol=0.03)
    assert np.abs(np.corrcoef(u.T) - np.eye(3)).max() < 0.1
