"""Mutability: the fast form says what the refit of the paper says."""

import numpy as np
import pytest
import tiny
from scipy.stats import spearmanr

from models.fitting.generation import generate, generated_reference
from models.scoring.measures import auc
from models.showers.batch import Showers, concatenate
from models.studies import mutability


@pytest.fixture(scope="module")
def fitted():
    return mutability.fit(tiny.artefact(), tiny.showers(), 1200, seed=1)


@pytest.fixture(scope="module")
def objects():
    return concatenate([tiny.showers("gamma_test", 60), tiny.showers("pi0", 60)])


@pytest.mark.slow
def test_fast_form_agrees_with_the_refit(fitted, objects):
    refit = fitted.refit(objects, 300)
    fast = fitted.clustered(4).outlier(objects)
    assert ((refit >= 0) & (refit <= 1)).all()
    assert ((fast >= 0) & (fast <= 1)).all()
    assert spearmanr(refit, fast).statistic > 0.95
    strange = np.arange(120) >= 60
    separation = [auc(-s[~strange], -s[strange]) for s in (refit, fast)]
    assert separation[0] == pytest.approx(separation[1], abs=0.02)
    assert min(separation) > 0.8


def test_fast_form_is_the_refit_where_the_object_is_no_news_to_the_tree(fitted):
    # Far from everything a point joins the tree at its root: both forms have the same density.
    far = fitted.points[:1] + 50
    reference = fitted.points[:300]
    refit = mutability._cluster(np.vstack([reference, far])).outlier_scores_[-1]
    fast = mutability._Cell.fit(reference, mutability.torch.device("cpu")).outlier(far)[0]
    assert fast == pytest.approx(refit, abs=0.01)


@pytest.mark.slow
def test_fast_form_takes_neighbours_as_hdbscan_does():
    rng = np.random.default_rng(0)
    reference, objects = rng.normal(size=(500, 10)), rng.normal(size=(60, 10))
    fast = mutability._Cell.fit(reference, mutability.torch.device("cpu")).outlier(objects)
    together = (np.vstack([reference, one]) for one in objects)
    refit = np.array([mutability._cluster(points).outlier_scores_[-1] for points in together])
    # A point that joins may move the tree a little; mostly it does not.
    assert np.median(np.abs(fast - refit)) < 1e-6
    assert np.abs(fast - refit).max() < 0.05
    assert (fast < refit - 1e-6).mean() < 0.1


def test_identical_showers_do_not_make_all_others_outliers():
    rng = np.random.default_rng(0)
    reference, objects = rng.normal(size=(470, 10)), rng.normal(size=(60, 10))
    again = np.vstack([reference, np.repeat(reference[:1], 30, axis=0)])
    device = mutability.torch.device("cpu")
    plain, found = (mutability._Cell.fit(r, device).outlier(objects) for r in (reference, again))
    np.testing.assert_array_equal(found, plain)
    fitted = mutability.Mutability(None, None, None, None, again, np.arange(500.0))
    refit = fitted.refit_of(objects[:5], np.full(5, 250.0), 500)
    assert (refit < 1).all()


def test_an_object_is_judged_by_the_showers_of_its_own_energy(fitted):
    low = fitted.own_reference(0.0, 100)
    assert np.array_equal(low, fitted.points[:100])
    high = fitted.own_reference(1e9, 100)
    assert np.array_equal(high, fitted.points[-100:])


@pytest.mark.slow
def test_generated_showers_look_like_good_ones():
    good = tiny.showers()
    drawn = generate(tiny.artefact(), good, 400, seed=2)
    assert drawn.n == 400
    assert np.array_equal(drawn.cells, np.rint(drawn.cells * 4) / 4)  # digitised
    response = drawn.cells.sum(axis=1) / drawn.e_inc
    assert np.median(response) == pytest.approx(np.median(good.cells.sum(1) / good.e_inc), rel=0.1)
    again = generate(tiny.artefact(), good, 400, seed=2)
    assert np.array_equal(drawn.cells, again.cells)
    assert not np.array_equal(drawn.cells, generate(tiny.artefact(), good, 400, seed=3).cells)


def test_showers_are_generated_at_the_conditions_seen():
    good = tiny.showers()
    low = good[good.e_inc < 3000]
    drawn = generate(tiny.artefact(), low, 300, seed=4)
    assert np.median(drawn.e_inc) == pytest.approx(np.median(low.e_inc), rel=0.15)


@pytest.mark.slow
def test_a_generated_reference_says_so():
    table = generated_reference(tiny.artefact(), tiny.showers(), 400, seed=5, n_cells=2)
    assert table.origin == "generated"
    assert table.showers == 400
    assert table.n_cells == 2


def test_without_showers_there_are_no_conditions():
    with pytest.raises(ValueError, match="no showers"):
        generate(
            tiny.artefact(), Showers(np.zeros((0, 504), np.float32), np.zeros(0, np.float32)), 5, 1
        )
