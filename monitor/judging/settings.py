"""Settings: what an operator may set of a monitor."""

from __future__ import annotations

from dataclasses import dataclass, field

from monitor.reference.live import LiveSettings
from monitor.sequential.budget import Allowance
from monitor.sequential.rates import Floors


@dataclass(frozen=True, slots=True)
class MonitorSettings:
    """What an operator may set."""

    allowance: Allowance = field(default_factory=Allowance)
    floors: Floors = field(default_factory=Floors)
    miscoverage: float = 0.05
    """Probability, over references, that a bound on what the reference expects fails."""

    cell_seconds: int = 3
    """Data-seconds between steps of the cell tests."""

    min_showers: int = 50
    """Fewer showers of a region in a lumisection leave its verdict NULL."""

    model: str = ""
    """Content hash of the artefact that scores."""

    score_names: tuple[str, ...] = ()
    software: str = "0.1.0"
    live: LiveSettings = field(default_factory=LiveSettings)
