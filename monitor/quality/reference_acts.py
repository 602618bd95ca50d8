"""Reference acts: what people may say about references and conditions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import with_config

from monitor.quality.bounds import SPOKEN, Count, Number32

MAX_KEY = 100
"""Characters of a conditions key."""


class Order(StrEnum):
    """What can be ordered of the live reference."""

    FREEZE = "freeze"
    THAW = "thaw"
    RESET = "reset"
    ROLLBACK = "rollback"
    """Take out what was accepted since a time."""

    ANCHOR = "anchor"
    """Take what has come since a time as what is good from now on, for these conditions."""

    CONDITIONS = "conditions"
    """Say which conditions hold, from a run on."""


TIMED = frozenset({Order.ROLLBACK, Order.ANCHOR})
"""Orders that need a time."""


@with_config(SPOKEN)
@dataclass(frozen=True, slots=True)
class ReferenceAct:
    """One order about the live reference."""

    order: Order
    who: str
    time_ns: Count
    """When it was given, ns since 1970 UTC."""

    since_ns: Count | None = None
    """Data time from which on nothing is believed, or from which on all is good."""

    run: Number32 | None = None
    """First run of the conditions."""

    key: str = ""
    """Of the conditions: run period, beam mode, high voltage, in words of one's own."""

    in_force: bool = False
    """True where a judge tells that it is so from now on, and nobody orders it."""

    def __post_init__(self) -> None:
        if (self.since_ns is None) == (self.order in TIMED):
            raise ValueError("a rollback and an anchor, and nothing else, needs a time")
        if (self.run is None) == (self.order is Order.CONDITIONS):
            raise ValueError("conditions, and nothing else, need a run")
        if len(self.key) > MAX_KEY or (self.key and self.order is not Order.CONDITIONS):
            raise ValueError(f"conditions have a key, of at most {MAX_KEY} characters")
