"""A batch of showers says where each of them is, if anybody knows."""

import numpy as np
import pytest

from models.showers.batch import Showers, ShowersError, concatenate


def batch(n: int, seeds: np.ndarray | None) -> Showers:
    return Showers(np.zeros((n, 4), np.float32), np.ones(n, np.float32), seeds=seeds)


def test_a_selection_keeps_the_seeds_of_its_showers() -> None:
    seeds = np.array([7, 8, 9], np.uint32)
    chosen = batch(3, seeds)[np.array([2, 0])]
    assert chosen.seeds is not None
    assert chosen.seeds.tolist() == [9, 7]
    assert batch(3, None)[slice(1)].seeds is None


def test_batches_together_have_seeds_if_all_have() -> None:
    both = concatenate([batch(1, np.array([5], np.uint32)), batch(1, np.array([6], np.uint32))])
    assert both.seeds is not None
    assert both.seeds.tolist() == [5, 6]
    assert concatenate([batch(1, np.array([5], np.uint32)), batch(1, None)]).seeds is None


@pytest.mark.parametrize("seeds", [np.array([1, 2], np.uint32), np.array([1], np.int64)])
def test_seeds_are_one_uint32_a_shower(seeds: np.ndarray) -> None:
    with pytest.raises(ShowersError, match="seeds must be 1 uint32"):
        batch(1, seeds)


def test_only_the_conditions_that_are_asked_for_are_kept() -> None:
    one = np.ones(3, np.float32)
    all_ = Showers(np.zeros((3, 2), np.float32), one, {"eta": one, "phi": 2 * one})
    kept = all_.only(["phi"])
    assert set(kept.conditions) == {"phi"}
    assert kept.cells is all_.cells
    with pytest.raises(KeyError):
        all_.only(["depth"])
