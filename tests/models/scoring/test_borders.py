"""Showers at the borders of a detector: what to expect there is learnt, and their p-values hold."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.detector import channel_files
from models.fitting.generation import like_reference
from models.scoring.artefact import Artefact
from models.simulation import whole

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
ARTEFACT = ROOT / "models" / "artefacts" / "barrel-flux"
N, LEARNT_FROM = 1200, 6000


@pytest.fixture(scope="module")
def artefact():
    return Artefact.load(ARTEFACT)


@pytest.fixture(scope="module")
def channels():
    return channel_files.load(ROOT / "deploy" / "detectors" / "barrel.toml")


@pytest.fixture(scope="module")
def scorer(artefact, channels):
    made = artefact.scorer("cpu")
    good = like_reference(artefact, LEARNT_FROM, seed=1)
    good = replace(good, e_inc=np.full_like(good.e_inc, np.nan))
    made.learn_all(channels.absences, good)
    return made


@pytest.fixture(scope="module", params=[5, 10])
def at_border(request, artefact, channels):
    """Return good showers of the last row of crystals but one, or the last, and what they lack."""
    rng = np.random.default_rng(7)
    pool = whole.simulated_pool(channels, artefact.geometry, rng.uniform(1e3, 5e4, N), rng)
    first = channels.patches(np.arange(len(channels), dtype=np.uint32))
    seeds = np.flatnonzero((first < 0).sum(1) == request.param).astype(np.uint32)
    showers = whole.anywhere(channels, artefact.geometry, pool).read(rng.choice(seeds, N), rng)
    hidden = channels.patches(showers.seeds) < 0
    kept = np.flatnonzero(hidden.sum(1) == request.param)
    return showers[kept], hidden[kept]


def test_good_showers_at_a_border_are_good(scorer, at_border):
    showers, hidden = at_border
    p = scorer.score(showers, hidden=hidden).p_combined
    for level, most in ((0.1, 1.3), (0.01, 2.5)):
        error = np.sqrt(level * (1 - level) / len(p))
        share = np.mean(p <= level)
        assert share <= most * level + 3 * error, (level, share)
    assert np.mean(p <= 0.1) > 0.05


def test_latents_at_a_border_are_standard(scorer, at_border):
    showers, hidden = at_border
    latents = scorer.score(showers, hidden=hidden).latents[:, :25]
    there = ~hidden[0]
    assert np.abs(np.nanmean(latents[:, there], axis=0)).max() < 0.2
    scored = np.isfinite(latents[:, there]).all(axis=1)
    assert scored.mean() > 0.99
    assert (latents[scored][hidden[scored]] == 0).all()


def test_a_shower_is_scored_alike_beside_any_others(scorer, at_border):
    showers, hidden = at_border
    mixed = hidden.copy()
    mixed[::3] = False
    mixed[1::3, 0] = True
    mixed[1::3, 24] ^= True  # sets of which nothing was learnt
    together = scorer.score(showers, hidden=mixed)
    for rows in (np.arange(0, 60, 3), np.arange(1, 60, 3), np.arange(2, 60, 3)):
        apart = scorer.score(showers[rows], hidden=mixed[rows])
        assert np.array_equal(together.p_combined[rows], apart.p_combined, equal_nan=True)
        assert np.array_equal(together.latents[rows], apart.latents, equal_nan=True)


def test_what_absent_cells_hold_does_not_matter(scorer, at_border):
    showers, hidden = at_border
    cells = np.where(hidden, np.float32(7000), showers.cells)
    full = type(showers)(cells, showers.e_inc, seeds=showers.seeds)
    a, b = (scorer.score(each, hidden=hidden) for each in (showers, full))
    assert np.array_equal(a.p_combined, b.p_combined, equal_nan=True)


def test_borders_are_not_forgotten_when_masks_are_lifted(artefact, channels):
    made = artefact.scorer("cpu")
    good = like_reference(artefact, 3000, seed=1)
    made.learn_all(channels.absences[:1], good)
    made.learn((12,), good)
    made.keep([])
    assert made.knows(channels.absences[0])
    assert not made.knows((12,))


def test_the_sets_of_a_barrel_are_its_two_rows_at_either_end(channels):
    assert sorted(map(len, channels.absences)) == [5, 5, 10, 10]
    assert (0, 1, 2, 3, 4) in channels.absences
    assert tuple(range(15, 25)) in channels.absences


@pytest.mark.parametrize("cell", [7, 12])
def test_beside_a_bad_channel_p_values_hold_once_what_is_lacking_was_met(artefact, channels, cell):
    """Without, a tenth of good showers have a p-value of 0.01."""
    rng = np.random.default_rng(7)
    pool = whole.simulated_pool(channels, artefact.geometry, rng.uniform(1e3, 5e4, N), rng)
    showers = whole.anywhere(channels, artefact.geometry, pool).each_once(rng)
    hidden = np.zeros(showers.cells.shape, bool)
    hidden[:, cell] = True
    made = artefact.scorer("cpu")
    assert np.mean(made.score(showers, hidden=hidden).p_combined <= 0.01) > 0.03
    assert made.met() == [(cell,)]
    good = like_reference(artefact, LEARNT_FROM, seed=1)
    made.learn((cell,), replace(good, e_inc=np.full_like(good.e_inc, np.nan)))
    made.keep([])
    assert made.met() == []
    p = made.score(showers, hidden=hidden).p_combined
    assert np.mean(p <= 0.01) < 0.02
    assert 0.05 < np.mean(p <= 0.1) < 0.13


def test_what_is_met_seldom_is_not_worth_the_time(artefact, channels):
    rng = np.random.default_rng(7)
    pool = whole.simulated_pool(channels, artefact.geometry, rng.uniform(1e3, 5e4, 60), rng)
    showers = whole.anywhere(channels, artefact.geometry, pool).each_once(rng)[slice(0, 40)]
    made, hidden = artefact.scorer("cpu"), np.zeros((40, 25), bool)
    hidden[:, 12] = True
    told = []
    for _ in range(3):
        made.score(showers, hidden=hidden)
        told.append(made.met())
    assert told == [[], [], [(12,)]]


def test_a_set_that_cannot_be_learnt_leaves_the_others(artefact):
    made = artefact.scorer("cpu")
    good = like_reference(artefact, 3000, seed=1)
    core = (6, 7, 8, 11, 12, 13, 16, 17, 18)
    (why,) = made.learn_all([core, (0,)], good)
    assert "showers" in why
    assert made.knows((0,))
    assert not made.knows(core)
