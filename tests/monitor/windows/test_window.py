"""Windows are a commutative group: what is added in any order can be taken out again exactly."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.scoring.scales import LEVELS, P_EDGES
from monitor.windows.window import Window, WindowKey, merge

K, S, B, D, V, L = 2, 2, len(P_EDGES) - 1, 3, 2, 1
KEY = WindowKey(1, 2, 3)


def window(regions: list[int], seed: int) -> Window:
    rng = np.random.default_rng(seed)
    r = len(regions)

    def some(*shape):
        return rng.integers(-5, 50, (r, *shape))

    bins = np.unique(rng.integers(0, 40, rng.integers(0, 8)))
    return Window(
        KEY, np.array(sorted(regions), np.int64), some(K), some(K, len(LEVELS)), some(S + 1, B),
        some(D), some(D), some(V), some(L), some(), some(), bins, rng.integers(1, 9, len(bins)),
    )  # fmt: skip


windows = st.builds(
    window, st.lists(st.integers(0, 6), max_size=4, unique=True), st.integers(0, 1000)
)


@given(windows, windows, windows)
@settings(max_examples=40)
def test_adding_is_associative_and_commutative(a, b, c):
    assert ((a + b) + c).same_counts(a + (b + c))
    assert (a + b).same_counts(b + a)


@given(windows, windows)
@settings(max_examples=40)
def test_subtracting_takes_out_exactly_what_was_added(a, b):
    assert ((a + b) - b).same_counts(a)
    assert ((a - b) + b).same_counts(a)


@given(windows, windows)
@settings(max_examples=40)
def test_a_window_differs_from_itself_with_something_more(a, b):
    something = any(getattr(b, name).any() for name in ("showers", "z_sum", "score_counts", "lit"))
    assert (a + b).same_counts(a) is not something or not something


@given(st.lists(windows, min_size=1, max_size=6), st.randoms())
@settings(max_examples=30)
def test_a_sum_does_not_depend_on_the_order(parts, random):
    shuffled = list(parts)
    random.shuffle(shuffled)
    assert merge(shuffled).same_counts(merge(parts))


def test_a_sum_over_nothing_keeps_empty_histograms_empty():
    a = window([1], 3)
    nothing = a - a
    assert len(nothing.score_bins) == 0
    assert nothing.n == 0
