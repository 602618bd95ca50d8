"""Sums by channel: a commutative group, exact whatever the order, with the cost of what was hit."""

from dataclasses import fields

import numpy as np
import pytest
from channel_stream import Stream, barrel
from hypothesis import given
from hypothesis import strategies as st

from monitor.windows.channel_sums import NO_CHANNELS, ChannelSums, summed
from monitor.windows.channel_table import ChannelTable
from monitor.windows.lately import Lately

NAMES = [f.name for f in fields(ChannelSums)]
N = 8


@st.composite
def channel_sums(draw: st.DrawFn) -> ChannelSums:
    """Draw sums over few channels, so that they meet."""
    rows = draw(st.lists(st.tuples(*[st.integers(-50, 50)] * 6, st.integers(0, 3 * N - 1))))
    if not rows:
        return NO_CHANNELS
    *columns, key = np.array(rows, np.int64).T
    names = ["z", "z_square", "lit", "lit_expected", "energy", "layer"]
    return summed(key, dict(zip(names, columns, strict=True)), 3 * N)


def same(a: ChannelSums, b: ChannelSums) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in NAMES)


@pytest.mark.slow
@given(channel_sums(), channel_sums(), channel_sums())
def test_sums_add_in_any_order_and_grouping(a: ChannelSums, b: ChannelSums, c: ChannelSums) -> None:
    assert same((a + b) + c, (c + a) + b)
    assert same(a + b, b + a)


@pytest.mark.slow
@given(channel_sums(), channel_sums())
def test_what_was_added_can_be_taken_out_exactly(a: ChannelSums, b: ChannelSums) -> None:
    assert same(a + b - b, a)
    assert same(a + NO_CHANNELS, a)


@pytest.mark.slow
@given(channel_sums(), channel_sums())
def test_a_table_holds_the_same_sums(a: ChannelSums, b: ChannelSums) -> None:
    table = ChannelTable(N)
    table.add(a)
    table.add(b)
    assert same(table.sparse(), a + b)
    table.add(b, -1)
    assert same(table.sparse(), a)


@pytest.mark.slow
@given(channel_sums())
def test_a_table_is_the_same_after_its_state_is_restored(a: ChannelSums) -> None:
    table, other = ChannelTable(N), ChannelTable(N)
    table.add(a)
    other.restore(table.state())
    assert same(table.sparse(), other.sparse())


def test_only_channels_that_were_touched_have_a_row() -> None:
    stream = Stream(barrel((1, 4), (20, 20)), rate=3)
    found = stream.second()
    assert found.n <= found.showers.sum()
    assert found.n < 3 * 25 * 3 < len(stream.channels)


def test_a_channel_that_the_detector_does_not_have_is_left_out() -> None:
    table = ChannelTable(2)
    table.add(ChannelSums(*(np.array([3, 30], np.int64) for _ in NAMES)))
    assert table.n == 3


@pytest.mark.parametrize("seconds", [1, 10, 11, 25])
def test_what_is_looked_back_at_is_one_to_two_halves(seconds: int) -> None:
    lately = Lately(N, 10)
    for second in range(100, 100 + seconds):
        lately.add(second, summed(np.array([4]), {n: np.array([1]) for n in NAMES[2:]}, 3 * N))
    assert lately.start is not None
    covered = 100 + seconds - lately.start
    assert lately.table()["showers"].sum() == covered
    assert min(seconds, 10) <= covered <= 20
