"""The windows topic's records: what is said is read back, and damage is refused."""

from dataclasses import replace

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory import TINY
from spoken import FORM, entry, rewritten, saying, window, with_fields

from consumers.wire import ranges, strange
from consumers.wire.block import DecodeError
from consumers.wire.ranges import Open, PersonSaid, Range, WindowForm
from consumers.wire.strange import StrangeShower
from monitor.judging.comparison import joint


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.lists(st.integers(0, 65_535), min_size=1, max_size=4, unique=True).map(sorted),
        max_size=4,
    )
)
def test_windows_come_back_as_they_went(regions_of):
    sent = [window(i, i, regions) for i, regions in enumerate(regions_of)]
    value = ranges.encode_range(entry(), sent, FORM)
    assert ranges.header(value) == entry()
    back = ranges.windows(value, FORM)
    assert len(back) == len(sent)
    for a, b in zip(sent, back, strict=True):
        assert a.key == b.key
        assert a.same_counts(b)
        np.testing.assert_array_equal(a.score_bins, b.score_bins)


def test_opens_and_words_come_back_as_they_went():
    assert ranges.header(ranges.encode_open(Open(3, "w"))) == Open(3, "w")
    said = PersonSaid("record", {"type": "acknowledgement", "alarm": "a"})
    assert ranges.header(ranges.encode_said(said)) == said


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{}",
        b"{",
        b"[1]",
        b'{"open": {"partition": "1", "worker": "w"}}',
        b'{"open": {"partition": 1}}',
        b'{"open": 1}',
        b'{"said": {"what": 1, "body": {}}}',
        b"\xff\xff\xff\xff\0\0\0\0",
        b"\xff" * 100,
        ranges.encode_windows([], FORM),
        saying(begin=20, end=10),
        saying(token=-1),
        saying(watermark_ns="1"),
    ],
)
def test_what_is_no_record_of_the_windows_topic_is_refused(value):
    with pytest.raises(DecodeError):
        ranges.header(value)


def test_windows_of_another_model_are_refused():
    value = ranges.encode_range(entry(), [window(0, 0, [1])], FORM)
    with pytest.raises(DecodeError, match="showers is"):
        ranges.windows(value, WindowForm((4, 2, 8), TINY.n_cells, TINY.n_layers))


def test_what_a_newer_worker_says_beside_is_ignored():
    sent = window(0, 0, [1, 4])
    value = ranges.encode_range(entry(), [sent], FORM)
    newer = rewritten(value, lambda m: with_fields(m, to_come={"a": 1}))
    assert ranges.header(newer) == entry()
    (back,) = ranges.windows(newer, FORM)
    assert back.same_counts(sent)


def test_what_an_older_worker_does_not_say_has_its_default():
    def older(metadata):
        told = orjson.loads(metadata["calodqm.range"])
        for name in ("shadow", "shadow_bytes", "joint"):
            del told[name]
        return {**metadata, "calodqm.range": orjson.dumps(told).decode()}

    value = ranges.encode_range(entry(), [window(0, 0, [1])], FORM)
    assert ranges.header(rewritten(value, older)) == entry()


def test_windows_of_a_later_form_are_refused_in_words():
    value = ranges.encode_range(entry(), [window(0, 0, [1])], FORM)
    later = rewritten(value, lambda m: {**m, "calodqm.windows": "2"})
    with pytest.raises(DecodeError, match="form '2' of windows; this reads '1'"):
        ranges.header(later)


def test_a_shadow_travels_in_the_same_record():
    other = WindowForm((2, 3, 8), TINY.n_cells, TINY.n_layers)
    mine, its = window(0, 0, [1, 4]), window(1, 0, [1, 4], other)
    sums = tuple(joint(np.array([0.1]), np.array([0.2])).to_list())
    sent = entry(shadow="s", joint=sums)
    value = ranges.encode_range(sent, [mine], FORM, ranges.encode_windows([its], other))
    head = ranges.header(value)
    assert replace(head, shadow_bytes=0) == sent
    parts = ranges.parts(value, head)
    assert ranges.windows(parts["m"], FORM)[0].same_counts(mine)
    assert ranges.windows(parts["s"], other)[0].same_counts(its)
    with pytest.raises(DecodeError):
        ranges.windows(value, FORM)
    with pytest.raises(DecodeError):
        ranges.parts(value[:10], head)


@pytest.mark.parametrize(
    "changes", [{"shadow_bytes": 5}, {"shadow": 3}, {"shadow": "s", "joint": [1, 2]}]
)
def test_a_shadow_that_cannot_be_is_refused(changes):
    value = rewritten(ranges.encode_range(entry(), [], FORM), lambda m: with_fields(m, **changes))
    with pytest.raises(DecodeError):
        ranges.header(value)


def test_damaged_ranges_are_read_or_refused():
    rng = np.random.default_rng(5)
    value = ranges.encode_range(entry(), [window(0, 0, [1, 4]), window(1, 1, [2])], FORM)
    refused = 0
    for _ in range(3000):
        damaged = bytearray(value)
        for _ in range(int(rng.integers(1, 4))):
            damaged[int(rng.integers(len(damaged)))] = int(rng.integers(256))
        try:
            if isinstance(ranges.header(bytes(damaged)), Range):
                ranges.windows(bytes(damaged), FORM)
        except DecodeError:
            refused += 1
    assert refused > 1000


def test_strange_showers_come_back_as_they_went():
    rng = np.random.default_rng(0)
    sent = [
        StrangeShower(
            partition=1,
            offset=2,
            row=i,
            event_id=2**63 + i,
            time_ns=4,
            run=5,
            lumisection=6,
            region=7,
            e_inc=8.0,
            p=1e-5,
            p_scores=rng.random(2),
            cells=rng.random(TINY.n_cells).astype(np.float32),
            pull=rng.random(TINY.n_cells).astype(np.float32),
        )
        for i in range(3)
    ]
    value = strange.encode(sent, "t", ("a", "b"))
    for a, b in zip(sent, strange.decode(value, TINY), strict=True):
        np.testing.assert_array_equal(a.cells, b.cells)
        np.testing.assert_array_equal(a.pull, b.pull)
        assert (a.event_id, a.row, a.p) == (b.event_id, b.row, b.p)
    with pytest.raises(DecodeError):
        strange.decode(value[:-50], TINY)
