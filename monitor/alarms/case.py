"""Case: one fault, from the first crossing until its evidence has melted."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from monitor.quality.alarms import Kind, Severity
from monitor.sequential.rates import Test


@dataclass(slots=True)
class Case:
    """One fault: what is open, where, since when."""

    id: str
    place: int
    """Row of the place that is named."""

    regions: list[int]
    """Rows of the regions that it claims, in [0, R)."""

    diffuse: bool
    """No region of the place stands out: the place's own evidence keeps it open."""

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

    kind: Kind = Kind.UNKNOWN
    """Likely kind, as people were told last."""

    version: int = 0
    peak: float = 0.0
    """Largest log likelihood ratio of the stream that found it."""

    peak_at: int = 0
    """Data-second of it: the most likely end, once it is over."""

    heard: int = 0
    """Data-seconds that said something of it since the last look at whether it goes on."""

    checked_path: float = 0.0
    """Log likelihood ratio then."""

    said: int = 0
    """Data-second of the newest version."""

    closed: int | None = None
    paged: bool = False
    """Whether it has ever paged, before it came back too."""

    children: list[str] = field(default_factory=list)

    def shared(self, other: Case) -> int:
        """Return how many regions two cases have in common."""
        return len(set(self.regions) & set(other.regions))

    def copy(self) -> Case:
        """Return a case of its own with the same values."""
        return Case.from_json(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return plain values; `from_json` is the inverse."""
        words = {name: getattr(self, name).value for name in ("severity", "test", "kind")}
        return asdict(self) | words

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Case:
        """Return the case of plain values."""
        named = {
            "severity": Severity(values["severity"]),
            "test": Test(values["test"]),
            "kind": Kind(values["kind"]),
        }
        return cls(**(values | named))
