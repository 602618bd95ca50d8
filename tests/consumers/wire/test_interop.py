"""Streams that other implementations of Arrow wrote, and the habits of their libraries.

`interop` holds four showers a file, written by arrow-go, Arrow Java and apache-arrow (JavaScript):
shower i has event 1000 + i, region i, e_inc 1000 + 300 i MeV, and its cells by the formula below.
"""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from blocks import GEOMETRY, START_NS
from payloads import GOOD_METADATA, N, V, cells, columns, habits, json_bytes, stream

from consumers.wire.block import DecodeError, Expected
from consumers.wire.codec import decode
from monitor.quality.rejection import Rejection

FILES = Path(__file__).parent / "interop"
T0_NS = 1_795_659_751_389_000_000
TAKEN = (
    "go_sliced_lz4", "go_split2", "go_empty_first", "java_legacy_v4", "java_all_signed",
    "java_cells_list", "js_legacy", "js_float64",
)  # fmt: skip
REFUSED = {
    "go_null_cell": (Rejection.VALUE, "showers is null in row 3, cell 5"),
    "js_no_metadata": (Rejection.SCHEMA, "no calodqm.schema in the stream's schema metadata"),
    "js_builder_zstd": (Rejection.CORRUPT, "JavaScript must send them uncompressed"),
}


def test_every_file_is_looked_at():
    assert {path.stem for path in FILES.iterdir()} == {*TAKEN, *REFUSED}


@pytest.mark.parametrize("name", TAKEN)
def test_what_another_library_wrote_is_taken_to_the_bit(name):
    block = decode((FILES / f"{name}.arrow").read_bytes(), GEOMETRY)
    i = np.arange(4)
    cell = ((np.arange(4 * 504) * 7919) % 4001 + 1).reshape(4, 504) / 64
    np.testing.assert_array_equal(block.showers.cells, cell.astype(np.float32))
    np.testing.assert_array_equal(block.showers.e_inc, (1000 + 300 * i).astype(np.float32))
    np.testing.assert_array_equal(block.event_id, 1000 + i)
    np.testing.assert_array_equal(block.region, i)
    np.testing.assert_array_equal(block.time_ns, T0_NS + i * 1_000_000)
    assert set(block.run) == {7}
    assert set(block.lumisection) == {3}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_taken_says_what_to_mend(name):
    reason, text = REFUSED[name]
    with pytest.raises(DecodeError, match=re.escape(text)) as refused:
        decode((FILES / f"{name}.arrow").read_bytes(), GEOMETRY)
    assert refused.value.reason is reason


