"""Run form: a record of the runs topic, as a data acquisition writes it, in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import orjson
from pydantic import BaseModel, Field, ValidationError

from consumers.wire.block import DecodeError
from monitor.quality.bounds import SPOKEN, Number32, RegionId, first
from monitor.quality.reference_acts import MAX_KEY
from monitor.quality.rejection import Rejection
from monitor.quality.run_acts import RunAct, RunOrder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumers.wire.record import Record

MAX_BYTES = 1 << 20


class _Told(BaseModel):
    model_config = SPOKEN

    what: Literal["start", "end"]
    run: Number32
    regions: tuple[RegionId, ...] | None = None
    conditions: str | None = Field(default=None, max_length=MAX_KEY)


def encode(what: str, run: int, regions: Sequence[int] | None, conditions: str | None) -> bytes:
    """Return the record that says of a run that it begins or has ended; `decode` reads it."""
    told = {"what": what, "run": run, "regions": regions, "conditions": conditions}
    return orjson.dumps({name: value for name, value in told.items() if value is not None})


def decode(record: Record) -> RunAct:
    """Return what a record says of a run, or raise `DecodeError`.

    It is `{"what": "start", "run": 311, "regions": [0, 1], "conditions": "1200 V"}`, where the last
    two are optional, or `{"what": "end", "run": 311}`.
    """
    value = record.value or b""
    if not value or len(value) > MAX_BYTES:
        raise DecodeError(
            Rejection.OVERSIZE if value else Rejection.EMPTY, f"{len(value)} bytes of a run"
        )
    try:
        told = _Told.model_validate_json(value)
        order = RunOrder(told.what)
        return RunAct(order, told.run, record.offset, told.regions, told.conditions)
    except ValidationError as error:
        raise DecodeError(Rejection.SCHEMA, first(error)) from None
    except ValueError as error:
        raise DecodeError(Rejection.SCHEMA, str(error)[:200]) from None
