"""Two places show one fault, or surely two, by how their latents have moved."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.alarms.likeness import unlike
from monitor.alarms.symptoms import Symptoms
from monitor.sequential.rates import Test

V, D = 60, 63
CALM = np.zeros(V)


def shown(
    shift: dict[int, float],
    spread: dict[int, float] | None = None,
    n: float = 400,
    rng: np.random.Generator | None = None,
    **changes,
) -> Symptoms:
    """Return the symptoms of latents that moved by so much, as so many showers show them."""
    moved, wide = np.zeros(D), np.ones(D)
    for latent, by in shift.items():
        moved[latent] = by
    for latent, by in (spread or {}).items():
        wide[latent] = by
    if rng is not None:
        moved, wide = moved + rng.normal(0, n**-0.5, D), wide * rng.chisquare(n, D) / n
    fields = {
        "test": Test.EXCEEDANCES,
        "showers": n,
        "shift": moved,
        "shift_error": np.full(D, n**-0.5),
        "spread": wide,
        "spread_error": np.full(D, (2 / n) ** 0.5),
        "lit": CALM,
        "lit_expected": CALM,
        "listed": np.zeros(V, bool),
        "rate": 10.0,
        "share": 0.1,
        "n_regions": 1,
        "unscored": 0.0,
    }
    return Symptoms(**(fields | changes))


FAULTS = {
    "gain": ({V: 1.5}, {}),
    "dead": ({7: -3.0}, {7: 0.05, 8: 1.5}),
    "noise": ({}, dict.fromkeys(range(20), 2.0)),
    "pedestal": (dict.fromkeys(range(20), 0.6), {}),
}


@pytest.mark.parametrize("one", FAULTS)
@pytest.mark.parametrize("other", FAULTS)
@pytest.mark.parametrize("n", [(400, 400), (60, 4000)])
def test_two_faults_are_told_apart_and_one_is_one(one, other, n):
    rng = np.random.default_rng(3)
    a, b = shown(*FAULTS[one], n[0], rng), shown(*FAULTS[other], n[1], rng)
    assert unlike(a, b) is unlike(b, a) is (one != other)


def test_a_fault_that_grows_from_region_to_region_is_one():
    rng = np.random.default_rng(4)
    assert not unlike(shown({V: 0.5}, rng=rng), shown({V: 2.0}, rng=rng))
    assert unlike(shown({V: 0.5}, rng=rng), shown({V: -2.0}, rng=rng))


def test_what_is_faint_is_of_another_fault_only_beside_a_clear_one():
    beside_faint, beside_clear = 0, 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        faint = shown({V: 0.15}, rng=rng)
        beside_faint += unlike(faint, shown({3: 0.1}, rng=rng))
        beside_clear += unlike(faint, shown({3: 2.0}, rng=rng))
    assert beside_faint <= 1
    assert beside_clear >= 180


@pytest.mark.parametrize(
    ("by", "n"), [(0.1, (20_000, 1000)), (0.3, (900, 222)), (0.3, (4000, 100))]
)
def test_what_would_not_show_yet_is_no_sign_of_another_fault(by, n):
    apart = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        apart += unlike(shown({V: by}, n=n[0], rng=rng), shown({V: by}, n=n[1], rng=rng))
    assert apart <= 1
    assert not unlike(shown({V: by}, n=n[0]), shown({}, n=1.0))


def test_showers_without_a_score_are_a_fault_of_their_own_unless_both_have_them():
    dead = shown({7: -3.0})
    mute = shown({}, n=1.0, test=Test.UNSCORED, unscored=1.0)
    assert unlike(dead, mute)
    assert unlike(mute, dead)
    assert not unlike(mute, mute)
    both = shown({7: -3.0}, unscored=0.5)
    assert not unlike(both, shown({7: -3.0}, test=Test.UNSCORED, unscored=0.4))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.02, 1), st.sampled_from([40, 300, 3000]))
def test_one_fault_is_never_called_two(seed, strength, n):
    rng = np.random.default_rng(seed)
    chosen = rng.choice(D, rng.integers(1, 12), replace=False)
    shift = {
        int(at): float(by) for at, by in zip(chosen, rng.normal(0, 2, len(chosen)), strict=True)
    }
    weaker = {at: by * strength for at, by in shift.items()}
    crosses = n * sum(by**2 for by in weaker.values()) > 2 * 40  # nats: only then it is asked
    if crosses:
        assert not unlike(shown(shift, n=n, rng=rng), shown(weaker, n=n, rng=rng))
