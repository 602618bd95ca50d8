"""Records: alarms, verdicts and acknowledgements as JSON values, for the quality topic and files."""

from __future__ import annotations

from dataclasses import asdict
from dataclasses import fields as fields_of
from enum import Enum
from typing import Any, TypeVar

from monitor.detector.tree import Level
from monitor.quality.acknowledgements import Acknowledgement, Mask
from monitor.quality.alarms import (
    Alarm,
    CellShare,
    Kind,
    ReferenceSummary,
    RegionShare,
    Severity,
    State,
    WorstShower,
)
from monitor.quality.model_acts import ModelAct, ModelOrder
from monitor.quality.orders import Order, ReferenceAct
from monitor.quality.quality import Quality
from monitor.quality.verdicts import Verdict

Act = TypeVar("Act", Acknowledgement, ReferenceAct, ModelAct)
Record = Alarm | Verdict | Acknowledgement | ReferenceAct | ModelAct
_NAMES = {
    Alarm: "alarm",
    Verdict: "verdict",
    Acknowledgement: "acknowledgement",
    ReferenceAct: "reference",
    ModelAct: "model",
}


class RecordError(ValueError):
    """Values that are no record; the message says why."""


def to_json(record: Record) -> dict[str, Any]:
    """Return plain values with the record's type under `type`; `from_json` is the inverse."""
    values: dict[str, Any] = _plain(asdict(record))
    return {"type": _NAMES[type(record)], **values}


def from_json(values: dict[str, Any]) -> Record:
    """Return the record of plain values, or raise `RecordError`."""
    try:
        fields = dict(values)
        name = fields.pop("type")
        if name == "alarm":
            return _alarm(fields)
        if name == "verdict":
            return _verdict(fields)
        if name == "acknowledgement":
            masks = tuple(_mask(**mask) for mask in fields.pop("masks"))
            return _typed(Acknowledgement(masks=masks, **fields))
        if name == "reference":
            return _typed(ReferenceAct(**fields | {"order": Order(fields["order"])}))
        if name == "model":
            return _typed(ModelAct(**fields | {"order": ModelOrder(fields["order"])}))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordError(f"not a record: {error}") from None
    raise RecordError(f"unknown type {name!r}")


def key(record: Record) -> str:
    """Return the Kafka key: records of one thing share it, the newest tells."""
    if isinstance(record, Verdict):
        return f"verdict/{record.run}/{record.lumisection}/{record.region}"
    if isinstance(record, Alarm):
        return f"alarm/{record.id}"
    if isinstance(record, ReferenceAct):
        return f"reference/{record.time_ns}"
    if isinstance(record, ModelAct):
        return f"model/{record.time_ns}"
    return f"acknowledgement/{record.alarm}"


_PLAIN: dict[str, set[type]] = {
    "str": {str},
    "int": {int},
    "bool": {bool},
    "int | None": {int, type(None)},
}


def _typed(act: Act) -> Act:
    """Return what people said, or raise `TypeError` where a text stands for a number.

    A judge that met one later would fail, and so would its successor, at the same record.
    """
    for field in fields_of(act):
        allowed = _PLAIN.get(str(field.type))
        if allowed and type(getattr(act, field.name)) not in allowed:
            raise TypeError(f"{field.name} must be {field.type}")
    return act


def _mask(region: int, cells: list[int]) -> Mask:
    if any(type(number) is not int for number in (region, *cells)):
        raise TypeError("a mask must name its region and its cells by whole numbers")
    return Mask(region, tuple(cells))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def _alarm(fields: dict[str, Any]) -> Alarm:
    return Alarm(
        **fields
        | {
            "state": State(fields["state"]),
            "severity": Severity(fields["severity"]),
            "level": Level(fields["level"]),
            "kind": Kind(fields["kind"]),
            "reference": ReferenceSummary(**fields["reference"]),
            "regions": tuple(RegionShare(**share) for share in fields["regions"]),
            "cells": tuple(CellShare(**share) for share in fields["cells"]),
            "worst": tuple(WorstShower(**shower) for shower in fields["worst"]),
            "children": tuple(fields["children"]),
        }
    )


def _verdict(fields: dict[str, Any]) -> Verdict:
    return Verdict(
        **fields
        | {
            "quality": Quality(fields["quality"]),
            "known": tuple((int(a), int(b)) for a, b in fields["known"]),
            "active": tuple((int(a), int(b)) for a, b in fields["active"]),
            "alarms": tuple(fields["alarms"]),
        }
    )
