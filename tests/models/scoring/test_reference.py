"""Reference tables: p-values are uniform for good showers, and cuts and counts never share one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.detector import geometry
from models.scoring import reference
from models.scoring.p_values import BINS, harmonic_mean
from models.scoring.population import Population, build
from models.scoring.reference import ReferenceTableError
from models.scoring.scales import LEVELS, Z_CLIP, lit_threshold
from models.scoring.scores import RawScores
from models.scoring.tails import POOL_TEST

GEOMETRY = geometry.Geometry(
    "two", (geometry.Layer("a", (1, 2), (1.0, 1.0), (0.0, 1.0)),), noise_mev=1.0
)


def population(n=6000, seed=1, images=1, n_scores=3):
    """Return normal scores; images of a shower are copies."""
    rng = np.random.default_rng(seed)
    e_rec = rng.uniform(1e3, 2e4, n)
    scores = rng.normal(5, 2, (n, n_scores))
    parts = {
        "e_rec": e_rec,
        "scores": scores.astype(np.float32),
        "latents": rng.normal(size=(n, 3)).astype(np.float32),
        "cells": rng.exponential(2, (n, 2)).astype(np.float32),
        "shower": np.arange(n),
    }
    return Population(**{k: np.concatenate([v] * images) for k, v in parts.items()})


@pytest.fixture(scope="module")
def table():
    return build(population(), GEOMETRY, 4, "certified")


def p_of(table, people):
    cell = table.condition_cell(people.e_rec)
    p = table.p_values(table.position(people.scores, cell), cell)
    return p, table.combined(p, cell, np.ones((2, p.shape[1]))), cell


def test_p_values_of_fresh_good_showers_are_uniform_in_every_condition_cell(table):
    people = population(40_000, seed=2)
    p, combined, cell = p_of(table, people)
    for column in (*p.T, combined):
        for k in range(4):
            mine = column[cell == k]
            for level in (0.5, 0.1, 0.01):
                # 750 showers set the cuts of a cell.
                assert np.mean(mine <= level) == pytest.approx(
                    level, abs=4 * np.sqrt(level * (1 - level) / 750)
                )
        assert np.mean(column <= 0.1) == pytest.approx(0.1, rel=0.2)
        assert np.mean(column <= 0.01) == pytest.approx(0.01, rel=0.6)


@given(st.lists(st.floats(-1e30, 1e30), min_size=3, max_size=3), st.floats(1, 1e6))
@settings(max_examples=100)
def test_p_values_lie_in_zero_one_and_fall_with_the_score(scores, e_rec):
    table = _table()
    cell = table.condition_cell(np.array([e_rec] * 2))
    rows = np.array([scores, [s + abs(s) + 1 for s in scores]])
    p = table.p_values(table.position(rows, cell), cell)
    assert ((p > 0) & (p <= 1)).all()
    assert (p[1] <= p[0]).all()


def _table(made=[]):  # noqa: B006  a cache: Hypothesis forbids module fixtures here
    if not made:
        made.append(build(population(), GEOMETRY, 4, "certified"))
    return made[0]


def test_histograms_hold_all_showers(table):
    assert table.showers == 6000
    assert table.counts.sum(axis=(0, 2)).tolist() == [6000] * 5  # three and two combined ones
    assert table.p_counts.sum(axis=1).tolist() == [6000] * 4


def test_copies_of_showers_count_once():
    single = build(population(3000), GEOMETRY, 2, "certified")
    tripled = build(population(3000, images=3), GEOMETRY, 2, "certified")
    assert single.n_ref.sum() == pytest.approx(3000, rel=0.12)
    assert tripled.n_ref.sum() == pytest.approx(3000, rel=0.12)


def test_a_wild_shower_is_not_measured_by_itself():
    # One shower in images stands out: with cuts of its own making it would be ordinary.
    people = population(1000, images=4)
    scores = people.scores.copy()
    wild = people.shower == 17
    scores[wild] = 1e6
    table = build(replace(people, scores=scores), GEOMETRY, 1, "certified")
    assert table.counts[0, 0, -1] == 4
    assert table.p_counts[0, 0] == 4  # below 1e-4, though 4 of 4,000 rows are that strange


def test_counted_exceedances_are_close_to_nominal(table):
    rate = table.count_counts / table.n_ref[:, None]
    assert np.allclose(rate[:, 0], LEVELS[0], atol=0.03)
    assert np.allclose(rate[:, 1], LEVELS[1], atol=0.01)
    assert np.allclose(table.cut_counts[:, 0] / table.n_cut, LEVELS[0], atol=6e-3)


def test_a_cell_with_another_tail_keeps_its_own():
    people = population(8000)
    odd = people.e_rec > np.quantile(people.e_rec, 0.75)
    scores = people.scores.copy()
    rng = np.random.default_rng(3)
    scores[odd, 0] = rng.uniform(-1, 1, odd.sum())
    table = build(replace(people, scores=scores), GEOMETRY, 4, "certified")
    assert table.pooling_p[3, 0] < POOL_TEST
    assert table.pooling_p[:, 1].min() > POOL_TEST


def test_latent_moments_are_those_of_quantised_latents():
    people = population(1000)
    latents = people.latents.copy()
    latents[0, 0] = 1e6
    table = build(replace(people, latents=latents), GEOMETRY, 1, "certified")
    assert table.latent_moments[0, 0, 0] * 1000 == pytest.approx(
        latents[1:, 0].sum() + Z_CLIP, abs=2
    )
    assert np.allclose(table.latent_var[0, 1:], 1, atol=0.15)
    assert np.allclose(table.latent_moments[3, 0, 1:], 3, atol=0.8)


def test_lit_rates_and_layer_energies(table):
    people = population()
    cell = table.condition_cell(people.e_rec)
    first = people.cells[cell == 0]
    assert np.allclose(table.lit_rate[0], (first > 3).mean(axis=0))
    assert table.layer_mean[0, 0] == pytest.approx(first.sum(1).mean(), rel=1e-5)
    assert table.layer_var[0, 0] == pytest.approx(first.sum(1).var(), rel=1e-3)


@pytest.mark.parametrize(("step", "above"), [(0.25, 3.0), (2.0, 6.0)])
def test_a_cell_is_lit_above_its_noise_and_its_least_count(step, above):
    coarse = replace(GEOMETRY, least_count_mev=step)
    people = population(1000)
    lit_rate = build(people, coarse, 1, "certified").lit_rate[0]
    assert np.allclose(lit_rate, (people.cells > above).mean(axis=0))
    assert lit_threshold(coarse) == RawScores(coarse).threshold == above


def test_harmonic_mean_is_small_if_any_p_value_is():
    p = np.array([[0.5, 0.5], [1e-6, 1.0]])
    assert harmonic_mean(p) == pytest.approx([0.5, 2e-6], rel=1e-3)


def test_arrays_bring_the_table_back(table):
    again = reference.from_arrays(table.arrays(), showers=table.showers, origin="certified")
    assert again.id == table.id
    changed = replace(table, edges=table.edges * 1.0001)
    assert changed.id != table.id


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("median", np.zeros((4, 3)), "shape"),
        ("mad", np.zeros((4, 5)), "MAD"),
        ("edges", np.array([0, 5, 4, 6, np.inf]), "rise"),
        ("latent_moments", np.full((4, 4, 3), np.nan), "finite"),
        ("log_tail", np.zeros((4, 5, BINS + 1)) + 0.1, "fall"),
        ("counts", -np.ones((4, 5, BINS), np.int64), "counts"),
        ("origin", "guessed", "origin"),
    ],
)
def test_tables_that_cannot_be_are_refused(table, name, value, match):
    with pytest.raises(ReferenceTableError, match=match):
        replace(table, **{name: value})


def test_unknown_or_missing_tables_are_refused(table):
    arrays = table.arrays()
    del arrays["mad"]
    with pytest.raises(ReferenceTableError, match="mad"):
        reference.from_arrays(arrays, showers=1, origin="certified")


@pytest.mark.parametrize("n", [40, 50])
def test_images_of_few_showers_are_no_more_showers(n):
    # Of 50, four fifths set the cuts of the others.
    with pytest.raises(ReferenceTableError, match=r"40 distinct showers .* at least 48"):
        build(population(n, images=8), GEOMETRY, 1, "certified")
    assert build(population(60, images=8), GEOMETRY, 1, "certified").showers == 60


def test_too_few_showers_for_a_cell_are_refused():
    with pytest.raises(ReferenceTableError, match="more showers or fewer cells"):
        build(population(60), GEOMETRY, 4, "certified")
