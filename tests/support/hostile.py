"""Hostile payloads by name, each with the reason for which it must be rejected."""

from __future__ import annotations

import gzip
import json
import pickle
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from blocks import GEOMETRY, START_NS, block
from pyarrow import ipc

from consumers.wire.arrow_form import encode
from consumers.wire.arrow_stream import MAX_BATCHES
from consumers.wire.block import EARLIEST_NS, MAX_CONDITIONS, MAX_SHOWERS
from consumers.wire.codec import MAX_BYTES
from consumers.wire.json_form import MAX_JSON_BYTES
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from collections.abc import Iterator

    Entries = Iterator[tuple[str, bytes | None, Rejection]]

R = Rejection
V = GEOMETRY.n_cells
N = 4
GOOD_METADATA = {
    "calodqm.schema": "1",
    "calodqm.geometry": GEOMETRY.name,
    "calodqm.producer": "tests",
    "calodqm.seq": "0",
}


class Payload(NamedTuple):
    """Bytes and the one right answer to them."""

    name: str
    value: bytes | None
    reason: R


def columns(n: int = N) -> dict[str, Any]:
    """Return the columns of a good batch, to be spoilt."""
    return {
        "event_id": pa.array(range(n), pa.uint64()),
        "time": pa.array([START_NS + i for i in range(n)], pa.timestamp("ns", "UTC")),
        "run": pa.array([1] * n, pa.uint32()),
        "lumisection": pa.array([1] * n, pa.uint32()),
        "region": pa.array([i % 16 for i in range(n)], pa.uint16()),
        "e_inc": pa.array([5e3] * n, pa.float32()),
        "showers": cells(np.ones((n, V), np.float32)),
    }


def cells(values: np.ndarray[Any, Any]) -> Any:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def stream(
    batch_columns: dict[str, Any] | list[tuple[str, Any]],
    metadata: dict[Any, Any] | None = None,
    *,
    compression: str | None = None,
    batches: int = 1,
    options: Any = None,
) -> bytes:
    """Return an Arrow stream of anything; columns as pairs may repeat a name."""
    pairs = list(batch_columns.items()) if isinstance(batch_columns, dict) else batch_columns
    schema = pa.schema(
        [pa.field(name, array.type) for name, array in pairs],
        metadata=GOOD_METADATA if metadata is None else metadata,
    )
    batch = pa.RecordBatch.from_arrays([array for _, array in pairs], schema=schema)
    sink = pa.BufferOutputStream()
    options = options or ipc.IpcWriteOptions(compression=compression)
    with ipc.new_stream(sink, schema, options=options) as writer:
        for _ in range(batches):
            writer.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())


def good() -> dict[str, bytes]:
    """Return payloads that must decode, by name."""
    plain = block(N)
    return {
        "arrow": encode(plain, GEOMETRY, compression=None),
        "arrow lz4": encode(plain, GEOMETRY, compression="lz4"),
        "arrow zstd": encode(plain, GEOMETRY, compression="zstd"),
        "arrow with a condition": stream({**columns(), "eta": pa.array([0.5] * N, pa.float32())}),
        "arrow with columns in another order": stream(dict(reversed(columns().items()))),
        "arrow without the end mark": encode(plain, GEOMETRY, compression=None)[:-8],
        "json": json_bytes(),
        "json of one shower": json_bytes(
            event_id=1,
            time="2026-01-01T00:00:00Z",
            run=1,
            lumisection=1,
            region=2,
            e_inc=None,
            showers=[1.0] * V,
        ),
    }


def _lists(rows: list[list[float]], kind: Any) -> Any:
    return pa.array(rows, pa.list_(kind))


def _legacy() -> bytes:
    return stream(columns(), options=ipc.IpcWriteOptions(use_legacy_format=True))


