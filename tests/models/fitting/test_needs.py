"""Needs: too few showers are told before any is trained on."""

import numpy as np
import pytest
import tiny

from models.fitting import recipe as recipes
from models.fitting import training
from models.fitting.checkpoint import TrainingError
from models.fitting.recipe import Recipe, prepare
from models.fitting.training import Session
from models.showers import pool
from models.showers.pool import Pool


@pytest.mark.parametrize("n", [60, 200, 300, 600, 900, 1300])
def test_the_default_recipe_says_at_once_how_many_it_takes(n):
    with pytest.raises(TrainingError, match=r"are too few: this recipe takes about 1600: ") as told:
        Recipe().needs.check(n, None)
    assert "\n" not in str(told.value)


def test_showers_given_for_the_reference_are_counted_by_themselves():
    with pytest.raises(
        TrainingError, match=r"200 showers for the reference are too few.*about 400"
    ):
        Recipe().needs.check(5000, 200)
    with pytest.raises(TrainingError, match="700 showers are too few: this recipe takes about 840"):
        Recipe().needs.check(700, 500)
    Recipe().needs.check(900, 500)


def test_what_is_too_few_for_the_reference_is_told_before_the_flow_is_trained(monkeypatch):
    def train(*_):
        raise AssertionError("trained")

    monkeypatch.setattr(training, "fit", train)
    monkeypatch.setattr(recipes.training, "fit", train)
    good = tiny.showers()
    few = Recipe(held_out=0.1, certify=0.06, condition_cells=1)
    monkeypatch.setattr(recipes.Needs, "check", lambda *_: None)  # enough by the count alone
    with pytest.raises(ValueError, match=r"condition cell 0 .* to set cuts on"):
        prepare(few, Pool(good[slice(0, 900)]), tiny.GEOMETRY, Session())


def test_features_of_very_many_cells_are_fitted_on_some_of_the_showers(monkeypatch):
    monkeypatch.setattr(pool, "SOME_BYTES", 504 * 4 * 300)
    monkeypatch.setattr(pool, "AT_LEAST", 200)
    rows = Pool(tiny.showers()).some(np.random.default_rng(1))
    assert len(np.unique(rows)) == 300
