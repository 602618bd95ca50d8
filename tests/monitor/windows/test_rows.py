"""Counts of the regions that had showers add up to what those of all regions do."""

from dataclasses import fields

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from streams import Stream, expectation

from monitor.detector.places import Places
from monitor.reference.expectation import no_showers
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
