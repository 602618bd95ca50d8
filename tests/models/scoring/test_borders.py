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
MANY = 6000


def load(name):
    """Return the shipped artefact and the channels of an example."""
    detector = channel_files.load(ROOT / "deploy" / "detectors" / f"{name}.toml")
    return Artefact.load(ROOT / "models" / "artefacts" / f"{name}-flux"), detector


def showers_lacking(artefact, channels, n_absent, n):
    """Return good showers whose patches lack so many cells, and which cells they lack."""
    rng = np.random.default_rng(7)
    pool = whole.simulated_pool(channels, artefact.geometry, rng.uniform(1e3, 5e4, n), rng)
    every = np.flatnonzero(channels.may_seed).astype(np.uint32)
    seeds = every[(channels.patches(every) < 0).sum(1) == n_absent]
    showers = whole.anywhere(channels, artefact.geometry, pool).read(rng.choice(seeds, n), rng)
    hidden = channels.patches(showers.seeds) < 0
    kept = np.flatnonzero(hidden.sum(1) == n_absent)
    return showers[kept], hidden[kept]


@pytest.fixture(scope="module")
def artefact():
    return Artefact.load(ARTEFACT)


@pytest.fixture(scope="module")
def channels():
    return channel_files.load(ROOT / "deploy" / "detectors" / "barrel.toml")


@pytest.fixture(scope="module")
def scorer(artefact, channels):
    made = artefact.scorer("cpu")
    assert made.learn_all(channels.absences, artefact.good) == []
    return made


@pytest.fixture(scope="module", params=[5, 10])
def at_border(request, artefact, channels):
    """Return good showers of the last row of crystals but one, or the last, and what they lack."""
    return showers_lacking(artefact, channels, request.param, N)


@pytest.fixture(scope="module", params=["barrel-5", "barrel-10", "sampling-10", "sampling-31"])
def many(request):
    """Return an example, a scorer that has learnt, and many showers as those of `at_border`."""
    name, _, n_absent = request.param.partition("-")
    artefact, channels = load(name)
    made = artefact.scorer("cpu")
    assert made.learn_all(channels.absences, artefact.good) == []
    at = showers_lacking(artefact, channels, int(n_absent), MANY)
    inside = showers_lacking(artefact, channels, 0, MANY // 3)
    return request.param, channels, made, at, inside


def p_of_all(scorer, showers, hidden):
    """Return the p-values of the valid showers, which next to all must be."""
    scored = scorer.score(showers, hidden=hidden)
    assert scored.valid.mean() > 0.99
    return scored.p_combined[scored.valid]


def test_p_values_hold_at_the_borders_of_both_examples(many):
    """Learnt from showers that the sampling model generates, 0.3 and 0.1 of these shares were found."""
    _, _, scorer, (showers, hidden), _ = many
    for e_inc in (showers.e_inc, np.full_like(showers.e_inc, np.nan)):
        p = p_of_all(scorer, replace(showers, e_inc=e_inc), hidden)
        for level in (0.1, 0.01):
            error = np.sqrt(level * (1 - level) / len(p))
            share = np.mean(p <= level)
            assert level / 1.5 - 2 * error <= share <= 1.5 * level + 2 * error, (level, share)


def response(scorer, showers, hidden):
    """Return the standardised response of showers, clipped as sums by channel are."""
    table, v = scorer.reference, scorer.geometry.n_cells
    scored = scorer.score(showers, hidden=hidden if hidden.any() else None)
    assert scored.valid.mean() > 0.99
    k = scored.condition_cell
    z = (scored.latents[:, v] - table.latent_mean[k, v]) / np.sqrt(table.latent_var[k, v])
    return np.clip(z, -4, 4)


def test_the_energy_of_good_showers_at_a_border_is_as_inside(many):
    _, _, scorer, at, inside = many
    z, within = response(scorer, *at), response(scorer, *inside)
    assert abs(np.nanmean(z)) < 0.1
    assert np.nanvar(z) / np.nanvar(within) == pytest.approx(1, abs=0.3)


def shift(scorer, channels, showers, hidden):
    """Return by how much a gain lower by 10 % in the seed moves the mean response."""
    seed = np.flatnonzero((channels.patches(showers.seeds) == showers.seeds[:, None]).all(0))
    cells = showers.cells.copy()
    cells[:, seed] *= np.float32(0.9)
    low = response(scorer, replace(showers, cells=cells), hidden)
    return np.nanmean(low - response(scorer, showers, hidden))


def test_a_lower_gain_is_seen_in_the_energy_at_a_border(many):
    """Of the last row of crystals a tenth of the energy is a guess, whatever one looks at."""
    name, channels, scorer, at, inside = many
    share = shift(scorer, channels, *at) / shift(scorer, channels, *inside)
    assert share > (0.25 if name == "barrel-10" else 0.5)


def learnt_of(many, known):
    """Return the scorer of `many`, had it been learnt from 6,000 showers of which some energies are known.

    Parameters
    ----------
    known
        Which of them, shape (6000,).
    """
    name, channels, *_ = many
    artefact, _ = load(name.partition("-")[0])
    good, made = artefact.good[slice(0, LEARNT_FROM)], artefact.scorer("cpu")
    e_inc = np.where(known(good), good.e_inc, np.float32(np.nan))
    assert made.learn_all(channels.absences, replace(good, e_inc=e_inc)) == []
    return made


@pytest.mark.parametrize("n", [24, 60, 300, 2000])
def test_p_values_hold_however_few_energies_were_known(many, n):
    """Of 60, 0.03 to 0.30 of good showers of known energy had p at most 0.01; of 24, nothing was learnt."""
    at = np.random.default_rng(1).permutation(LEARNT_FROM)
    scorer = learnt_of(many, lambda _: at < n)
    assert 0.005 <= np.mean(p_of_all(scorer, *many[3]) <= 0.01) <= 0.016


def test_of_energies_far_from_those_that_were_known_nothing_is_said(many):
    """Cubics that are followed further put all of them into one place."""
    scorer = learnt_of(many, lambda good: good.e_inc > 2e4)
    showers, hidden = many[3]
    low = showers.e_inc < 3e3
    z = response(scorer, showers[low], hidden[low])
    assert np.nanvar(z) > 0.5
    assert np.mean(p_of_all(scorer, *many[3]) <= 0.01) < 0.016


@pytest.mark.parametrize("n_absent", [5, 10])
def test_a_model_without_showers_of_its_own_learns_from_those_that_it_generates(
    artefact, channels, n_absent
):
    made = artefact.scorer("cpu")
    good = like_reference(artefact, LEARNT_FROM, seed=1)
    made.learn_all(channels.absences, replace(good, e_inc=np.full_like(good.e_inc, np.nan)))
    showers, hidden = showers_lacking(artefact, channels, n_absent, N)
    p = made.score(showers, hidden=hidden).p_combined
    assert 0.05 < np.mean(p <= 0.1) < 0.13 + 3 * 0.009


def test_latents_at_a_border_are_standard(scorer, at_border):
    showers, hidden = at_border
    scored = scorer.score(showers, hidden=hidden)
    assert scored.valid.mean() > 0.99
    latents, hidden = scored.latents[scored.valid, :25], hidden[scored.valid]
    assert np.abs(latents[:, ~hidden[0]].mean(axis=0)).max() < 0.2
    assert (latents[hidden] == 0).all()


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