@pytest.mark.parametrize("name", habits())
def test_what_a_safe_cast_turns_into_the_contract_is_taken(name):
    block = decode(habits()[name], GEOMETRY)
    n = 2 * N if name == "two batches" else N
    assert block.showers.cells.dtype == np.float32
    assert block.showers.cells.flags.aligned
    np.testing.assert_array_equal(block.showers.cells, np.ones((n, V)))
    np.testing.assert_array_equal(block.region, np.arange(n) % N)
    np.testing.assert_array_equal(block.event_id, np.arange(n) % N)
    assert set(block.time_ns // 1000 * 1000) == {START_NS}
    assert set(block.showers.e_inc.tolist()) == {100.0 if name == "int8" else 5e3}


def test_a_stamp_is_an_instant_whatever_its_zone():
    stamp = pa.array([START_NS + 1] * N, pa.timestamp("ns", "Asia/Tokyo"))
    assert set(decode(stream({**columns(), "time": stamp}), GEOMETRY).time_ns) == {START_NS + 1}


def test_all_that_is_wrong_is_said_at_once():
    energies = np.ones((N, V), np.float32)
    energies[2, 100] = np.nan
    spoilt = {
        **columns(),
        "region": pa.array([0, 1, 70_000, 3], pa.int32()),
        "e_inc": pa.array([5e3, None, 5e3, 5e3]),
        "run": pa.array(["1"] * N),
        "time": pa.array([START_NS // 10**6] * N, pa.timestamp("ns", "UTC")),
        "showers": cells(energies),
        "event_id": pa.array([1.0, 2.0, 3.5, 4.0]),
    }
    metadata = {**GOOD_METADATA, "calodqm.seq": "1.0", "calodqm.geometry": "atlas"}
    with pytest.raises(DecodeError) as refused:
        decode(stream(spoilt, metadata), GEOMETRY, expected=Expected(conditions=("eta",)))
    assert refused.value.reason is Rejection.SCHEMA
    said = set(refused.value.faults)
    assert said == {
        "geometry 'atlas', 'pb-lar-504' is wanted",
        "run is string, uint32 is wanted",
        "event_id is 3.5 (float64) in row 2: uint64 is wanted",
        "region is 70000 (int32) in row 2: uint16 is wanted",
        "e_inc is null in row 1: NaN says unknown",
        "seq is '1.0', a whole number is wanted",
        "no column eta: the model needs it",
        "showers is nan in row 2, cell 100: a finite energy within 1e+09 MeV is wanted",
        (
            "time is 1970-01-01T00:29:27.225600Z in row 0, before 2000-01-01T00:00:00Z: 1767225600000 "
            "looks like milliseconds (2026-01-01T00:00:00Z), ns are wanted"
        ),
    }


def test_all_that_is_wrong_with_json_is_said_at_once():
    text = json_bytes(geometry="atlas", seq="1", region=[0, 70_000], run=[1], e_inc=[-1, 5])
    with pytest.raises(DecodeError) as refused:
        decode(text, GEOMETRY)
    assert set(refused.value.faults) == {
        "geometry 'atlas', 'pb-lar-504' is wanted",
        "seq is '1', a whole number is wanted",
        "region is 70000 in row 1: a whole number below 2^16 is wanted",
        "run has 1 values, showers has 2",
        "e_inc is -1 in row 0: an energy in (0, 1e+09] MeV is wanted, or NaN for unknown",
    }


@pytest.mark.parametrize(
    ("unit", "factor"), [("seconds", 10**9), ("milliseconds", 10**6), ("microseconds", 10**3)]
)
def test_a_time_in_another_unit_is_refused_by_its_name(unit, factor):
    wrong = pa.array([START_NS // factor] * N, pa.timestamp("ns", "UTC"))
    for value in (
        stream({**columns(), "time": wrong}),
        json_bytes(time=[START_NS // factor] * 2),
    ):
        with pytest.raises(DecodeError, match=f"looks like {unit}") as refused:
            decode(value, GEOMETRY)
        assert refused.value.reason is Rejection.TIME


def test_the_earliest_time_that_can_be_is_a_setting():
    value = stream(columns())
    assert decode(value, GEOMETRY, expected=Expected(earliest_ns=START_NS)).showers.n == N
    with pytest.raises(DecodeError, match=r"before 2026-01-01T00:00:00\.000001Z"):
        decode(value, GEOMETRY, expected=Expected(earliest_ns=START_NS + 1000))


def test_a_region_that_the_detector_has_not_is_named_with_its_row():
    with pytest.raises(DecodeError, match="region is 3 in row 3") as refused:
        decode(stream(columns()), GEOMETRY, expected=Expected(regions=frozenset({0, 1, 2})))
    assert refused.value.reason is Rejection.REGION


def test_many_faults_are_told_within_bounds():
    extra = {f"c{i}": pa.array(["x"] * N) for i in range(60)}
    with pytest.raises(DecodeError, match="and 49 more") as refused:
        decode(stream({**columns(), **extra}), GEOMETRY)
    assert len(refused.value.detail) < 2000


def test_a_stream_compressed_as_before_arrow_1_is_refused():
    # Message.custom_metadata of a V4 batch once said how its buffers are compressed.
    options = pa.ipc.IpcWriteOptions(metadata_version=pa.ipc.MetadataVersion.V4)
    plain = columns()
    schema = pa.schema([(n, a.type) for n, a in plain.items()], metadata=GOOD_METADATA)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema, options=options) as writer:
        batch = pa.RecordBatch.from_arrays(list(plain.values()), schema=schema)
        writer.write_batch(batch, custom_metadata={"ARROW:experimental_compression": "LZ4_FRAME"})
    with pytest.raises(DecodeError, match=r"before Arrow 1\.0"):
        decode(sink.getvalue().to_pybytes(), GEOMETRY)