def habits() -> dict[str, bytes]:
    """Return payloads of other libraries' habits, which must decode to what `columns` holds."""
    plain = columns()
    showers = [[1.0] * V] * N

    def with_(**changed: Any) -> bytes:
        return stream({**plain, **changed})

    def time(unit: str, zone: str) -> bytes:
        instants = plain["time"].cast(pa.int64()).to_numpy() // 10**9 * 10**9
        return with_(
            time=pa.array(instants, pa.timestamp("ns", "UTC")).cast(pa.timestamp(unit, zone))
        )

    signed = {
        "event_id": pa.int64(),
        "run": pa.int32(),
        "lumisection": pa.int32(),
        "region": pa.int16(),
    }
    found = {
        "signed": with_(**{name: plain[name].cast(kind) for name, kind in signed.items()}),
        "float64": with_(**{name: plain[name].cast(pa.float64()) for name in (*signed, "e_inc")}),
        "int8": with_(run=pa.array([1] * N, pa.int8()), e_inc=pa.array([100] * N, pa.int8())),
        "decimal": with_(e_inc=pa.array([5000] * N, pa.decimal128(7, 2))),
        "cells in float64": with_(showers=pa.array(showers, pa.list_(pa.float64(), V))),
        "cells in a list": with_(showers=_lists(showers, pa.float32())),
        "cells in a list of float64": with_(showers=_lists(showers, pa.float64())),
        "cells in a large list": with_(showers=pa.array(showers, pa.large_list(pa.float32()))),
        "two batches": stream(columns(), batches=2),
        "an empty batch first": _batches_of([columns(0), columns()]),
        "legacy": _legacy(),
        "legacy of V4": stream(
            columns(),
            options=ipc.IpcWriteOptions(
                use_legacy_format=True, metadata_version=ipc.MetadataVersion.V4
            ),
        ),
    }
    for zone in ("utc", "Z", "Etc/UTC", "+00:00", "Europe/Zurich", "-07:00", "nowhere"):
        found[f"time in {zone}"] = time("ns", zone)
    for unit in ("us", "ms", "s"):
        found[f"time in {unit}"] = time(unit, "UTC")
    return found


def _batches_of(parts: list[dict[str, Any]]) -> bytes:
    schema = pa.schema([(n, a.type) for n, a in parts[0].items()], metadata=GOOD_METADATA)
    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, schema) as writer:
        for part in parts:
            writer.write_batch(pa.RecordBatch.from_arrays(list(part.values()), schema=schema))
    return bytes(sink.getvalue().to_pybytes())


def json_bytes(**changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "schema": 1,
        "geometry": GEOMETRY.name,
        "producer": "prompt",
        "seq": 0,
        "event_id": [1, 2],
        "time": [START_NS, START_NS + 1],
        "run": [1, 1],
        "lumisection": [1, 1],
        "region": [0, 1],
        "e_inc": [5e3, None],
        "showers": [[1.0] * V, [0.5] * V],
    }
    fields.update(changes)
    return json.dumps({k: v for k, v in fields.items() if v is not DROP}).encode()


DROP = object()


def corpus() -> list[Payload]:
    """Return every named payload; names are distinct."""
    parts = (_formats, _cuts, _frames, _types, _schemas, _batches, _values, _json)
    payloads = [Payload(*entry) for part in parts for entry in part()]
    names = [payload.name for payload in payloads]
    assert len(set(names)) == len(names)
    return payloads


def _formats() -> Entries:
    yield "tombstone", None, R.EMPTY
    yield "no bytes", b"", R.EMPTY
    others = {
        "one zero": b"\0",
        "zeros": bytes(4096),
        "text": b"hello",
        "newline": b"\n",
        "spaces only": b" " * 100,
        "xml": b"<?xml version='1.0'?><showers/>",
        "html": b"<!DOCTYPE html>",
        "http request": b"GET / HTTP/1.1\r\n\r\n",
        "csv": b"event_id,time\n1,2\n",
        "yaml": b"schema: 1\n",
        "png": b"\x89PNG\r\n\x1a\n" + bytes(64),
        "gzip of a good one": gzip.compress(json_bytes(), mtime=0),
        "zstd frame": b"\x28\xb5\x2f\xfd" + bytes(16),
        "lz4 frame": b"\x04\x22\x4d\x18" + bytes(16),
        "pickle": pickle.dumps({"showers": [1.0]}),
        "pickle that would run code": b"cos\nsystem\n(S'true'\ntR.",
        "avro container": b"Obj\x01" + bytes(32),
        "schema registry frame": b"\0\0\0\0\x07" + bytes(32),
        "parquet": b"PAR1" + bytes(32) + b"PAR1",
        "arrow file": b"ARROW1\0\0" + good()["arrow"],
        "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(32),
        "numpy file": b"\x93NUMPY\x01\x00" + bytes(64),
        "root file": b"root" + bytes(64),
        "msgpack": b"\x81\xa6schema\x01",
        "protobuf": b"\x08\x96\x01\x12\x04abcd",
        "json in utf-16": json_bytes().decode().encode("utf-16"),
        "json with a byte order mark": b"\xef\xbb\xbf" + json_bytes(),
        "json array": b"[" + json_bytes() + b"]",
        "json text": b'"showers"',
        "json number": b"1",
        "json null": b"null",
        "arrow without continuation mark": good()["arrow"][4:],
        "arrow byte-swapped mark": b"\xff\xff\xff\xfe" + good()["arrow"][4:],
        "shell": b"#!/bin/sh\nreboot\n",
        "elf": b"\x7fELF" + bytes(64),
    }
    for name, value in others.items():
        yield f"format: {name}", value, R.FORMAT
    yield "format: longer than the bound", b"x" * (MAX_BYTES + 1), R.OVERSIZE
    yield "format: a good one padded beyond the bound", _padded(MAX_BYTES + 1), R.OVERSIZE


