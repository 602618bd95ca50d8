"""Records: alarms, verdicts and acknowledgements as JSON values, for the quality topic and files."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json as dumped

from monitor.quality.acknowledgements import Acknowledgement
from monitor.quality.alarms import Alarm
from monitor.quality.bounds import first
from monitor.quality.model_acts import ModelAct
from monitor.quality.reference_acts import ReferenceAct
from monitor.quality.run_acts import RunAct
from monitor.quality.verdicts import Verdict

QualityRecord = Alarm | Verdict | Acknowledgement | ReferenceAct | ModelAct | RunAct
_TYPES: dict[str, type[QualityRecord]] = {
    "alarm": Alarm,
    "verdict": Verdict,
    "acknowledgement": Acknowledgement,
    "reference": ReferenceAct,
    "model": ModelAct,
    "run": RunAct,
}
_NAMES = {type_: name for name, type_ in _TYPES.items()}
_ADAPTERS: dict[str, TypeAdapter[Any]] = {
    name: TypeAdapter(type_) for name, type_ in _TYPES.items()
}


class RecordError(ValueError):
    """Values that are no record; the message says why."""


def to_json(record: QualityRecord) -> dict[str, Any]:
    """Return plain values with the record's type under `type`; `from_json` is the inverse."""
    name = _NAMES[type(record)]
    values = {"type": name, **_ADAPTERS[name].dump_python(record, mode="json")}
    # Where there are no channels a record is what it was before there were any.
    for part in (values, *values.get("masks", ())):
        if part.get("channels") == []:
            del part["channels"]
    return values


def from_json(values: dict[str, Any]) -> QualityRecord:
    """Return the record of plain values, or raise `RecordError`."""
    if not isinstance(values, dict):
        raise RecordError("not a record: no object")
    name = values.get("type")
    adapter = _ADAPTERS.get(name) if isinstance(name, str) else None
    if adapter is None:
        raise RecordError(f"unknown type {name!r}"[:200])
    fields = {key: value for key, value in values.items() if key != "type"}
    try:
        # As JSON, where a list may become a tuple and a text one of an enumeration, and no more.
        record: QualityRecord = adapter.validate_json(dumped(fields, inf_nan_mode="constants"))
    except ValidationError as error:
        raise RecordError(f"not a record: {name}: {first(error)}") from None
    return record


def key(record: QualityRecord) -> str:
    """Return the Kafka key: records of one thing share it, the newest tells."""
    if isinstance(record, Verdict):
        return f"verdict/{record.run}/{record.lumisection}/{record.region}"
    if isinstance(record, Alarm):
        return f"alarm/{record.id}"
    if isinstance(record, ReferenceAct):
        return f"reference/{record.time_ns}"
    if isinstance(record, ModelAct):
        return f"model/{record.time_ns}"
    if isinstance(record, RunAct):
        return f"run/{record.at}"
    return f"acknowledgement/{record.alarm}"
