"""The JSON form of a record: for people at a prompt, with the names of the Arrow form."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from consumers.wire import contract
from consumers.wire.block import LATEST_NS, MAX_NAME, MAX_SHOWERS, Block, DecodeError, Expected
from consumers.wire.contract import CELLS, SEED, TIME
from consumers.wire.faults import Faults, check_geometry, check_schema, checked
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from models.detector.geometry import Geometry

MAX_JSON_BYTES = 4 << 20
"""Longest JSON record: parsed, it takes some eight times its length in memory."""

_BOUNDS = {
    "event_id": 2**64, "run": 2**32, "lumisection": 2**32, "region": 2**16, SEED: 2**32,
}  # fmt: skip


def read(value: bytes, geometry: Geometry, expected: Expected, latest_ns: int) -> Block:
    """Return the block of a JSON object, or raise `DecodeError`; see `codec.decode`.

    Every column is a list; for one shower, plain numbers and a flat list of cells will do.
    Times are ns since 1970 UTC or ISO 8601 with an offset; an unknown `e_inc` is null.
    """
    faults = Faults()
    fields = _parsed(value)
    version = fields.pop("schema", None)
    if version is None:
        faults.add(Rejection.SCHEMA, "no schema")
    check_schema(str(version) if version is None or type(version) is int else repr(version))
    if "geometry" in fields:
        check_geometry(fields.pop("geometry"), geometry, faults)
    else:
        faults.add(Rejection.GEOMETRY, "no geometry")
    about = _about(fields, faults)
    for text in contract.wrong_names(list(fields)):
        faults.add(Rejection.SCHEMA, text)
    return checked(_columns(fields, geometry, faults), about, expected, latest_ns, faults)


def _parsed(value: bytes) -> dict[str, Any]:
    if len(value) > MAX_JSON_BYTES:
        text = f"{len(value)} bytes of JSON, at most {MAX_JSON_BYTES}"
        raise DecodeError(Rejection.OVERSIZE, text)
    try:
        fields: dict[str, Any] = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        cut = "unexpected end" in str(error) or "unclosed" in str(error)
        reason = Rejection.TRUNCATED if cut else Rejection.CORRUPT
        raise DecodeError(reason, str(error)[:200]) from None
    return fields


def _about(fields: dict[str, Any], faults: Faults) -> tuple[str, int | None]:
    producer, seq = fields.pop("producer", ""), fields.pop("seq", None)
    if not isinstance(producer, str) or len(producer) > MAX_NAME:
        shown = repr(producer)[:MAX_NAME]
        text = f"producer is {shown}, a text of at most {MAX_NAME} letters is wanted"
        faults.add(Rejection.SCHEMA, text)
    if seq is not None and (type(seq) is not int or not 0 <= seq < 2**63):
        shown = repr(seq)[:MAX_NAME]
        faults.add(Rejection.SCHEMA, f"seq is {shown}, a whole number is wanted")
    return producer, seq


def _columns(fields: dict[str, Any], geometry: Geometry, faults: Faults) -> dict[str, NDArray[Any]]:
    """Return the columns that could be read; what is wrong with the others is noted."""
    cells = fields.get(CELLS)
    rows = cells if isinstance(cells, list) and cells and isinstance(cells[0], list) else [cells]
    if len(rows) > MAX_SHOWERS:
        raise DecodeError(Rejection.OVERSIZE, f"{len(rows)} showers, at most {MAX_SHOWERS}")
    found = {}
    for name, given in fields.items():
        if name == CELLS:
            column = _cells(rows, geometry, faults)
        else:
            values = given if isinstance(given, list) else [given]
            if CELLS in fields and len(values) != len(rows):
                text = f"{name[:MAX_NAME]} has {len(values)} values, {CELLS} has {len(rows)}"
                faults.add(Rejection.SCHEMA, text)
                continue
            column = _column(name, values, faults)
        if column is not None:
            found[name] = column
    return found


def _column(name: str, values: list[Any], faults: Faults) -> NDArray[Any] | None:
    if name == TIME:
        return _times(values, faults)
    if name in _BOUNDS:
        return _counts(name, values, faults)
    if name == "e_inc":
        values = [np.nan if value is None else value for value in values]
    return _numbers(values, name, "row {}", faults)


def _cells(rows: list[Any], geometry: Geometry, faults: Faults) -> NDArray[np.float32] | None:
    found = []
    for i, row in enumerate(rows):
        if not isinstance(row, list) or not row:
            text = f"{CELLS} is {_shown(row)} in row {i}: a list of cells is wanted"
            reason = Rejection.GEOMETRY if row == [] and len(rows) > 1 else Rejection.SCHEMA
            faults.add(reason, text)
            return None
        if len(row) != geometry.n_cells:
            text = f"{CELLS} has {len(row)} cells in row {i}"
            faults.add(Rejection.GEOMETRY, f"{text}, {geometry.name} has {geometry.n_cells}")
            return None
        cells = _numbers(row, CELLS, f"row {i}, cell {{}}", faults)
        if cells is None:
            return None
        found.append(cells)
    return np.stack(found)


def _numbers(
    values: list[Any], name: str, where: str, faults: Faults
) -> NDArray[np.float32] | None:
    # Checked by type: numpy would read "1" as 1, and true as 1.
    bad = _first(values, lambda value: type(value) not in {float, int})
    if bad is not None:
        text = f"{name[:MAX_NAME]} is {_shown(values[bad])} in {where.format(bad)}"
        faults.add(Rejection.VALUE, f"{text}: a number is wanted")
        return None
    with np.errstate(over="ignore"):  # too large becomes infinite, which is refused
        return np.array(values, np.float64).astype(np.float32)


def _counts(name: str, values: list[Any], faults: Faults) -> NDArray[Any] | None:
    bound = _BOUNDS[name]
    bad = _first(values, lambda value: type(value) is not int or not 0 <= value < bound)
    if bad is not None:
        text = f"{name} is {_shown(values[bad])} in row {bad}"
        wanted = f"a whole number below 2^{bound.bit_length() - 1} is wanted"
        faults.add(Rejection.VALUE, f"{text}: {wanted}")
        return None
    return np.array(values, np.uint64 if name == "event_id" else np.int64)


def _times(values: list[Any], faults: Faults) -> NDArray[np.int64] | None:
    found = []
    for row, value in enumerate(values):
        ns, wrong = _nanoseconds(value)
        if wrong:
            text = f"time is {_shown(value)} in row {row}: {wrong}"
            faults.add(Rejection.TIME, text)
            return None
        found.append(ns)
    return np.array(found, np.int64)


def _nanoseconds(value: object) -> tuple[int, str]:
    """Return a time in ns, and what is wrong with it; empty if nothing is."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
            seconds = moment.timestamp()
        except (ValueError, OverflowError):
            return 0, "ISO 8601 is wanted"
        if moment.tzinfo is None:
            return 0, "it has no offset from UTC"
        value = round(seconds * 1e6) * 1000
    if type(value) is not int or not 0 <= value <= LATEST_NS:
        return 0, "ns since 1970 are wanted, or ISO 8601 with an offset"
    return value, ""


def _first(values: list[Any], bad: Callable[[Any], bool]) -> int | None:
    return next((i for i, value in enumerate(values) if bad(value)), None)


def _shown(value: object) -> str:
    """Return a value as JSON writes it, short."""
    return orjson.dumps(value, default=str).decode()[:40]