def _padded(length: int) -> bytes:
    value = good()["arrow"]
    return value + bytes(length - len(value))


def _cuts() -> Entries:
    for name in ("arrow", "arrow lz4"):
        value = good()[name]
        for length in (4, 5, 7, 8, 9, 64, 256, 512):
            yield f"{name} cut after {length} bytes", value[:length], R.TRUNCATED
        schema_end = 8 + struct.unpack_from("<i", value, 4)[0]
        yield f"{name} cut after the schema", value[:schema_end], R.TRUNCATED
        yield f"{name} cut in the batch's length", value[: schema_end + 6], R.TRUNCATED
        yield f"{name} cut in the batch's header", value[: schema_end + 40], R.TRUNCATED
        for share in (0.5, 0.75, 0.9, 0.99):
            cut = schema_end + int((len(value) - schema_end) * share)
            yield f"{name} cut at {share:.0%} of the batch", value[:cut], R.TRUNCATED
    text = good()["json"]
    for share in (0.01, 0.1, 0.5, 0.9, 0.999):
        yield f"json cut at {share:.1%}", text[: max(1, int(len(text) * share))], R.TRUNCATED
    yield "json cut before the last brace", text[:-1], R.TRUNCATED
    yield "json of an open brace", b"{", R.TRUNCATED


def _frames() -> Entries:
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
        _legacy()[: 4 + int.from_bytes(_legacy()[:4], "little")],
        R.TRUNCATED,
    )
    yield "frame: text after the end", value + b"trailing", R.CORRUPT


def _types() -> Entries:
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
        "cell of 1e300": ("showers", _lists([[1e300] * V] * N, pa.float64())),
    }.items():
        yield f"lost: {name}", stream({**columns(), lost[0]: lost[1]}), R.VALUE
    far = pa.array([2**62] * N, pa.timestamp("s", "UTC"))
    yield "lost: time beyond ns", stream({**columns(), "time": far}), R.TIME
    for name, row in {"short": V - 1, "long": V + 1}.items():
        uneven = _lists([[1.0] * V] * (N - 1) + [[1.0] * row], pa.float32())
        yield f"type: one {name} list", stream({**columns(), "showers": uneven}), R.GEOMETRY
    yield "type: showers nested", stream({**columns(), "showers": nested}), R.SCHEMA
    for size in (1, V - 1, V + 1, 2 * V):
        spoilt = cells(np.ones((N, size), np.float32))
        yield f"type: {size} cells", stream({**columns(), "showers": spoilt}), R.GEOMETRY
    for name in ("text", "null", "struct", "dictionary"):
        yield f"type: condition is {name}", stream({**columns(), "eta": other[name]}), R.SCHEMA


def _schemas() -> Entries:
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


def _batches() -> Entries:  # noqa: C901 - a list, not logic
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


def _values() -> Entries:
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


