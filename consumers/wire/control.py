"""Control: which models score and what is masked, as the judge last said it on the models topic.

The judge decides, from what people say on the windows topic, and says the outcome here under one
key: compaction keeps the newest. Workers follow it. Nothing is counted by it: a range names the
models whose windows it carries, so workers may follow late.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from consumers.wire import topics
from monitor.quality.acknowledgements import NOTHING_MASKED, Masked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consumers.wire.record import Record, Sink

logger = logging.getLogger(__name__)

KEY = "control"


@dataclass(frozen=True, slots=True)
class Control:
    """What is in force."""

    at: int
    """Offset of the windows topic up to which the judge had come: a lower one is older."""

    first: str
    """Hash of the model with which the log began: a judge without a snapshot begins with it."""

    primary: str
    """Hash of the model that is judged by."""

    shadow: str = ""
    """Hash of the model that runs beside it, empty if there is none."""

    masked: Masked = NOTHING_MASKED
    """What the crew has masked."""

    comparison: dict[str, Any] = field(default_factory=dict)
    """How the two compare, for people; see `monitor.judging.comparison.Comparison.report`."""


def publish(sink: Sink, control: Control) -> None:
    """Say what is in force; whoever missed it hears it again with the next snapshot."""
    told = {name: getattr(control, name) for name in Control.__slots__}
    value = orjson.dumps({"control": told | {"masked": control.masked.to_json()}})
    sink.append(topics.MODELS, value, key=KEY, partition=0)


def control_of(record: Record) -> Control | None:
    """Return what a record of the models topic puts in force, None if it is of another kind."""
    if record.key != KEY.encode():
        return None
    try:
        fields: dict[str, Any] = orjson.loads(record.value or b"")["control"]
        known = {name: fields[name] for name in Control.__slots__ if name in fields}
        masked = Masked.from_json(known.pop("masked", NOTHING_MASKED.to_json()))
        return _checked(Control(**known, masked=masked))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        logger.warning("%s@%d: %s", record.topic, record.offset, error)
        return None


def _checked(control: Control) -> Control:
    models = (control.first, control.primary, control.shadow)
    if type(control.at) is not int or any(type(name) is not str for name in models):
        raise TypeError("at is a whole number, models are texts")
    return control


def newest(records: Iterable[Record]) -> Control | None:
    """Return what is in force by the records of the topic, None if nothing is said yet."""
    found: Control | None = None
    for record in records:
        control = control_of(record)
        if control is not None and (found is None or control.at >= found.at):
            found = control
    return found
