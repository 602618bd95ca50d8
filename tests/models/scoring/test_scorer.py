"""Scorer: deterministic, whatever the batch; and calibrated."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch

from consumers.app.settings import ARTEFACT
from models.scoring.artefact import Artefact
from models.scoring.examiner import Examiner
from models.scoring.levelling import NOT_LEVELLED
from models.scoring.p_values import BINS
from models.scoring.scorer import pick_device
from models.showers.batch import Showers


@pytest.fixture(scope="module")
def scorer():
    return tiny.artefact().scorer("cpu")


@pytest.fixture(scope="module")
def good():
    return tiny.showers("gamma_test", 2000)


@pytest.fixture(scope="module")
def scored(scorer, good):
    return scorer.score(good)


def test_shapes_and_ranges(scorer, good, scored):
    k, s, h = scorer.shape
    assert (k, h) == (2, BINS)
    assert s == len(scorer.score_names) == 10
    assert scored.scores.shape == scored.p.shape == (good.n, s)
    assert scored.latents.shape == (good.n, 507)
    assert scored.valid.all()
    for p in (scored.p, scored.p_combined):
        assert ((p > 0) & (p <= 1)).all()
    assert set(scored.condition_cell.tolist()) == {0, 1}
    bins = scored.bins
    assert bins.shape == (good.n, s)
    assert ((bins >= 0) & (bins < h)).all()


@pytest.mark.parametrize("n", [1, 2, 3, 7, 33, 255, 256, 300])
def test_a_shower_scores_the_same_to_the_bit_in_any_batch(scorer, good, scored, n):
    rows = np.random.default_rng(n).permutation(good.n)[:n]
    again = scorer.score(good[rows])
    for name in ("scores", "p", "p_combined", "latents", "condition_cell"):
        assert np.array_equal(getattr(again, name), getattr(scored, name)[rows]), name


def test_showers_between_the_steps_of_a_digitiser_do_so_too(good):
    """Sums of multiples of a step are exact in any order: such showers would hide that it matters."""
    # At the borders of a pattern of many cells, and beside dead channels, some are hidden.
    scorer = Artefact.load(ARTEFACT).scorer("cpu")
    rng = np.random.default_rng(1)
    cells = good.cells[:900] * rng.uniform(0.9, 1.1, (900, 504)).astype(np.float32)
    showers = Showers(cells, good.e_inc[:900])
    hidden = np.zeros(cells.shape, np.bool_)
    hidden[::3, 200:230] = hidden[1::3, 40] = True
    for lacks in (None, hidden):
        whole = scorer.score(showers, None, lacks)
        for n in (1, 2, 31, 32, 333, 512, 700):
            rows = rng.permutation(900)[:n]
            part = scorer.score(showers[rows], None, None if lacks is None else lacks[rows])
            for name in ("scores", "p", "p_combined", "latents", "condition_cell"):
                assert np.array_equal(getattr(part, name), getattr(whole, name)[rows]), (n, name)


def test_scoring_again_gives_the_same_bits(scorer, good, scored):
    again = scorer.score(good)
    assert np.array_equal(again.p, scored.p)
    assert np.array_equal(again.latents, scored.latents)


def test_p_values_of_held_out_good_showers_are_uniform(scorer, scored):
    # Some 120 showers set each cell's cuts in the tiny reference: 0.1 is known to a fifth.
    columns = [*scored.p.T, scored.p_combined]
    for name, p in zip((*scorer.score_names, "combined"), columns, strict=True):
        assert np.mean(p <= 0.5) == pytest.approx(0.5, abs=0.09), name
        assert np.mean(p <= 0.1) == pytest.approx(0.1, abs=0.05), name


def test_strange_showers_get_small_p_values(scorer):
    for name in ("mu", "pi0"):
        strange = scorer.score(tiny.showers(name))
        assert np.median(strange.p_combined) < 0.01, name


def test_unknown_energies_leave_p_values_uniform(scorer, good, scored):
    blind = scorer.score(Showers(good.cells, np.full(good.n, np.nan, np.float32)))
    assert blind.valid.mean() > 0.997
    assert np.mean(blind.p_combined <= 0.1) == pytest.approx(0.1, abs=0.05)
    some, cells = blind.valid, slice(0, 504)
    assert np.array_equal(blind.latents[some, cells], scored.latents[some, cells])


def test_a_wild_shower_is_scored_or_marked_but_never_breaks_the_others(scorer, good, scored):
    cells = good.cells[:20].copy()
    cells[3] = 1e9
    cells[4] = -1e9
    cells[5] = 0
    wild = scorer.score(Showers(cells, good.e_inc[:20]))
    keep = np.r_[0:3, 6:20]
    assert np.allclose(wild.p_combined[keep], scored.p_combined[keep], rtol=1e-3)
    for row in (3, 4, 5):
        assert not wild.valid[row] or wild.p_combined[row] < 0.01


def test_an_empty_batch_is_fine(scorer, good):
    empty = scorer.score(good[slice(0, 0)])
    assert empty.n == 0
    assert empty.bins.shape == (0, 10)


def test_showers_of_another_detector_are_refused(scorer):
    with pytest.raises(ValueError, match="504"):
        scorer.score(Showers(np.zeros((1, 7), np.float32), np.ones(1, np.float32)))


@pytest.mark.parametrize("name", ["tpu", "CUDA", ""])
def test_unknown_devices_are_refused(name):
    with pytest.raises(ValueError, match="unknown device"):
        pick_device(name)


def pairs(good, low):
    """Return sums of two showers of at least so many MeV each: showers of twice the energy."""
    found = np.flatnonzero(good.e_inc > low)
    a, b = found[: len(found) // 2], found[-(len(found) // 2) :]
    return Showers(good.cells[a] + good.cells[b], good.e_inc[a] + good.e_inc[b])


@pytest.mark.parametrize("known", [True, False])
def test_showers_beyond_the_trained_energies_are_unknown_not_strange(scorer, good, known):
    beyond = pairs(good, 13_000)  # 26 GeV and more; trained to 20
    e_inc = beyond.e_inc if known else np.full(beyond.n, np.nan, np.float32)
    scored = scorer.score(Showers(beyond.cells, e_inc))
    assert scored.unknown.all()
    assert not scored.valid.any()
    for column in (scored.p, scored.p_combined, scored.scores, scored.latents):
        assert np.isnan(column).all()


def test_hardly_a_shower_of_the_trained_energies_is_unknown(scorer, good):
    # The tiny model was trained on 430 showers: its range is theirs.
    assert scorer.score(good).unknown.mean() < 0.003
    blind = Showers(good.cells, np.full(good.n, np.nan, np.float32))
    assert scorer.score(blind).unknown.mean() < 0.003


def test_a_known_energy_that_is_reconstructed_far_away_is_strange_not_unknown(scorer, good):
    dead = Showers(good.cells * np.float32(0.05), good.e_inc)
    scored = scorer.score(dead)
    assert scored.valid.mean() > 0.997
    assert np.nanmedian(scored.p_combined) < 0.01


@pytest.mark.parametrize("bits", [0xFFC00000, 0x7FC00001, 0x7F800001])
def test_an_unknown_energy_is_the_same_whatever_its_bits(scorer, good, bits):
    some = good[slice(0, 256)]
    plain = scorer.score(Showers(some.cells, np.full(some.n, np.nan, np.float32)))
    odd = np.full(some.n, bits, np.uint32).view(np.float32)
    other = scorer.score(Showers(some.cells, odd))
    for name in ("p", "p_combined", "latents"):
        assert np.array_equal(getattr(other, name), getattr(plain, name)), name


def test_no_verdict_on_a_shower_of_unknown_energy_hangs_on_dice(scorer, good, monkeypatch):
    some = Showers(good.cells[:512], np.full(512, np.nan, np.float32))
    first = scorer.score(some)
    monkeypatch.setattr(
        "models.flows.features.uniform", lambda key, n: np.full((len(key), n), 0.02)
    )
    again = scorer.score(some)
    response = scorer.score_names.index("response")
    assert not np.array_equal(first.p[:, response], again.p[:, response])
    assert np.array_equal(first.p_combined, again.p_combined)


def test_a_reference_of_before_combines_what_it_can(good):
    made = tiny.artefact()
    table = made.reference
    first = slice(0, table.n_scores + 1)
    names = ("median", "mad", "counts", "log_tail", "pooling_p")
    without = {name: getattr(table, name)[:, first] for name in names}
    old = replace(made, reference=replace(table, levelling=NOT_LEVELLED, **without)).scorer("cpu")
    p = old.score(good).p_combined
    assert np.mean(p <= 0.1) == pytest.approx(0.1, abs=0.05)
    blind = old.score(Showers(good.cells, np.full(good.n, np.nan, np.float32)))
    assert np.mean(blind.p_combined <= 0.1) == pytest.approx(0.1, abs=0.05)


def test_an_examiner_takes_its_networks_to_its_device():
    made = tiny.artefact()
    flow = deepcopy(made.flow)
    nowhere = torch.device("meta")
    Examiner(made.feature_map, flow, made.geometry, nowhere)
    assert {weight.device for weight in flow.parameters()} == {nowhere}