def _json() -> Entries:  # noqa: C901 - a list, not logic
    for key in ("event_id", "time", "run", "lumisection", "region", "e_inc", "showers"):
        yield f"json: no {key}", json_bytes(**{key: DROP}), R.SCHEMA
        if key != "showers":
            yield f"json: {key} of three", json_bytes(**{key: [1, 1, 1]}), R.SCHEMA
            wrong = R.TIME if key == "time" else R.VALUE
            for name, item in {"text": "x", "an object": {}, "a list": [], "true": True}.items():
                yield f"json: {key} is {name}", json_bytes(**{key: [item, item]}), wrong
    for key in ("event_id", "run", "lumisection", "region"):
        for number in (-1, 2**64, 1.5, None):
            yield f"json: {key} is {number}", json_bytes(**{key: [1, number]}), R.VALUE
    yield "json: region 65536", json_bytes(region=[0, 65536]), R.VALUE
    for version in (DROP, None, 0, 2, "1", True, 1.0):
        shown = "missing" if version is DROP else repr(version)
        yield f"json: schema {shown}", json_bytes(schema=version), R.SCHEMA
    for name in (DROP, None, 1, "", "atlas", ["pb-lar-504"]):
        shown = "missing" if name is DROP else repr(name)
        yield f"json: geometry {shown}", json_bytes(geometry=name), R.GEOMETRY
    yield "json: producer is a number", json_bytes(producer=1), R.SCHEMA
    yield "json: producer is long", json_bytes(producer="p" * 65), R.SCHEMA
    for seq in (-1, "1", 1.0, True, 2**63):
        yield f"json: seq {seq!r}", json_bytes(seq=seq), R.SCHEMA
    for name, showers, reason in (
        ("null", None, R.SCHEMA),
        ("text", "x", R.SCHEMA),
        ("no showers", [], R.SCHEMA),
        ("empty showers", [[], []], R.GEOMETRY),
        ("one cell short", [[1.0] * V, [1.0] * (V - 1)], R.GEOMETRY),
        ("one cell long", [[1.0] * (V + 1)] * 2, R.GEOMETRY),
        ("a row and a number", [[1.0] * V, 1.0], R.SCHEMA),
        ("text cells", [["1"] * V] * 2, R.VALUE),
        ("null cells", [[None] * V] * 2, R.VALUE),
        ("true cells", [[True] * V] * 2, R.VALUE),
        ("a deeper list", [[[1.0]] * V] * 2, R.VALUE),
        ("too many", [[]] * (MAX_SHOWERS + 1), R.OVERSIZE),
        ("too large", [[1e300] * V] * 2, R.VALUE),
        ("beyond the bound", [[2e9] * V] * 2, R.VALUE),
    ):
        yield f"json: showers: {name}", json_bytes(showers=showers), reason
    yield "json: e_inc zero", json_bytes(e_inc=[0, 1]), R.VALUE
    yield "json: e_inc negative", json_bytes(e_inc=[-5.0, 1]), R.VALUE
    yield "json: time without offset", json_bytes(time=["2026-01-01T00:00:00"] * 2), R.TIME
    yield "json: time before 1970", json_bytes(time=["1960-01-01T00:00:00Z"] * 2), R.TIME
    yield "json: time in year 9999", json_bytes(time=["9999-12-31T23:59:59Z"] * 2), R.TIME
    yield "json: time negative", json_bytes(time=[-1, 1]), R.TIME
    yield "json: times a day apart", json_bytes(time=[START_NS, START_NS + 86400 * 10**9]), R.TIME
    yield "json: too many conditions", json_bytes(**{f"c{i}": [1, 1] for i in range(17)}), R.SCHEMA
    yield "json: condition is text", json_bytes(eta=["a", "b"]), R.VALUE
    yield "json: condition of one", json_bytes(eta=[1]), R.SCHEMA
    yield "json: NaN", json_bytes().replace(b"0.5", b"NaN", 1), R.CORRUPT
    yield "json: Infinity", json_bytes().replace(b"0.5", b"Infinity", 1), R.CORRUPT
    yield "json: a comment", b"{/* */}", R.CORRUPT
    yield "json: empty object", b"{}", R.SCHEMA
    yield "json: trailing bytes", json_bytes() + b"x", R.CORRUPT
    yield "json: two objects", json_bytes() * 2, R.CORRUPT
    yield "json: not UTF-8", b'{"schema": "\xff"}', R.CORRUPT
    yield "json: nested to the sky", b'{"a":' * 100_000, R.CORRUPT
    yield "json: beyond its bound", b"{" + b" " * MAX_JSON_BYTES + b"}", R.OVERSIZE
    yield (
        "json: a number of a thousand digits",
        json_bytes().replace(b"0.5", b"9" * 1000, 1),
        R.CORRUPT,
    )


def mutated(rng: np.random.Generator, seeds: list[bytes]) -> bytes:
    """Return one of `seeds`, damaged as a disk, a network or a hand would damage it."""
    value = bytearray(seeds[rng.integers(len(seeds))])
    for _ in range(int(rng.integers(1, 5))):
        _mutate(rng, value)
    return bytes(value)


def _mutate(rng: np.random.Generator, value: bytearray) -> None:
    at = int(rng.integers(len(value))) if value else 0
    # Headers are short beside the cells, so half of the damage goes there.
    if rng.random() < 0.5:
        at = min(at, int(rng.integers(2048)))
    match int(rng.integers(7)):
        case 0:
            value[at : at + 1] = bytes([int(rng.integers(256))])
        case 1 if value:
            value[min(at, len(value) - 1)] ^= 1 << int(rng.integers(8))
        case 2:
            del value[at : at + int(rng.integers(1, 64))]
        case 3:
            value[at:at] = rng.bytes(int(rng.integers(1, 32)))
        case 4:
            del value[at:]
        case 5:
            value[at : at + 8] = struct.pack(
                "<q", int(rng.choice([0, -1, 1, 2**31, 2**40, 2**62, -(2**63), 2**63 - 1]))
            )
        case _:
            other = int(rng.integers(len(value) + 1))
            value[at : at + 64] = value[other : other + 64]
