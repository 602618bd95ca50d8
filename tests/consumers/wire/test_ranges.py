"""The windows topic's records: what is said is read back, and damage is refused."""

from dataclasses import replace

import numpy as np
import orjson
import pytest
from memory import TINY
from spoken import FORM, entry, rewritten, saying, window, with_fields

from consumers.wire import ranges, window_form
from consumers.wire.block import DecodeError
from consumers.wire.ranges import Open, PersonSaid, Range
from consumers.wire.window_form import WindowForm
from monitor.judging.comparison import joint


def test_opens_and_words_come_back_as_they_went():
    assert ranges.header(ranges.encode_open(Open(3, "w"))) == Open(3, "w")
    opened = Open(3, "w", "showers", "5Jx", "calodqm")
    assert ranges.header(ranges.encode_open(opened)) == opened
    said = PersonSaid("record", {"type": "acknowledgement", "alarm": "a"})
    assert ranges.header(ranges.encode_said(said)) == said


def test_an_open_tells_the_release_before_what_it_reads_and_nothing_beside():
    opened = orjson.loads(ranges.encode_open(Open(3, "w", "showers", "5Jx", "calodqm")))
    # 0.1.0 refuses an open with another field in it, and with it all ranges under it.
    assert opened["open"] == {"partition": 3, "worker": "w"}


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
        window_form.encode_windows([], FORM),
        saying(begin=20, end=10),
        saying(token=-1),
        saying(watermark_ns="1"),
    ],
)
def test_what_is_no_record_of_the_windows_topic_is_refused(value):
    with pytest.raises(DecodeError):
        ranges.header(value)


def test_what_a_newer_worker_says_beside_is_ignored():
    sent = window(0, 0, [1, 4])
    value = ranges.encode_range(entry(), [sent], FORM)
    newer = rewritten(value, lambda m: with_fields(m, to_come={"a": 1}))
    assert ranges.header(newer) == entry()
    (back,) = window_form.windows(newer, FORM)
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
    value = ranges.encode_range(sent, [mine], FORM, window_form.encode_windows([its], other))
    head = ranges.header(value)
    assert replace(head, shadow_bytes=0) == sent
    parts = ranges.parts(value, head)
    assert window_form.windows(parts["m"], FORM)[0].same_counts(mine)
    assert window_form.windows(parts["s"], other)[0].same_counts(its)
    with pytest.raises(DecodeError):
        window_form.windows(value, FORM)
    with pytest.raises(DecodeError):
        ranges.parts(value[:10], head)


@pytest.mark.parametrize(
    "changes", [{"shadow_bytes": 5}, {"shadow": 3}, {"shadow": "s", "joint": [1, 2]}]
)
def test_a_shadow_that_cannot_be_is_refused(changes):
    value = rewritten(ranges.encode_range(entry(), [], FORM), lambda m: with_fields(m, **changes))
    with pytest.raises(DecodeError):
        ranges.header(value)


@pytest.mark.slow
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
                window_form.windows(bytes(damaged), FORM)
        except DecodeError:
            refused += 1
    assert refused > 1000
