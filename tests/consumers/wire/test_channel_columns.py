"""Sums by channel on the windows topic: read back as they went, absent where there are none."""

from dataclasses import fields, replace

import numpy as np
import pyarrow as pa
import pytest
from channel_stream import Stream, barrel
from spoken import FORM, entry, window

from consumers.wire import channel_columns, ranges, window_form
from consumers.wire.block import DecodeError
from monitor.windows.channel_sums import ChannelSums

STREAM = Stream(barrel(), rate=50)
NAMES = [f.name for f in fields(ChannelSums)]


def with_channels(seed, second, regions):
    return replace(window(seed, second, regions), channels=STREAM.second())


def changed(value, change):
    """Return a range with one of its columns changed by a worker that is wrong."""
    reader = pa.ipc.open_stream(value)
    (batch,) = list(reader)
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    change(columns)
    schema = pa.schema(
        [(name, column.type) for name, column in columns.items()], reader.schema.metadata
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(list(columns.values()), schema=schema))
    return sink.getvalue().to_pybytes()


def test_sums_by_channel_come_back_as_they_went():
    sent = [with_channels(0, 0, [1, 4]), window(1, 1, [2]), with_channels(2, 2, [0, 1, 2])]
    back = window_form.windows(ranges.encode_range(entry(), sent, FORM), FORM)
    for a, b in zip(sent, back, strict=True):
        assert a.same_counts(b)
        for name in NAMES:
            np.testing.assert_array_equal(getattr(a.channels, name), getattr(b.channels, name))


def test_a_range_without_them_is_the_same_as_before_there_were_any():
    sent = [window(0, 0, [1, 4])]
    value = ranges.encode_range(entry(), sent, FORM)
    assert "channel_key" not in pa.ipc.open_stream(value).schema.names
    assert window_form.windows(value, FORM)[0].channels.n == 0


def test_a_range_of_both_models_carries_them_for_both():
    primary, shadow = with_channels(0, 0, [1]), with_channels(1, 0, [1])
    beside = window_form.encode_windows([shadow], FORM)
    said = entry(shadow="s", shadow_bytes=len(beside))
    parts = ranges.parts(ranges.encode_range(said, [primary], FORM, beside), said)
    assert window_form.windows(parts["s"], FORM)[0].same_counts(shadow)


def test_one_row_costs_some_bytes_only():
    many = Stream(barrel((1, 4), (20, 20)), rate=1000).second()
    bare = window(0, 0, [1])
    small, large = (
        len(window_form.encode_windows([w], FORM)) for w in (bare, replace(bare, channels=many))
    )
    assert (large - small) / many.n < channel_columns.LIMIT_BYTES


def _lists(offsets, values):
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values))


HOSTILE = {
    "falling channels": ("channel_key", _lists([0, 3], [4, -1, 2]), "do not rise"),
    "a channel twice": ("channel_key", _lists([0, 3], [4, 0, 2]), "do not rise"),
    "a channel that can be none": ("channel_key", _lists([0, 3], [4, 2**40, 2]), "do not rise"),
    "lists of other lengths": ("channel_z", _lists([0, 2], [1, 1]), "not alike"),
    "sums of layers beside cores": ("channel_layer", _lists([0, 2], [1, 1]), "not of the cores"),
    "a negative count": ("channel_showers", _lists([0, 3], [1, -1, 1]), "what no sum can be"),
    "a sum without bound": ("channel_z", _lists([0, 3], [1, 2**60, 1]), "what no sum can be"),
    "texts": ("channel_lit", _lists([0, 3], ["a", "b", "c"]), "channel_lit is list<"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_cannot_be_is_refused(name):
    column, wrong, words = HOSTILE[name]
    three = ChannelSums(np.array([1, 3, 8]), *(np.ones(3, np.int64) for _ in NAMES[1:]))
    sent = replace(window(0, 0, [1]), channels=three)
    value = ranges.encode_range(entry(), [sent], FORM)
    with pytest.raises(DecodeError, match=words):
        window_form.windows(changed(value, lambda columns: columns.update({column: wrong})), FORM)


def test_a_range_that_lacks_one_of_the_columns_is_refused():
    value = ranges.encode_range(entry(), [with_channels(0, 0, [1])], FORM)
    with pytest.raises(DecodeError, match="columns"):
        window_form.windows(changed(value, lambda columns: columns.pop("channel_lit")), FORM)
