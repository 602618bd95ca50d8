"""Counts of the regions that had showers add up to what those of all regions do."""

import copy
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import Stream, expectation

from monitor.detector.places import Places
from monitor.reference.expectation import no_showers
from monitor.reference.quarantine import Quarantine
from monitor.windows.rows import KeptRows, Rows, rows_of, together
from monitor.windows.step_history import StepHistory

PLACES = Places(Stream().detector)
NOTHING = no_showers(expectation(), 8)


def windows(silences):
    return [
        rows_of(Stream(rate=40, seed=seed, silent=silent).next(), PLACES)
        for seed, silent in enumerate(silences)
    ]


def same(one: Rows, other: Rows) -> bool:
    return all(np.array_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(Rows))


@given(st.lists(st.sets(st.integers(0, 7)), min_size=1, max_size=4))
def test_what_is_kept_adds_up_exactly(silences):
    rows = windows(silences)
    kept = [KeptRows.of(one) for one in rows]
    total = sum(rows, NOTHING)
    assert same(together(kept, NOTHING), total)
    merged = sum(kept[1:], kept[0])
    assert same(together([merged], NOTHING), total)
    assert merged.at.tolist() == np.flatnonzero(total.seen).tolist()
    assert not NOTHING.showers.any()


def test_a_region_without_showers_takes_no_room():
    [rows] = windows([set(range(1, 8))])
    assert [len(getattr(KeptRows.of(rows).counts, f.name)) for f in fields(Rows)] == [1] * 9


def test_a_history_of_seconds_in_which_few_had_showers_is_taken_up_again():
    memory, again = StepHistory(3, NOTHING), StepHistory(3, NOTHING)
    rows = windows([{0, 1}, set(range(8)), set(range(3, 8)), {5}, set()])
    for second, one in enumerate(rows):
        memory.add(second, one, new=True)
    again.restore(memory.state())
    for since in range(5):
        assert same(memory.since(since), again.since(since))
        assert same(memory.since(since), sum(rows[since:], NOTHING))
    assert same(memory.add(5, rows[0], new=True).rows, again.add(5, rows[0], new=True).rows)


def test_what_is_gathered_of_seconds_leaves_their_windows_as_they_were():
    memory, quarantine, nobody = StepHistory(3, NOTHING), Quarantine(), np.zeros(8, bool)
    came = [Stream(rate=40, seed=seed).next() for seed in range(5)]
    before = copy.deepcopy(came)
    for second, window in enumerate(came):
        rows = rows_of(window, PLACES)
        assert np.shares_memory(rows.z, window.z_sum)
        memory.add(second, rows, new=True)
        quarantine.add(second, rows, nobody, cut=None, barred=False)
    assert all(a.same_counts(b) for a, b in zip(came, before, strict=True))
    total = sum((rows_of(window, PLACES) for window in came), NOTHING)
    assert same(quarantine.since(0)[0].rows, total)
    assert not NOTHING.showers.any()


@pytest.mark.parametrize("size", [0, 1, 2**14, 2**15 - 1, 2**15, 2**30, 2**31 - 1, 2**31, 2**40])
@pytest.mark.parametrize("sign", [-1, 1])
def test_sums_are_right_where_the_types_of_what_is_kept_end(size, sign):
    [rows] = windows([set(range(1, 8))])
    rows = rows.copy()
    rows.z[0, :2], rows.layer_energy[0] = sign * size, size
    kept = KeptRows.of(rows)
    for total, times in ((kept + kept, 2), (kept + kept + kept, 3), (kept + (kept + kept), 3)):
        assert same(together([total], NOTHING), sum([rows] * times, NOTHING))
    assert kept.counts.lit.dtype == np.int16
