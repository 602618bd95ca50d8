"""Hostile payloads in Arrow: streams whose frames, types, schemas, batches or values cannot be."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from blocks import START_NS
from payloads import GOOD_METADATA, N, V, cells, columns, good, legacy, lists, stream
from pyarrow import ipc

from consumers.wire.arrow_stream import MAX_BATCHES
from consumers.wire.block import EARLIEST_NS, MAX_CONDITIONS, MAX_SHOWERS
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from collections.abc import Iterator

    Entries = Iterator[tuple[str, bytes | None, Rejection]]

R = Rejection


def frames() -> Entries:
    value = good()["arrow"]
    for length in (0, -1, -(2**31), 2**31 - 1, 1 << 20):
        changed = value[:4] + struct.pack("<i", length) + value[8:]
        yield f"frame: schema of {length} bytes", changed, R.CORRUPT
    yield (
        "frame: schema longer than the record",
        value[:4] + struct.pack("<i", 60000) + value[8:2000],
        R.TRUNCATED,
    )
    yield "frame: end mark alone", b"\xff\xff\xff\xff\0\0\0\0", R.CORRUPT
    yield "frame: schema header of zeros", value[:8] + bytes(len(value) - 8), R.CORRUPT
    yield "frame: schema header of ones", value[:8] + b"\xff" * (len(value) - 8), R.CORRUPT
    end = 8 + struct.unpack_from("<i", value, 4)[0]
    yield "frame: schema twice", value[:end] + value, R.CORRUPT
    yield "frame: batch before schema", value[end:], R.CORRUPT
    yield "frame: too many batches", stream(columns(1), batches=MAX_BATCHES + 1), R.OVERSIZE
    many = columns(MAX_SHOWERS // 2 + 1)
    yield "frame: batches beyond the bound", stream(many, compression="lz4", batches=2), R.OVERSIZE
    yield "frame: batch header of zeros", value[: end + 8] + bytes(len(value) - end - 8), R.CORRUPT
    yield (
        "frame: negative batch header",
        value[: end + 4] + b"\xfe\xff\xff\xff" + value[end + 8 :],
        R.CORRUPT,
    )
    yield "frame: another stream after the end", value + value, R.SCHEMA
    yield (
        "frame: a legacy schema alone",
        legacy()[: 4 + int.from_bytes(legacy()[:4], "little")],
        R.TRUNCATED,
    )
    yield "frame: text after the end", value + b"trailing", R.CORRUPT


def types() -> Entries:
    other = {
        "float64": pa.array([1.0] * N),
        "text": pa.array(["1"] * N),
        "binary": pa.array([b"1"] * N),
        "bool": pa.array([True] * N),
        "null": pa.nulls(N),
        "int8": pa.array([1] * N, pa.int8()),
        "decimal": pa.array([1] * N, pa.decimal128(5, 0)),
        "struct": pa.array([{"a": 1}] * N),
        "list": pa.array([[1.0]] * N, pa.list_(pa.float32())),
        "dictionary": pa.array(["a"] * N).dictionary_encode(),
    }
    numbers = {"float64", "int8", "decimal"}
    for column in columns():
        for name, array in other.items():
            if name not in numbers or column in {"time", "showers"}:
                reason = R.GEOMETRY if (column, name) == ("showers", "list") else R.SCHEMA
                yield f"type: {column} is {name}", stream({**columns(), column: array}), reason
    unzoned = columns()["time"].cast(pa.timestamp("ns"))
    yield "type: time without zone", stream({**columns(), "time": unzoned}), R.SCHEMA
    days = pa.array([20_000] * N, pa.date32())
    yield "type: time in days", stream({**columns(), "time": days}), R.SCHEMA
    nested = pa.FixedSizeListArray.from_arrays(cells(np.ones((2 * N, V), np.float32)), 2)
    for name, lost in {
        "region of 65536": ("region", pa.array([0, 1, 65536, 3], pa.int32())),
        "region of -1": ("region", pa.array([0, -1, 2, 3], pa.int16())),
        "region of 1.5": ("region", pa.array([0, 1.5, 2, 3])),
        "event of -1": ("event_id", pa.array([0, 1, 2, -1], pa.int64())),
        "run of 2**32": ("run", pa.array([2**32] * N, pa.uint64())),
        "lumisection of NaN": ("lumisection", pa.array([np.nan] * N)),
        "e_inc of 2**40 + 1": ("e_inc", pa.array([2**40 + 1] * N, pa.int64())),
        "cell of 1e300": ("showers", lists([[1e300] * V] * N, pa.float64())),
    }.items():
        yield f"lost: {name}", stream({**columns(), lost[0]: lost[1]}), R.VALUE
    far = pa.array([2**62] * N, pa.timestamp("s", "UTC"))
    yield "lost: time beyond ns", stream({**columns(), "time": far}), R.TIME
    for name, row in {"short": V - 1, "long": V + 1}.items():
        uneven = lists([[1.0] * V] * (N - 1) + [[1.0] * row], pa.float32())
        yield f"type: one {name} list", stream({**columns(), "showers": uneven}), R.GEOMETRY
    yield "type: showers nested", stream({**columns(), "showers": nested}), R.SCHEMA
    for size in (1, V - 1, V + 1, 2 * V):
        spoilt = cells(np.ones((N, size), np.float32))
        yield f"type: {size} cells", stream({**columns(), "showers": spoilt}), R.GEOMETRY
    for name in ("text", "null", "struct", "dictionary"):
        yield f"type: condition is {name}", stream({**columns(), "eta": other[name]}), R.SCHEMA


def schemas() -> Entries:
    for column in columns():
        rest = {name: array for name, array in columns().items() if name != column}
        yield f"schema: no {column}", stream(rest), R.SCHEMA
        twice = [*columns().items(), (column, columns()[column])]
        yield f"schema: {column} twice", stream(twice), R.SCHEMA
    number = pa.array([0.5] * N, pa.float32())
    many = {f"c{i}": number for i in range(MAX_CONDITIONS + 1)}
    yield "schema: too many conditions", stream({**columns(), **many}), R.SCHEMA
    yield "schema: a condition without name", stream({**columns(), "": number}), R.SCHEMA
    yield "schema: a condition with a long name", stream({**columns(), "c" * 65: number}), R.SCHEMA
    yield "schema: thousands of columns", stream({f"c{i}": number for i in range(5000)}), R.OVERSIZE
    yield "schema: no columns at all", stream([]), R.SCHEMA
    for version in ("0", "2", "01", " 1", "1.0", "", "one"):
        changed = {**GOOD_METADATA, "calodqm.schema": version}
        yield f"schema: version {version!r}", stream(columns(), changed), R.SCHEMA
    yield "schema: no metadata", stream(columns(), {}), R.SCHEMA
    for name in ("", "pb-lar-505", "PB-LAR-504", "pb-lar-504 ", "x" * 5000):
        changed = {**GOOD_METADATA, "calodqm.geometry": name}
        yield f"schema: geometry {name[:12]!r}", stream(columns(), changed), R.GEOMETRY
    no_geometry = {k: v for k, v in GOOD_METADATA.items() if k != "calodqm.geometry"}
    yield "schema: no geometry", stream(columns(), no_geometry), R.GEOMETRY
    for seq in ("-1", "1.5", "", "x", "9" * 19, "9" * 40, "0x10", "١"):
        changed = {**GOOD_METADATA, "calodqm.seq": seq}
        yield f"schema: seq {seq!r}", stream(columns(), changed), R.SCHEMA
    changed = {**GOOD_METADATA, "calodqm.producer": "p" * 65}
    yield "schema: long producer", stream(columns(), changed), R.SCHEMA
    binary = {**{k.encode(): v.encode() for k, v in GOOD_METADATA.items()}, b"x": b"\xff\xfe"}
    yield "schema: metadata that are not text", stream(columns(), binary), R.CORRUPT


def batches() -> Entries:  # noqa: C901 - a list, not logic
    yield "batch: no rows", stream(columns(0)), R.SCHEMA
    one_more = MAX_SHOWERS + 1
    bomb = {name: _repeat(array, one_more) for name, array in columns(1).items()}
    for codec in ("lz4", "zstd"):
        yield f"batch: a {codec} bomb", stream(bomb, compression=codec), R.OVERSIZE
    value = good()["arrow"]
    yield "batch: claims 0 rows", _with_rows(value, 0), R.SCHEMA
    for rows in (-1, -(2**63)):
        yield f"batch: claims {rows} rows", _with_rows(value, rows), R.CORRUPT
    for rows in (MAX_SHOWERS + 1, 10**9, 2**40, 2**63 - 1):
        yield f"batch: claims {rows} rows", _with_rows(value, rows), R.OVERSIZE
    for rows in (3, 5, 1000):
        yield f"batch: claims {rows} rows, has 4", _with_rows(value, rows), R.CORRUPT
    packed = good()["arrow lz4"]
    for size in (-2, -(2**62)):
        yield f"batch: a buffer that expands to {size}", _with_expansion(packed, size), R.CORRUPT
    for size in (2**31, 2**40, 2**62):
        yield f"batch: a buffer that expands to {size}", _with_expansion(packed, size), R.OVERSIZE
    for size in (0, 1, 31, 33, 2**20):
        yield f"batch: a buffer that expands to {size}", _with_expansion(packed, size), R.CORRUPT
    for offset, length in ((0, 2**40), (2**40, 8), (-8, 8), (0, -1), (2**62, 2**62)):
        yield (
            f"batch: a buffer at {offset} of {length}",
            _with_buffer(value, offset, length),
            R.TRUNCATED,
        )
    unmarked = packed.replace(b"\x04\x22\x4d\x18", b"\0\0\0\0")
    yield "batch: lz4 without its frame mark", unmarked, R.CORRUPT
    yield "batch: a table of another kind", _tensor(), R.CORRUPT


def _repeat(array: Any, n: int) -> Any:
    if pa.types.is_fixed_size_list(array.type):
        return cells(np.zeros((n, V), np.float32))
    return pa.array(np.repeat(array.to_numpy(zero_copy_only=False), n), array.type)


def _batch_start(value: bytes) -> int:
    return 8 + int(struct.unpack_from("<i", value, 4)[0])


def _with_rows(value: bytes, rows: int) -> bytes:
    """Return a stream whose batch header and first field node claim other rows."""
    start = _batch_start(value)
    end = start + 8 + struct.unpack_from("<i", value, start + 4)[0]
    header = value[start:end]
    at = header.index(struct.pack("<q", N))
    # Written by Arrow's own library: the length of the batch is the last of these counts.
    places = []
    while at >= 0:
        places.append(at)
        at = header.find(struct.pack("<q", N), at + 8)
    changed = bytearray(header)
    for place in places:
        changed[place : place + 8] = struct.pack("<q", rows)
    return value[:start] + bytes(changed) + value[end:]


def _with_expansion(value: bytes, size: int) -> bytes:
    """Return a stream whose first compressed buffer claims to expand to `size` bytes."""
    start = _batch_start(value)
    body = start + 8 + struct.unpack_from("<i", value, start + 4)[0]
    at = value.index(struct.pack("<q", 8 * N), body)
    return value[:at] + struct.pack("<q", size) + value[at + 8 :]


def _with_buffer(value: bytes, offset: int, length: int) -> bytes:
    """Return a stream whose first filled buffer claims to lie elsewhere in the body."""
    start = _batch_start(value)
    at = value.index(struct.pack("<qq", 0, 8 * N), start)
    return value[:at] + struct.pack("<qq", offset, length) + value[at + 16 :]


def _tensor() -> bytes:
    sink = pa.BufferOutputStream()
    ipc.write_tensor(pa.Tensor.from_numpy(np.ones((4, 4))), sink)
    return bytes(sink.getvalue().to_pybytes())


def values() -> Entries:
    for column, array in columns().items():
        kept = pa.array([i != 1 for i in range(N)])
        spoilt = pc.if_else(kept, array, pa.scalar(None, array.type))
        yield f"value: a null in {column}", stream({**columns(), column: spoilt}), R.VALUE
    inner = pa.array([None, *[1.0] * (N * V - 1)], pa.float32())
    spoilt = pa.FixedSizeListArray.from_arrays(inner, V)
    yield "value: a null cell", stream({**columns(), "showers": spoilt}), R.VALUE
    for number in (np.nan, np.inf, -np.inf, 1.1e9, -1.1e9, 3e38):
        energies = np.ones((N, V), np.float32)
        energies[2, 100] = number
        changed = {**columns(), "showers": cells(energies)}
        yield f"value: a cell of {number}", stream(changed), R.VALUE
        yield f"value: a cell of {number}, lz4", stream(changed, compression="lz4"), R.VALUE
    for number in (0.0, -1.0, np.inf, -np.inf, 1.1e9):
        changed = {**columns(), "e_inc": pa.array([5e3, number, 5e3, 5e3], pa.float32())}
        yield f"value: e_inc of {number}", stream(changed), R.VALUE
    for number in (np.nan, np.inf):
        changed = {**columns(), "eta": pa.array([0, 0, 0, number], pa.float32())}
        yield f"value: a condition of {number}", stream(changed), R.VALUE
    for name, moment in {
        "before 1970": -1,
        "the least": -(2**63) + 1,
        "beyond 2116": 2**62 + 1,
        "the greatest": 2**63 - 1,
        "an hour away": START_NS + 3600 * 10**9,
        "in seconds, not ns": START_NS // 10**9,
        "a ns before 2000": EARLIEST_NS - 1,
    }.items():
        times = pa.array([START_NS] * (N - 1) + [moment], pa.timestamp("ns", "UTC"))
        yield f"value: time {name}", stream({**columns(), "time": times}), R.TIME
