"""Absent cells: what is expected of the others is learnt, and then good showers are good again."""

import numpy as np
import pytest
import tiny

from models.scoring.absent import Absent
from models.scoring.scales import Z_CLIP
from models.showers.batch import Showers

pytestmark = pytest.mark.slow  # learns what to expect without cells
CORE, BESIDE, EDGE = 353, 300, 310


@pytest.fixture(scope="module")
def good():
    """Return good showers of energies that the tiny model knows: those of its 430 in training."""
    some = tiny.showers("gamma_test", 2000)
    return some[tiny.artefact().scorer("cpu").score(some).valid]


@pytest.fixture(scope="module")
def brightest(good):
    return tuple(np.argsort(-good.cells.mean(0)).tolist())


@pytest.fixture(scope="module")
def scorer(brightest):
    """Return a scorer that has learnt what to expect without several sets of cells."""
    made = tiny.artefact().scorer("cpu")
    others = tiny.showers("gamma_train", 5200)[slice(1200, 5200)]  # of no reference, no training
    for cells in sets(brightest):
        made.learn(cells, others)
    return made


def sets(brightest):
    four = (100, BESIDE, EDGE, CORE)
    off_axis = np.hypot(*tiny.artefact().geometry.centres[:, :2].T)
    core = np.argsort(off_axis, kind="stable")[:40]  # of every layer: nothing is left of its share
    bright = tuple(sorted(brightest[:40]))
    return [(CORE,), (BESIDE, CORE), four, brightest[:1], bright, tuple(sorted(core.tolist()))]


def lacking(n, cells):
    return Absent.of_groups(np.zeros(n, np.int64), {0: cells})


def test_an_absent_cell_has_latent_zero_and_does_not_matter(scorer, good):
    cells = good.cells.copy()
    cells[:, [BESIDE, CORE]] = 1e5
    absent = lacking(good.n, (BESIDE, CORE))
    sound = scorer.score(good, absent)
    broken = scorer.score(Showers(cells, good.e_inc), absent)
    assert (sound.latents[:, [BESIDE, CORE]] == 0).all()
    assert np.abs(sound.scores - broken.scores).max() < 1e-3


def test_until_it_is_learnt_showers_without_a_cell_are_unknown(scorer, good):
    some = good[slice(0, 40)]
    which = np.where(np.arange(40) % 4 == 3, 0, -1)
    scored = scorer.score(some, Absent(((7,),), which))
    assert np.array_equal(scored.unknown, which == 0)
    assert np.isnan(scored.p_combined[which == 0]).all()
    plain = scorer.score(some)
    for name in ("p", "latents", "p_combined", "bins"):
        rows = which < 0
        assert np.array_equal(getattr(scored, name)[rows], getattr(plain, name)[rows]), name


@pytest.mark.parametrize("index", range(6))
def test_good_showers_are_good_without_some_of_their_cells(scorer, good, brightest, index):
    cells = sets(brightest)[index]
    scored = scorer.score(good, lacking(good.n, cells))
    for level in (0.5, 0.1, 0.01):
        error = np.sqrt(level * (1 - level) * (1 / good.n + 1 / 4000))
        assert np.mean(scored.p_combined <= level) == pytest.approx(level, abs=4.5 * error)


@pytest.mark.parametrize("index", range(6))
def test_the_other_latents_keep_their_means_and_spreads(scorer, good, brightest, index):
    """By what is expected of whole showers, as a judge sees them: this is what paged."""
    cells = sets(brightest)[index]
    absent = scorer.score(good, lacking(good.n, cells))
    whole = scorer.score(good)
    others = np.setdiff1d(np.arange(507), cells)
    a, w = (np.clip(s.latents[:, others], -Z_CLIP, Z_CLIP) for s in (absent, whole))
    moved = (a.mean(0) - w.mean(0)) / w.std(0)
    # What is learnt from 4,000 showers and seen in 2,000, of differences that are correlated.
    assert np.abs(moved).max() < 4.5 * np.sqrt(1 / 4000 + 1 / 2000)
    assert np.sqrt(np.mean(moved**2)) < 0.015
    ratio = (a**2).mean(0) / (w**2).mean(0)
    assert np.abs(np.log(ratio)).max() < 0.35
    assert np.sqrt(np.mean(np.log(ratio) ** 2)) < 0.05


def test_a_second_fault_is_seen_beside_an_absent_cell(scorer, good):
    cells = good.cells.copy()
    cells[:, 301] += 200
    scored = scorer.score(Showers(cells, good.e_inc), lacking(good.n, (BESIDE, CORE)))
    assert np.median(scored.p_combined) < 0.01


def test_each_group_of_showers_may_lack_cells_of_its_own(scorer, good):
    some, region = good[slice(0, 96)], np.arange(96) % 4
    lacks = {1: (CORE,), 3: (BESIDE, CORE), 2: ()}
    mixed = scorer.score(some, Absent.of_groups(region, lacks))
    for one in range(4):
        rows = region == one
        alone = scorer.score(some[rows], lacking(int(rows.sum()), lacks.get(one, ())))
        assert np.array_equal(mixed.p_combined[rows], alone.p_combined)
        assert np.array_equal(mixed.latents[rows], alone.latents)
    assert Absent.of_groups(region, {2: ()}) is None


def test_showers_too_few_to_learn_from_are_refused(good):
    made = tiny.artefact().scorer("cpu")
    with pytest.raises(ValueError, match="distinct showers"):
        made.learn((CORE,), good[slice(0, 60)])
    assert not made.knows((CORE,))


def test_where_next_to_nothing_of_the_core_is_left_the_incident_energy_has_no_say(
    scorer, good, brightest
):
    cells = sets(brightest)[4]
    other = Showers(good.cells, good.e_inc * np.float32(1.01))
    one, two = (scorer.score(each, lacking(good.n, cells)) for each in (good, other))
    both = one.valid & two.valid
    assert np.array_equal(one.p_combined[both], two.p_combined[both])
    one, two = (scorer.score(each, lacking(good.n, (CORE,))) for each in (good, other))
    both = one.valid & two.valid
    assert (one.latents[both, 504] > two.latents[both, 504]).mean() > 0.99
