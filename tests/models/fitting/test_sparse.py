"""Models of cells that are mostly zero: both families, from suppressed and from noise-free showers."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import tiny

from models.fitting import generation
from models.fitting.certification import examiner
from models.fitting.recipe import Recipe, prepare
from models.fitting.training import Options, Session
from models.scoring import description
from models.scoring.artefact import Artefact
from models.scoring.fitness import misfits
from models.scoring.measures import auc
from models.showers.batch import Showers
from models.showers.pool import Pool, digitise
from models.simulation import injection

SUPPRESSED = replace(tiny.GEOMETRY, zero_suppression_mev=3.0)
QUIET = replace(tiny.GEOMETRY, noise_mev=0.0, least_count_mev=0.0)
KINDS = [("flux", "suppressed"), ("flux", "noise-free"), ("caloflow", "suppressed")]
MODELS = {
    "flux": {"hidden": (32,), "coder_hidden": 16, "latents": 4},
    "caloflow": {"layer_hidden": (16,), "cell_blocks": 1, "cell_hidden": (32,)},
}


def read(kind, name, n):
    clean = tiny.showers(name, n)
    if kind == "noise-free":
        return clean
    cells = digitise(clean.cells, SUPPRESSED, np.random.default_rng(n))
    return Showers(cells, clean.e_inc)


@cache
def made(family, kind):
    """Return a model trained in seconds."""
    recipe = Recipe(
        family=family,
        options=Options(epochs=8, batch=64, seed=3, flips=("x", "y"), learning_rate=2e-3),
        held_out=0.06,
        certify=0.3,
        condition_cells=2,
        draws=1,
        model=MODELS[family],
        head=8,
        group=16,
    )
    geometry = QUIET if kind == "noise-free" else SUPPRESSED
    pool = Pool(read(kind, "gamma_certify", 2400))
    return prepare(recipe, pool, geometry, Session())


@pytest.fixture(params=KINDS, ids="-".join)
def kind(request):
    return request.param


@pytest.mark.slow
def test_a_model_of_empty_cells_fits_and_its_latents_are_standard(kind):
    model = made(*kind)
    assert len(model.feature_map.sparse) > 400
    assert misfits(model) == ()
    z = model.scorer("cpu").score(read(kind[1], "gamma_check", 1000)).latents[:, :504]
    assert np.square(z).mean() == pytest.approx(1, abs=0.1)
    assert np.abs(z.mean(axis=0)).max() < 0.5
    # Of what is seldom lit too: its spread is not that of a few showers.
    assert np.square(z).mean(axis=0).max() < 2.5


@pytest.mark.slow
def test_p_values_of_good_showers_are_even(kind):
    scored = made(*kind).scorer("cpu").score(read(kind[1], "gamma_check", 1000))
    assert np.mean(scored.p_combined <= 0.1) == pytest.approx(0.1, abs=0.05)


@pytest.mark.slow
def test_a_dead_core_cell_is_seen(kind):
    scorer = made(*kind).scorer("cpu")
    good = read(kind[1], "gamma_check", 1000)
    dead = good.cells.copy()
    dead[:, injection.core_cell(tiny.GEOMETRY, 1)] = 0
    found = scorer.score(Showers(dead, good.e_inc))
    assert auc(scorer.score(good).p_combined, found.p_combined) > 0.9


@pytest.mark.slow
def test_what_a_shower_is_told_depends_on_no_other(kind):
    scorer = made(*kind).scorer("cpu")
    good = read(kind[1], "gamma_check", 100)
    whole = scorer.score(good)
    for rows in (slice(0, 7), slice(40, 41)):
        part = scorer.score(good[rows])
        assert np.array_equal(part.latents, whole.latents[rows])
        assert np.array_equal(part.p_combined, whole.p_combined[rows])


def test_it_is_saved_and_loaded_as_it_is(kind, tmp_path):
    model = made(*kind)
    model.save(tmp_path)
    again = Artefact.load(tmp_path)
    good = read(kind[1], "gamma_check", 50)
    assert again.feature_map.sparse == model.feature_map.sparse
    assert np.array_equal(
        again.scorer("cpu").score(good).scores, model.scorer("cpu").score(good).scores
    )


def test_a_model_whose_scores_meant_something_else_is_refused(tmp_path):
    model = made("flux", "suppressed")
    model.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["format"] = "calodqm.artefact/2"
    (tmp_path / "config.json").write_text(json.dumps(config))
    contents, _ = description.read(tmp_path)
    (tmp_path / "hash").write_text(description.digest_of(contents))
    with pytest.raises(description.ArtefactError, match="train it again"):
        Artefact.load(tmp_path)


@pytest.mark.slow
def test_generated_showers_are_lit_as_often_as_real_ones(kind):
    good = read(kind[1], "gamma_check", 1000)
    drawn = generation.generate(made(*kind), good, 1000, seed=1)
    lit, real = (np.mean(s.cells != 0, axis=0) for s in (drawn, good))
    assert np.mean(np.abs(lit - real)) < 0.05
    assert drawn.cells.sum() == pytest.approx(good.cells.sum(), rel=0.1)


@pytest.mark.slow
def test_masked_cells_are_left_out_whether_lit_or_not(kind):
    model = made(*kind)
    good = read(kind[1], "gamma_check", 400)
    mask = np.zeros(504, bool)
    mask[[0, 353, 500]] = True
    broken = good.cells.copy()
    broken[:, mask] = 777.0
    found = examiner(model)(Showers(broken, good.e_inc), mask)
    assert (found.latents[:, :504][:, mask] == 0).all()
    assert np.isfinite(found.raw).all()
    assert np.square(found.latents[:, :504][:, ~mask]).mean() == pytest.approx(1, abs=0.2)
