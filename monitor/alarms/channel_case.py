"""Channel case: one fault of single read-out channels, or of a group of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from monitor.detector.tree import Level
from monitor.quality.alarms import Severity
from monitor.sequential.rates import Test


@dataclass(slots=True)
class ChannelCase:
    """One fault: which channels, since when."""

    id: str
    place: str
    """Name of the channel or group that is named."""

    level: Level
    unit: int
    """Unit that crossed."""

    channels: list[int]
    """Channels that it claims, the one that says most first."""

    onset: int
    """Data-second."""

    raised: int
    severity: Severity
    test: Test
    stream: int
    odds: float
    """Natural log of the likelihood ratio since the onset, the largest so far."""

    once_in: float
    """Data-seconds after which chance alone would bring as much, the largest so far."""

    version: int = 0
    peak_at: int = 0
    """Data-second of the largest evidence: the most likely end, once it is over."""

    peak: float = 0.0
    checked_at: int = 0
    checked_path: float = 0.0
    """Data-second and log likelihood ratio of the last look at whether it goes on."""

    checked_touches: float = 0.0
    """Showers near its channels until then."""

    needed_touches: float = 0.0
    """Showers near its channels between onset and alarm."""

    said: int = 0
    closed: int | None = None
    paged: bool = False
    """Whether it has ever paged, before it came back too."""

    children: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return plain values; `from_json` is the inverse."""
        named = {"severity": self.severity.value, "test": self.test.value}
        return asdict(self) | named | {"level": self.level.value}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ChannelCase:
        """Return the case of plain values."""
        named = {
            "severity": Severity(values["severity"]),
            "test": Test(values["test"]),
            "level": Level(values["level"]),
        }
        return cls(**(values | named))
