"""Poisoned records of the topics between the services, by name: each is refused, none ends anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import golden
import numpy as np
import orjson
import pyarrow as pa
import zstandard
from memory import TINY
from pyarrow import ipc
from spoken import FORM, entry, saying, window

from consumers.wire import ranges, strange, window_form
from consumers.wire.ranges import PersonSaid, Worst, encode_said

if TYPE_CHECKING:
    from collections.abc import Iterator

    Payloads = Iterator[tuple[str, bytes | None]]

HUGE = 2**63
NOT_JSON = {
    "no bytes": b"",
    "a null": None,
    "null in JSON": b"null",
    "a list": b"[1]",
    "an empty object": b"{}",
    "cut off": b'{"',
    "nested to the sky": b'{"a":' * 50_000,
    "not UTF-8": b'{"\xff": 1}',
    "a thousand digits": b'{"a": ' + b"9" * 1000 + b"}",
    "zeros": bytes(64),
}
WORST = orjson.loads(orjson.dumps(Worst(1e-4, 1, 12, 0, 99, 3, 5)))
FIELDS: dict[str, Any] = {
    "rejects are texts": {"rejects": {"time": "x"}},
    "rejects are negative": {"rejects": {"time": -1}},
    "rejects count showers": {"rejects": {"showers": 5}},
    "a reason of control characters": {"rejects": {"\n": 5}},
    "showers are a text": {"showers": "x"},
    "showers are half": {"showers": 1.5},
    "showers are true": {"showers": True},
    "showers are negative": {"showers": -1},
    "showers beyond 64 bits": {"showers": HUGE},
    "records are null": {"records": None},
    "missing is a list": {"missing": [1]},
    "a worst region is a list": {"worst": [{**WORST, "region": []}]},
    "a worst p is null": {"worst": [{**WORST, "p": None}]},
    "a worst p is two": {"worst": [{**WORST, "p": 2.0}]},
    "worst is null": {"worst": None},
    "seqs are a list": {"seqs": [1]},
    "a seq is a text": {"seqs": {"p": "1"}},
    "the model is a list": {"model": []},
    "the topic is a number": {"topic": 1},
    "the worker is null": {"worker": None},
    "ends before it begins": {"begin": 20, "end": 10},
    "the token is negative": {"token": -1},
    "the partition is beyond 32 bits": {"partition": 2**32},
    "the watermark is beyond time": {"watermark_ns": 2**62 + 1},
    "shed beyond 32 bits": {"shed": [[1, 1, HUGE, 1]]},
    "shed of three": {"shed": [[1, 2, 3]]},
    "shed until the end of time": {"shed_until": HUGE},
    "joint of two": {"shadow": "s", "joint": [1, 2]},
    "a shadow without a name": {"shadow_bytes": 5},
    "masked is a number": {"masked": 1},
    "caught up is a number": {"caught_up": 1},
}


def windows_topic() -> Payloads:
    """Yield what cannot be a record of the windows topic, by its header."""
    yield from NOT_JSON.items()
    for name, fields in FIELDS.items():
        yield f"range: {name}", saying(**fields)
    good = ranges.encode_range(entry(), [window(0, 0, [1, 4])], FORM)
    yield "range: a damaged header", good[:8] + b"\xff\xff\xff\xff" + good[12:]
    yield "range: of no fields", window_form.encode_windows([], FORM, {"calodqm.range": "{}"})
    yield "range: without fields", window_form.encode_windows([], FORM)
    for name, told in {
        "open: a text": {"open": {"partition": "1", "worker": "w"}},
        "open: no worker": {"open": {"partition": 1}},
        "open: a number": {"open": 1},
        "open: beyond 32 bits": {"open": {"partition": 2**40, "worker": "w"}},
        "said: a number": {"said": {"what": 1, "body": {}}},
        "said: a list": {"said": {"what": "record", "body": []}},
        "said: more": {"said": {"what": "record", "body": {}, "more": 1}},
    }.items():
        yield name, orjson.dumps(told)


def acts() -> Payloads:
    """Yield what people cannot have said, in a record that is well as such."""
    for name, act in golden.ACTS.items():
        told = golden.to_json(act)
        for field in told:
            body = {**told, field: {"a": [1]}}
            yield f"said: {name}, {field} is an object", encode_said(PersonSaid("record", body))
        yield f"said: {name}, and more", encode_said(PersonSaid("record", {**told, "more": 1}))
    yield "said: of no type", encode_said(PersonSaid("record", {}))
    yield "said: of a strange type", encode_said(PersonSaid("record", {"type": [1]}))


def windows() -> Payloads:
    """Yield ranges whose header is well, and whose windows lie."""
    good = window(0, 5, [1, 4])
    lies: dict[str, Any] = {
        "regions twice": {"regions": np.array([1, 1])},
        "regions that fall": {"regions": np.array([4, 1])},
        "a region beyond 16 bits": {"regions": np.array([1, 2**16])},
        "negative showers": {"showers": -good.showers},
        "sums that overflow": {"z_sum": np.full_like(good.z_sum, 2**62)},
        "negative squares": {"z_square": -good.z_square},
        "counts that overflow": {"p_counts": good.p_counts + 2**61},
        "bins of another region": {"score_bins": good.score_bins + 10**6},
        "negative bins": {"score_bins": -good.score_bins - 1},
        "counts of no showers": {"score_counts": -good.score_counts},
        "a negative second": {"key": good.key._replace(second=-1)},
        "a second beyond time": {"key": good.key._replace(second=2**62)},
        "a negative run": {"key": good.key._replace(run=-1)},
    }
    for name, lie in lies.items():
        # As the rows of a window that is well, with the lie put in behind the encoder's back.
        yield f"windows: {name}", _lying(good, lie)
    again = [good, window(1, 6, [1]), window(2, 5, [2])]
    yield "windows: one key twice", ranges.encode_range(entry(), again, FORM)
    value = ranges.encode_range(entry(), [good], FORM)
    for name, column in (("texts", ["x"] * 2), ("nulls", [None, 1]), ("reals", [0.5] * 2)):
        for field in ("run", "regions", "showers", "score_bins", "unscored"):
            yield f"windows: {field} are {name}", _with_column(value, field, pa.array(column))
    nulls = pa.FixedSizeListArray.from_arrays(pa.array([None, 1], pa.int64()), 1)
    yield "windows: a null count", _with_column(value, "unscored", nulls)


def _lying(good: Any, lie: dict[str, Any]) -> bytes:
    value = ranges.encode_range(entry(), [good], FORM)
    batch = ipc.open_stream(value).read_next_batch()
    for name, told in lie.items():
        if name == "key":
            for part, number in zip(told._fields, told, strict=True):
                value = _with_column(value, part, pa.array([number] * 2))
            continue
        flat = pa.array(np.asarray(told).reshape(-1).astype(np.int64))
        kind = batch.column(name).type
        if pa.types.is_fixed_size_list(kind):
            flat = pa.FixedSizeListArray.from_arrays(flat, kind.list_size)
        elif pa.types.is_list(kind):
            flat = pa.ListArray.from_arrays(batch.column(name).offsets, flat)
        value = _with_column(value, name, flat)
    return value


def _with_column(value: bytes, name: str, column: Any) -> bytes:
    """Return an Arrow stream with another column in the place of one."""
    batch = ipc.open_stream(value).read_next_batch()
    columns = [column if n == name else batch.column(n) for n in batch.schema.names]
    changed = pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
    changed = changed.replace_schema_metadata(batch.schema.metadata)
    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, changed.schema) as writer:
        writer.write_batch(changed)
    return bytes(sink.getvalue().to_pybytes())


def anomalies_topic() -> Payloads:
    """Yield what cannot be strange showers."""
    yield from NOT_JSON.items()
    good = strange.encode([golden.strange_shower()], "calo.showers.v1", ("a", "b"))
    v = TINY.n_cells

    def cells(values: list[Any], kind: Any = None) -> Any:
        return pa.FixedSizeListArray.from_arrays(pa.array(values, kind), v)

    yield (
        "strange: a null cell",
        _with_column(good, "cells", cells([None] + [1.0] * 5, pa.float32())),
    )
    yield "strange: cells are texts", _with_column(good, "cells", cells(["x"] * v))
    nothing = pa.array([None], pa.list_(pa.float32(), v))
    yield "strange: a null shower", _with_column(good, "cells", nothing)
    infinite = cells([np.inf] * v, pa.float32())
    yield "strange: an infinite cell", _with_column(good, "cells", infinite)
    yield "strange: a null region", _with_column(good, "region", pa.array([None], pa.int64()))
    doubles = cells([1.0] * v)
    yield "strange: pull in double precision", _with_column(good, "pull", doubles)


def state_topic() -> Payloads:
    """Yield what cannot be a manifest; a null is a deletion and no fault."""
    yield from ((name, value) for name, value in NOT_JSON.items() if value is not None)
    told = orjson.loads(golden.state_topic()["manifest"])["manifest"]
    for field in told:
        for name, wrong in {"a text": "x", "negative": -1, "[[1]]": [[1]], "null": None}.items():
            if not (field in {"sha256", "fingerprint"} and name == "a text"):
                yield (
                    f"manifest: {field} is {name}",
                    orjson.dumps({"manifest": {**told, field: wrong}}),
                )
    many = {**told, "chunks": list(range(100_000))}
    yield "manifest: of endless chunks", orjson.dumps({"manifest": many})


def snapshots() -> Payloads:
    """Yield what cannot be unpacked; the first was found by fuzzing."""
    yield "snapshot: claims terabytes", b"\x28\xb5\x2f\xfd\xe0" + (2**42).to_bytes(8, "little")
    yield "snapshot: of no size", b"\x28\xb5\x2f\xfd\x00\x58\x01\x00\x00"
    for name, inside in {
        "nothing": b"",
        "a header beyond its end": (2**40).to_bytes(8, "little") + b"{}",
        "a type of tensors that numpy lacks": _tensors(
            b'{"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}', b"ab"
        ),
        "a shape beyond its bytes": _tensors(
            b'{"a":{"dtype":"I64","shape":[99],"data_offsets":[0,8]}}', bytes(8)
        ),
    }.items():
        yield f"snapshot: {name}", zstandard.ZstdCompressor().compress(inside)


def _tensors(header: bytes, body: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + body


def models_topic() -> Iterator[tuple[str, str, bytes | None]]:
    """Yield what cannot be in force, or be a card, by the key's kind; a null is a deletion."""
    for key, root in (("control", "control"), ("card", "artefact")):
        for name, value in NOT_JSON.items():
            if value is not None:
                yield key, f"{key}: {name}", value
        told = orjson.loads(golden.models_topic()[key])[root]
        for field in told:
            yield key, f"{key}: {field} is a list", orjson.dumps({root: {**told, field: [[1]]}})
            yield key, f"{key}: {field} is null", orjson.dumps({root: {**told, field: None}})
    said = orjson.loads(golden.models_topic()["control"])["control"]
    for name, masked in {"reals": {"regions": [1.0]}, "texts": {"cells": [["1", [2]]]}}.items():
        masks = {**said["masked"], **masked}
        yield (
            "control",
            f"control: masks of {name}",
            orjson.dumps({"control": {**said, "masked": masks}}),
        )


def quality_topic() -> Payloads:
    """Yield what no judge can have said."""
    yield from NOT_JSON.items()
    for name in ("quality-alarm", "quality-verdict", "quality-model"):
        told = orjson.loads(golden.quality_topic()[name])
        for field in told["record"]:
            record = {**told["record"], field: {"a": 1}}
            yield f"{name}: {field} is an object", orjson.dumps({**told, "record": record})
        yield f"{name}: the token is a text", orjson.dumps({**told, "token": "5"})
        yield f"{name}: the token is beyond 64 bits", orjson.dumps({**told, "token": HUGE})
    yield "quality: a judge without a name", b'{"judge": 5}'
