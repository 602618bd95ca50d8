"""Schema: JSON becomes a frozen record by what its fields say of themselves, or one honest error."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from consumers.wire.block import DecodeError
from monitor.quality.bounds import first
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")


def read(adapter: TypeAdapter[T], value: bytes | str | None) -> T:
    """Return what JSON says, or raise `DecodeError`; no third outcome."""
    if not value:
        raise DecodeError(Rejection.EMPTY, "no bytes")
    try:
        return adapter.validate_json(value)
    except ValidationError as error:
        broken = error.errors(include_url=False, include_context=False, include_input=False)
        reason = Rejection.CORRUPT if broken[0]["type"] == "json_invalid" else Rejection.SCHEMA
        raise DecodeError(reason, first(error)) from None
