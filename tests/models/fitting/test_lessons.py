"""Classifier: sees what it was shown, travels in the artefact, and is one score of the family."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from forged import refused, sign

from models.fitting import lessons, recipe
from models.fitting.certification import examiner
from models.fitting.checkpoint import TrainingError
from models.fitting.lessons import ClassifierOptions
from models.fitting.recipe import Recipe
from models.fitting.training import Options, Session
from models.scoring.artefact import Artefact
from models.scoring.classifier import Classifier
from models.scoring.measures import auc
from models.showers.batch import Showers
from models.showers.pool import Pool
from models.simulation import fault_form, injection

FAULT = "hot:cells=353,x=100,share=1"
RECIPE = Recipe(
    version="with a classifier",
    frozen=True,
    options=Options(seed=3, flips=("x", "y")),
    held_out=0.1,
    certify=0.4,
    condition_cells=2,
    classifier=ClassifierOptions((FAULT,), hidden=(16,), epochs=5, batch=64, learning_rate=3e-3),
)


@pytest.fixture(scope="module")
def made():
    pool = Pool(tiny.showers())
    return recipe.prepare(RECIPE, pool, tiny.GEOMETRY, Session(), start=tiny.artefact())


@pytest.fixture(scope="module")
def good():
    return tiny.showers("gamma_test", 400)


def strike(good, text, seed=1):
    region = np.zeros(good.n, np.uint16)
    rng = np.random.default_rng(seed)
    return injection.apply(fault_form.parse(text), good, region, tiny.GEOMETRY, rng)


@pytest.mark.slow
def test_a_frozen_model_keeps_features_and_flow_to_the_bit(made):
    start = tiny.artefact()
    for name, value in start.flow.state_dict().items():
        assert torch.equal(value, made.flow.state_dict()[name])
    for name, array in start.feature_map.arrays().items():
        assert np.array_equal(array, made.feature_map.arrays()[name])
    assert made.card["started_from"] == start.hash


def test_nothing_can_be_frozen_where_there_is_nothing_to_start_from():
    with pytest.raises(TrainingError, match="start"):
        recipe.prepare(RECIPE, Pool(tiny.showers()), tiny.GEOMETRY, Session())


@pytest.mark.parametrize(
    ("change", "geometry", "match"),
    [
        ({}, replace(tiny.GEOMETRY, layers=tiny.GEOMETRY.layers[:2]), "other cells"),
        ({}, replace(tiny.GEOMETRY, noise_mev=2.0), "noise"),
        ({}, replace(tiny.GEOMETRY, least_count_mev=0.5), "least count"),
        ({"family": "caloflow"}, tiny.GEOMETRY, "flux, not a caloflow"),
        ({"conditions": ("eta",)}, tiny.GEOMETRY, "conditions"),
    ],
)
def test_what_a_frozen_model_is_not_made_for_is_refused(change, geometry, match):
    good = tiny.showers()
    cells = np.ascontiguousarray(good.cells[:, : geometry.n_cells])
    pool = Pool(Showers(cells, good.e_inc))
    with pytest.raises(TrainingError, match=match):
        recipe.prepare(replace(RECIPE, **change), pool, geometry, Session(), start=tiny.artefact())


def test_the_classifier_is_the_last_score_and_sees_its_fault(made, good):
    assert made.score_names == (*tiny.artefact().score_names, "classifier")
    sound, struck = (made.scorer("cpu").score(s) for s in (good, strike(good, FAULT)))
    assert auc(sound.p[:, -1], struck.p[:, -1]) > 0.85
    assert np.mean(sound.p[:, -1] <= 0.1) == pytest.approx(0.1, abs=0.06)
    before = tiny.artefact().scorer("cpu")
    alone = [before.score(s).p_combined for s in (good, strike(good, FAULT))]
    assert auc(sound.p_combined, struck.p_combined) > auc(*alone) + 0.02


def test_the_combination_with_a_classifier_is_calibrated(made, good):
    p = made.scorer("cpu").score(good).p_combined
    assert np.mean(p <= 0.5) == pytest.approx(0.5, abs=0.09)
    assert np.mean(p <= 0.1) == pytest.approx(0.1, abs=0.06)


def test_a_classifier_survives_the_artefact(made, good, tmp_path):
    made.save(tmp_path)
    again = Artefact.load(tmp_path)
    assert again.classifier.shape.faults == (FAULT,)
    a, b = (one.scorer("cpu").score(good) for one in (made, again))
    assert np.array_equal(a.scores, b.scores)
    assert np.array_equal(a.p_combined, b.p_combined)


@pytest.mark.parametrize(
    "change",
    [
        {"classifier": None},
        {"classifier": {"n_cells": 504}},
        {"classifier": {"n_cells": 500, "n_layers": 3, "n_context": 1, "hidden": [16]}},
        {"classifier": {"n_cells": 504, "n_layers": 3, "n_context": 1, "hidden": [10**9]}},
    ],
)
def test_a_classifier_that_does_not_fit_is_refused(made, tmp_path, change):
    made.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    sign(tmp_path)
    refused(tmp_path)


def test_no_memory_is_taken_for_a_classifier_that_does_not_fit(made, tmp_path):
    made.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["classifier"]["n_cells"] = 10**12
    (tmp_path / "config.json").write_text(json.dumps(config))
    sign(tmp_path)
    assert "the classifier is of" in refused(tmp_path)


def test_odds_do_not_depend_on_the_batch(made, good):
    scorer = made.scorer("cpu")
    whole = scorer.score(good)
    rows = np.array([5, 300, 7])
    assert np.array_equal(scorer.score(good[rows]).scores, whole.scores[rows])


def test_masked_cells_do_not_move_the_odds(made, good):
    mask = np.zeros((good.n, 504), bool)
    mask[:, 353] = True
    scorer = made.scorer("cpu")
    sound, struck = (scorer.score(s, hidden=mask) for s in (good, strike(good, FAULT)))
    assert np.allclose(sound.scores[:, -1], struck.scores[:, -1], atol=0.05)


def test_a_lesson_has_every_shower_twice_and_a_fault_in_the_second_half():
    texts = ("dead:cells=353", "dead:cells=354")
    parsed = tuple(fault_form.parse(text) for text in texts)
    teacher = lessons.Teacher(tiny.GEOMETRY, examiner(tiny.artefact()).view, parsed, ())
    pool = Pool(tiny.showers(n=60))
    lesson = teacher.lesson(pool, np.random.default_rng(1))
    assert lesson.struck.tolist() == [0.0] * 60 + [1.0] * 60
    changed = (lesson.features.cells[60:] != lesson.features.cells[:60]).any(dim=0)
    assert changed[[353, 354]].all()


@pytest.mark.parametrize("text", ["hot:cells=353", "burst:layer=middle", "spike"])
def test_a_fault_of_some_showers_strikes_all_that_are_labelled(text):
    see = examiner(tiny.artefact()).view
    parsed, mirrors = (fault_form.parse(text),), ()
    teacher = lessons.Teacher(tiny.GEOMETRY, see, parsed, mirrors)
    lesson = teacher.lesson(Pool(tiny.showers(n=60)), np.random.default_rng(1))
    changed = (lesson.features.cells[60:] != lesson.features.cells[:60]).any(dim=1)
    assert changed.float().mean() > 0.9  # of a burst, some draws are nearly nothing


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"faults": ()}, "needs the faults"),
        ({"faults": ("silent",)}, "no single shower"),
        ({"faults": ("gain:region=3",)}, "no single shower"),
        ({"faults": ("melted",)}, "KIND"),
        ({"faults": ("dead",), "epochs": 0}, "epochs"),
        ({"faults": ("dead",), "epochs": 1.5}, "epochs"),
        ({"faults": ("dead",), "hidden": (8.5,)}, "hidden"),
        ({"faults": ("dead",), "learning_rate": 2.0}, "learning_rate"),
    ],
)
def test_wrong_options_are_refused(options, match):
    with pytest.raises(TrainingError, match=match):
        ClassifierOptions(**options)


def test_a_fault_of_cells_that_are_not_there_is_refused():
    given = ClassifierOptions(("dead:cells=9999",))
    wanted = replace(tiny.RECIPE, frozen=True, classifier=given)
    with pytest.raises(TrainingError, match="9999"):
        recipe.prepare(
            wanted, Pool(tiny.showers()), tiny.GEOMETRY, Session(), start=tiny.artefact()
        )


@pytest.mark.slow
@pytest.mark.parametrize("stop_after", [1, 3])
def test_interrupted_lessons_end_with_the_same_weights(tmp_path, made, stop_after):
    count = [0]

    def interrupt(_):
        count[0] += 1
        if count[0] == stop_after + 1:
            raise KeyboardInterrupt

    def learn(progress):
        session = Session(progress=progress, checkpoint=tmp_path / "checkpoint.safetensors")
        pool = Pool(tiny.showers())
        return recipe.prepare(RECIPE, pool, tiny.GEOMETRY, session, start=tiny.artefact())

    with pytest.raises(KeyboardInterrupt):
        learn(interrupt)
    assert (tmp_path / "checkpoint-classifier.safetensors").exists()
    seen = []
    again = learn(seen.append)
    assert seen[0].epoch > stop_after
    for name, value in made.classifier.state_dict().items():
        assert torch.equal(value, again.classifier.state_dict()[name]), name


def test_a_classifier_that_asks_for_more_than_is_there_is_refused_before_it_is_built(
    made, tmp_path, monkeypatch
):
    made.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["classifier"] |= {"hidden": [8192] * 40}
    (tmp_path / "config.json").write_text(json.dumps(config))
    sign(tmp_path)
    monkeypatch.setattr(Classifier, "__init__", lambda *_: pytest.fail("it is built"))
    assert "the classifier asks for" in refused(tmp_path)
