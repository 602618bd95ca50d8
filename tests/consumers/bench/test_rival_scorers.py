"""bench rivals: the same showers to all, and what is missing is said."""

import importlib.util

import numpy as np
import pytest
import tiny

from consumers.bench import rival_scorers
from consumers.wire.user_error import UserError


class ByEnergy:
    """Calls the more energetic shower the stranger one."""

    def __init__(self):
        self.seen = []

    def score(self, showers):
        self.seen.append(showers.cells.copy())
        return showers.cells.sum(axis=1).astype(np.float64)


def test_all_rivals_see_the_same_good_and_struck_showers():
    first, second = ByEnergy(), ByEnergy()
    good, made = tiny.showers("gamma_test", 60), tiny.artefact()
    told = rival_scorers.measure({"a": first, "b": second}, good, made, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(first.seen, second.seen, strict=True))
    assert np.array_equal(first.seen[0], good.cells)
    assert set(told["a"]["detection"]) == set(rival_scorers.FAULTS)
    assert told["a"]["detection"] == told["b"]["detection"]
    assert told["a"]["showers_per_cpu_s"] > 0


def test_more_energy_is_seen_by_what_looks_at_energy():
    told = rival_scorers.measure(
        {"energy": ByEnergy()}, tiny.showers("gamma_test", 60), tiny.artefact(), seed=1
    )
    found = told["energy"]["detection"]
    assert found["gain +10 %"]["auc"] > found["gain +5 %"]["auc"] > 0.5


@pytest.mark.slow
def test_ours_and_the_loop_by_hand_find_a_dead_core_cell():
    good, made = tiny.showers("gamma_test", 200), tiny.artefact()
    both = {"ours": rival_scorers._Ours(made), "by hand": rival_scorers._ByHand(made)}
    for of in rival_scorers.measure(both, good, made, seed=1).values():
        assert of["detection"]["dead core cell"]["auc"] > 0.7


def test_what_is_not_installed_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match="river and pyod are missing: pip install"):
        rival_scorers.run(None)
