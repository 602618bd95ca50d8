"""Hostile payloads in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks import START_NS
from payloads import DROP, V, json_bytes

from consumers.wire.block import MAX_SHOWERS
from consumers.wire.json_form import MAX_JSON_BYTES
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from collections.abc import Iterator

    Entries = Iterator[tuple[str, bytes | None, Rejection]]

R = Rejection


def entries() -> Entries:  # noqa: C901 - a list, not logic
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
