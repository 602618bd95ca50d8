"""What producers count: a hole is lost data, a restart and a record that comes again are not."""

import itertools

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.score.producer_counts import MAX_COUNTED, ProducerCounts
from consumers.wire.block import Block
from models.showers.batch import Showers

SECOND = 10**9
START = 1_767_225_600 * SECOND
ONE = np.ones(1, np.int64)


def block(seq, at, producer="daq"):
    showers = Showers(np.ones((1, 2), np.float32), np.ones(1, np.float32))
    return Block(showers, ONE.astype(np.uint64), ONE * (START + at), ONE, ONE, ONE, producer, seq)


def told(records, counts=None):
    """Return what is missing before each of some (key, seq, time), moved to a new owner after each."""
    counts = counts or ProducerCounts()
    found = []
    for key, seq, at in records:
        found.append(counts.missing(block(seq, at), key))
        counts = ProducerCounts.from_json(orjson.loads(orjson.dumps(counts.to_json())))
    return found


@pytest.mark.slow
@given(st.lists(st.tuples(st.sampled_from([b"A", b"B", b"C", None]), st.booleans()), max_size=60))
def test_each_key_is_counted_by_itself_whatever_else_is_in_its_partition(sent):
    seqs = dict.fromkeys([b"A", b"B", b"C", None], 0)
    records, lost, pending = [], 0, dict.fromkeys(seqs, 0)
    for at, (key, arrives) in enumerate(sent):
        seq, seqs[key] = seqs[key], seqs[key] + 1
        if arrives:
            lost += pending[key] if any(k == key for k, *_ in records) else 0
            pending[key] = 0
            records.append((key, seq, at))
        else:
            pending[key] += 1
    assert sum(told(records)) == lost


def test_a_restart_from_0_is_no_loss_and_what_is_lost_after_it_is():
    assert told([(b"A", s, i) for i, s in enumerate([7, 8, 9, 0, 1, 3])]) == [0, 0, 0, 0, 0, 1]


def test_a_restart_whose_first_records_are_lost_shows_them():
    assert told([(b"A", s, i) for i, s in enumerate([7, 8, 2, 3])]) == [0, 0, 2, 0]


@pytest.mark.parametrize("again", [[2], [1, 2], [0, 1, 2], [0]])
def test_a_record_that_comes_again_is_neither_lost_nor_a_restart(again):
    records = [(b"A", s, s) for s in (0, 1, 2)] + [(b"A", s, s) for s in again]
    records += [(b"A", 3, 3), (b"A", 5, 5)]
    assert told(records) == [0] * (4 + len(again)) + [1]


def test_two_producers_of_one_key_do_not_meet():
    counts = ProducerCounts()
    for i, producer in itertools.product(range(5), ("a", "b")):
        assert counts.missing(block(i if producer == "a" else 100 * i, i, producer), b"A") == (
            99 if producer == "b" and i else 0
        )


@pytest.mark.parametrize(("producer", "seq"), [("", 3), ("daq", None), ("", None)])
def test_who_does_not_count_cannot_be_told(producer, seq):
    counts = ProducerCounts()
    assert counts.missing(block(seq, 0, producer), b"A") is None
    assert not counts.seen


def test_a_producer_that_makes_up_names_takes_no_memory_and_the_newest_stay():
    counts = ProducerCounts()
    for i in range(5 * MAX_COUNTED):
        counts.missing(block(0, i, f"p{i}"), b"k" * i)
        assert counts.missing(block(i, i, "good"), b"A") == 0
    assert len(counts.seen) == MAX_COUNTED
    assert len(orjson.dumps(counts.to_json())) < 64_000


def test_names_that_look_alike_are_kept_apart():
    counts = ProducerCounts()
    for producer, key in (('a","b', b""), ("a", b'b",'), ("a", None), ("a", b"null")):
        counts.missing(block(0, 0, producer), key)
    assert len(counts.seen) == 4


def test_what_another_version_kept_is_left_aside():
    values = {"p": 3, "q": [1], "r": ["1", 2], "s": [True, 2], "t": [-1, 2], "u": [1, 2]}
    assert list(ProducerCounts.from_json(values).seen) == ["u"]
