"""Schema: JSON becomes a frozen record by what its fields say of themselves, or one honest error."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from consumers.wire.block import DecodeError
from monitor.quality.bounds import first
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
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


def told(record: DataclassInstance, *later: str) -> dict[str, Any]:
    """Return the fields of a record by name, less those of `later` that say nothing.

    Fields that came later: a record without them is written as it always was.
    """
    every = {f.name: getattr(record, f.name) for f in fields(record)}
    nothing = {f.name for f in fields(record) if f.name in later and every[f.name] == f.default}
    return {name: value for name, value in every.items() if name not in nothing}
