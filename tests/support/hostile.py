"""Hostile payloads by name, each with the reason for which it must be rejected."""

from __future__ import annotations

import gzip
import pickle
import struct
from typing import TYPE_CHECKING, NamedTuple

import hostile_arrow
import hostile_json
from payloads import good, json_bytes

from consumers.wire.codec import MAX_BYTES
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    Entries = Iterator[tuple[str, bytes | None, Rejection]]

R = Rejection


class Payload(NamedTuple):
    """Bytes and the one right answer to them."""

    name: str
    value: bytes | None
    reason: R


def corpus() -> list[Payload]:
    """Return every named payload; names are distinct."""
    arrow = hostile_arrow
    parts = (
        _formats, _cuts, arrow.frames, arrow.types, arrow.schemas, arrow.batches, arrow.values,
        hostile_json.entries,
    )  # fmt: skip
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
