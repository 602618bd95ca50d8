"""Run acts: what the data acquisition says of the beginning and the end of runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import with_config

from monitor.quality.bounds import SPOKEN, Count, Number32, RegionId
from monitor.quality.reference_acts import MAX_KEY


class RunOrder(StrEnum):
    """What may be said of a run."""

    START = "start"
    END = "end"


class RunNow(StrEnum):
    """What the data acquisition says of the run."""

    UNSAID = "unsaid"
    """It says nothing of runs."""

    ON = "on"
    BETWEEN = "between"


@with_config(SPOKEN)
@dataclass(frozen=True, slots=True)
class RunAct:
    """A run begins or has ended. Nobody needs to say so; who does is told more."""

    order: RunOrder
    run: Number32
    at: Count
    """Offset of the record that said so: it counts once."""

    regions: tuple[RegionId, ...] | None = None
    """Ids of the regions that are in the run, where it begins; None: not said."""

    key: str | None = None
    """Of the conditions that hold from this run on; None: not said."""

    def __post_init__(self) -> None:
        if self.order is RunOrder.END and (self.regions is not None or self.key is not None):
            raise ValueError("regions and conditions are of a run that begins")
        if len(self.key or "") > MAX_KEY:
            raise ValueError(f"conditions have a key of at most {MAX_KEY} characters")
