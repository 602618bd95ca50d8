"""Any case: what cases of regions and of channels have in common."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import Enum
from functools import cache
from typing import Any, Self

from pydantic import ConfigDict, TypeAdapter, with_config

from monitor.quality.alarms import Severity
from monitor.sequential.rates import Test


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


@with_config(ConfigDict(extra="forbid"))
@dataclass(slots=True, kw_only=True)
class AnyCase:
    """One fault, from the first crossing until its evidence has melted."""

    id: str
    place: int | str
    """What it is about: a row of the places, or a name."""

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
    peak: float = 0.0
    """Largest log likelihood ratio of the stream that found it."""

    peak_at: int = 0
    """Data-second of it: the most likely end, once it is over."""

    checked_path: float = 0.0
    """Log likelihood ratio at the last look at whether it goes on."""

    said: int = 0
    """Data-second of the newest version."""

    closed: int | None = None
    paged: bool = False
    """Whether it has ever paged, before it came back too."""

    children: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return plain values; `from_json` is the inverse."""
        return {k: v.value if isinstance(v, Enum) else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Return the case of plain values."""
        case: Self = _adapter(cls).validate_python(values)  # type: ignore[arg-type]  # a class has a hash
        return case
