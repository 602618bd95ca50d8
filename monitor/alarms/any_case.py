"""Any case: what cases of regions and of channels have in common."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from pydantic import ConfigDict, TypeAdapter, with_config

from monitor.quality.alarms import Severity
from monitor.sequential.rates import Test

if TYPE_CHECKING:
    from collections.abc import Callable


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
    followed: int = -1
    """Stream that tells whether it goes on, of the test that found it; -1: the one that did."""

    peak: float = 0.0
    """Largest log likelihood ratio of the stream that is followed."""

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

    @property
    def telling(self) -> int:
        """Return the stream that tells whether it goes on."""
        return self.stream if self.followed < 0 else self.followed

    def hear(self, likeliest: int, path_of: Callable[[int], float], now: int) -> float:
        """Return the log likelihood ratio of the stream that tells whether it goes on.

        A fault may be found by a bet on more than there is, which then melts: the likeliest one is
        followed, as soon as it says more; from then on, a stretch of its own speaks for it.

        Parameters
        ----------
        likeliest
            Of the streams that ask what the telling one does.
        path_of
            Returns the log likelihood ratio of a stream since its onset.
        """
        path = path_of(self.telling)
        if likeliest != self.telling and path_of(likeliest) > path:
            self.followed = likeliest
            path = self.checked_path = self.peak = path_of(likeliest)
        if path > self.peak:
            self.peak, self.peak_at = path, now
        return path

    def to_json(self) -> dict[str, Any]:
        """Return plain values; `from_json` is the inverse."""
        return {k: v.value if isinstance(v, Enum) else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Return the case of plain values."""
        case: Self = _adapter(cls).validate_python(values)  # type: ignore[arg-type]  # a class has a hash
        return case
