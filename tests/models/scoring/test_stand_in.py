"""Cells that are not there change no sum over showers."""

import numpy as np
import pytest

from models.scoring.scored import Scored
from models.scoring.stand_in import stood_in
from models.showers.batch import Showers

N, V = 20_000, 4
THRESHOLD = 120.0
LIT_RATE = np.array([[0.9, 0.5, 0.1, 0.0]])


def batch() -> tuple[Showers, Scored, np.ndarray]:
    rng = np.random.default_rng(1)
    cells = rng.normal(0, 40, (N, V)).astype(np.float32)
    scored = Scored(
        np.zeros((N, 2), np.float32), np.ones((N, 2)), np.ones(N),
        np.zeros((N, V + 1), np.float32), np.zeros(N, np.int64), np.ones(N, bool),
        np.zeros(N, bool), np.zeros((N, 2), np.int64),
    )  # fmt: skip
    hidden = np.zeros((N, V), bool)
    hidden[: N // 2, :3] = True
    return Showers(cells, np.full(N, 1e4, np.float32)), scored, hidden


def test_hidden_latents_are_those_of_good_showers() -> None:
    showers, scored, hidden = batch()
    _, drawn = stood_in(showers, scored, hidden, LIT_RATE, THRESHOLD)
    z = drawn.latents[: N // 2, :3]
    assert z.mean(axis=0) == pytest.approx([0, 0, 0], abs=0.04)
    assert z.std(axis=0) == pytest.approx([1, 1, 1], abs=0.03)
    assert np.abs(np.corrcoef(z.T) - np.eye(3)).max() < 0.04
    assert (drawn.latents[N // 2 :] == 0).all()
    assert (drawn.latents[:, 3:] == 0).all()


def test_hidden_cells_are_lit_as_often_as_those_of_good_showers() -> None:
    showers, scored, hidden = batch()
    seen, _ = stood_in(showers, scored, hidden, LIT_RATE, THRESHOLD)
    lit = (seen.cells[: N // 2, :3] > THRESHOLD).mean(axis=0)
    assert lit == pytest.approx([0.9, 0.5, 0.1], abs=0.02)
    assert (seen.cells[N // 2 :] == showers.cells[N // 2 :]).all()


def test_draws_depend_on_the_shower_alone() -> None:
    showers, scored, hidden = batch()
    _, together = stood_in(showers, scored, hidden, LIT_RATE, THRESHOLD)
    some = np.array([7, 3])
    _, alone = stood_in(showers[some], scored.rows(some), hidden[some], LIT_RATE, THRESHOLD)
    assert (alone.latents == together.latents[some]).all()


def test_nothing_hidden_is_nothing_done() -> None:
    showers, scored, hidden = batch()
    same = stood_in(showers, scored, np.zeros_like(hidden), LIT_RATE, THRESHOLD)
    assert same == (showers, scored)
