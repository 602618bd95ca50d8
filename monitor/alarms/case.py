"""Case: one fault of regions, from the first crossing until its evidence has melted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from pydantic import ConfigDict, with_config

from monitor.alarms.any_case import AnyCase
from monitor.quality.alarms import Kind


@with_config(ConfigDict(extra="forbid"))
@dataclass(slots=True, kw_only=True)
class Case(AnyCase):
    """One fault: what is open, where, since when."""

    place: int
    """Row of the place that is named."""

    regions: list[int]
    """Rows of the regions that it claims, in [0, R)."""

    diffuse: bool
    """No region of the place stands out: the place's own evidence keeps it open."""

    kind: Kind = Kind.UNKNOWN
    """Likely kind, as people were told last."""

    heard: int = 0
    """Data-seconds that said something of it since the last look at whether it goes on."""

    def shared(self, other: Case) -> int:
        """Return how many regions two cases have in common."""
        return len(set(self.regions) & set(other.regions))

    @property
    def first_place(self) -> str:
        """Return the name of the place at which it was raised."""
        return self.id.rpartition("-")[0]

    def copy(self) -> Self:
        """Return a case of its own with the same values."""
        return self.from_json(self.to_json())
