"""Batches that unpack to too much, or not at all, become one record that says why."""

import gzip
import tracemalloc

import lz4.frame
import pytest
import snappy
import zstandard
from kafka import TopicPartition, codec
from kafka.record import MemoryRecords, MemoryRecordsBuilder

from consumers.kafka import unpacking
from consumers.kafka.log import record_of
from consumers.kafka.unpacking import MOST, UNREAD, BoundedRecords, TooMuchError

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
PACK = {
    "gunzip": gzip.compress,
    "unlz4": lz4.frame.compress,
    "unzstd": zstandard.ZstdCompressor().compress,
    "unsnappy": snappy.compress,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PACK)
def test_what_is_small_comes_back_and_what_is_a_bomb_costs_little(name):
    unpack = getattr(unpacking, name)
    assert unpack(PACK[name](b"showers" * 100)) == b"showers" * 100
    bomb = PACK[name](bytes(6 * MOST))
    tracemalloc.start()
    try:
        with pytest.raises(TooMuchError):
            unpack(bomb)
        assert tracemalloc.get_traced_memory()[1] < 3 * MOST
    finally:
        tracemalloc.stop()


def test_snappy_in_the_frames_of_javas_library_is_bounded_as_a_whole():
    assert unpacking.unsnappy(codec.snappy_encode(b"showers" * 10_000)) == b"showers" * 10_000
    block = snappy.compress(bytes(MOST // 2))
    framed = codec.snappy_encode(b"")[:16]
    framed += (len(block).to_bytes(4, "big") + block) * 3
    with pytest.raises(TooMuchError):
        unpacking.unsnappy(framed)


def batch(kind, *values, base=0):
    builder = MemoryRecordsBuilder(2, kind, 1 << 30, offset=base)
    for i, value in enumerate(values):
        builder.append(1_767_225_600_000 + i, b"k", value)
    builder.close()
    return bytes(builder.buffer())


def fetched(data, begin=0):
    """Return the records that a consumer gets, and where it goes on."""
    part = BoundedRecords(begin, TopicPartition("t", 0), MemoryRecords(data))
    found = part.take(100)
    return [record_of(r, "t") for r in found], part.next_fetch_offset


@pytest.mark.parametrize("kind", [GZIP, SNAPPY, LZ4, ZSTD])
def test_a_bomb_between_two_batches_is_one_record_that_says_why(kind, monkeypatch):
    monkeypatch.setattr(unpacking, "MOST", 10_000)
    small = batch(kind, b"a", b"b")
    data = small + batch(kind, bytes(20_000), b"x", b"y", base=2) + batch(kind, b"c", base=5)
    found, end = fetched(data)
    assert [r.value for r in found] == [b"a", b"b", None, b"c"]
    assert "unpacks to more than" in found[2].unread
    assert found[2].offset == 4
    assert end == 6
    assert [r.offset for r in fetched(data, 3)[0]] == [4, 5]  # also from the middle of it


def test_a_batch_that_is_no_batch_of_its_codec_is_one_too(monkeypatch):
    def broken(_):
        raise ValueError("not a frame")

    monkeypatch.setattr("kafka.record.default_records.zstd_decode", broken)
    found, end = fetched(batch(ZSTD, bytes(500), base=0) + batch(GZIP, bytes(500), base=1))
    assert [bool(r.unread) for r in found] == [True, False]
    assert end == 2
    assert UNREAD.startswith("calodqm.")


def test_a_batch_is_its_own_iterator_for_the_library_asks_the_next_of_one():
    wrapped = unpacking._Records(MemoryRecords(batch(ZSTD, b"a", b"b"))).next_batch()
    assert next(wrapped).value == b"a"
    assert [record.value for record in wrapped] == [b"b"]
