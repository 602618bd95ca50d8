"""The JSON form of a record: for people at a prompt, with the names of the Arrow form."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from consumers.wire.block import (
    COLUMNS,
    LATEST_NS,
    MAX_SHOWERS,
    Block,
    DecodeError,
    check_conditions,
    check_geometry,
    check_schema,
)
from models.showers.batch import Showers
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.geometry import Geometry

MAX_JSON_BYTES = 4 << 20
"""Longest JSON record: parsed, it takes some eight times its length in memory."""


def read(value: bytes, geometry: Geometry) -> Block:
    """Return the block of a JSON object, or raise `DecodeError`.

    Every column is a list; for one shower, plain numbers and a flat list of cells will do.
    Times are ns since 1970 UTC or ISO 8601 with an offset; an unknown `e_inc` is null.
    """
    if len(value) > MAX_JSON_BYTES:
        raise DecodeError(Rejection.OVERSIZE, f"{len(value)} bytes of JSON")
    try:
        fields: dict[str, Any] = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        cut = "unexpected end" in str(error) or "unclosed" in str(error)
        reason = Rejection.TRUNCATED if cut else Rejection.CORRUPT
        raise DecodeError(reason, str(error)[:200]) from None
    version = fields.pop("schema", None)
    check_schema(str(version) if type(version) is int else None)
    check_geometry(fields.pop("geometry", None), geometry)
    producer, seq = fields.pop("producer", ""), fields.pop("seq", 0)
    if not isinstance(producer, str) or type(seq) is not int:
        raise DecodeError(Rejection.SCHEMA, "producer must be a text and seq a whole number")
    if not fields.keys() >= set(COLUMNS):
        raise DecodeError(Rejection.SCHEMA, f"keys missing: {sorted(set(COLUMNS) - fields.keys())}")
    check_conditions([name for name in fields if name not in COLUMNS])
    return _block(fields, geometry, producer, seq)


def _block(fields: dict[str, Any], geometry: Geometry, producer: str, seq: int) -> Block:
    cells = _cells(fields.pop("showers"), geometry)
    column = {name: v if isinstance(v, list) else [v] for name, v in fields.items()}
    if any(len(values) != len(cells) for values in column.values()):
        raise DecodeError(
            Rejection.SCHEMA, f"a column is not of {len(cells)} values, as showers is"
        )
    time = [_nanoseconds(value) for value in column["time"]]
    return Block(
        showers=Showers(
            cells,
            _numbers([np.nan if e is None else e for e in column["e_inc"]], "e_inc"),
            {name: _numbers(v, name) for name, v in column.items() if name not in COLUMNS},
        ),
        event_id=np.array(_counts(column["event_id"], "event_id", 2**64), np.uint64),
        time_ns=np.array(time, np.int64),
        run=np.array(_counts(column["run"], "run", 2**32), np.int64),
        lumisection=np.array(_counts(column["lumisection"], "lumisection", 2**32), np.int64),
        region=np.array(_counts(column["region"], "region", 2**16), np.int64),
        producer=producer,
        seq=seq,
    )


def _cells(rows: object, geometry: Geometry) -> NDArray[np.float32]:
    if not isinstance(rows, list) or not rows:
        raise DecodeError(Rejection.SCHEMA, "showers must be a list of cells, or of such lists")
    showers = rows if isinstance(rows[0], list) else [rows]
    if len(showers) > MAX_SHOWERS:
        raise DecodeError(Rejection.OVERSIZE, f"{len(showers)} showers")
    if not all(isinstance(row, list) for row in showers):
        raise DecodeError(Rejection.SCHEMA, "showers must be a list of lists of cells")
    if any(len(row) != geometry.n_cells for row in showers):
        raise DecodeError(Rejection.GEOMETRY, f"a shower has not {geometry.n_cells} cells")
    return np.stack([_numbers(row, "showers") for row in showers])


def _numbers(values: list[Any], name: str) -> NDArray[np.float32]:
    # Checked by type: numpy would read "1" as 1, and true as 1.
    if any(type(value) not in {float, int} for value in values):
        raise DecodeError(Rejection.VALUE, f"{name} holds something that is not a number")
    with np.errstate(over="ignore"):  # too large becomes infinite, which Showers refuses
        return np.array(values, np.float64).astype(np.float32)


def _counts(values: list[Any], name: str, bound: int) -> list[int]:
    if any(type(value) is not int or not 0 <= value < bound for value in values):
        raise DecodeError(Rejection.VALUE, f"{name} must be whole numbers in [0, {bound})")
    return values


def _nanoseconds(value: object) -> int:
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
            seconds = moment.timestamp()
        except (ValueError, OverflowError):
            raise DecodeError(Rejection.TIME, f"time {value[:40]!r} is not ISO 8601") from None
        if moment.tzinfo is None:
            raise DecodeError(Rejection.TIME, f"time {value[:40]!r} has no offset from UTC")
        value = round(seconds * 1e6) * 1000
    if type(value) is not int or not 0 <= value <= LATEST_NS:
        raise DecodeError(Rejection.TIME, "time must be ns since 1970, or ISO 8601 with an offset")
    return value
