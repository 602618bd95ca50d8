"""Self-test: what became of known faults that are injected into a copy of the stream."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SelfTestResult:
    """What became of the faults of one kind."""

    fault: str
    injected: int
    found: int
    delay_s: float
    """Median delay from onset to alarm, data time, s; NaN if none was found."""
