"""Any case: what cases of regions and of channels have in common."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import ConfigDict, TypeAdapter, with_config

from monitor.quality.alarms import Severity
from monitor.sequential.rates import Test

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
    """Largest log likelihood ratio of the likeliest stream of its test, after that it was found."""

    peak_at: int = 0
    """Data-second of it: the most likely end, once it is over."""

    checked: list[float] = field(default_factory=list)
    """Log likelihood ratios at the last look at whether it goes on, of all streams that ask what the
    one that found it does; empty: nobody has looked."""

    said: int = 0
    """Data-second of the newest version."""

    closed: int | None = None
    paged: bool = False
    """Whether it has ever paged, before it came back too."""

    children: list[str] = field(default_factory=list)

    def hear(self, paths: NDArray[np.float64], now: int) -> None:
        """Take note of the log likelihood ratios of the streams that ask what its own does."""
        top = float(paths.max())
        if top > self.peak:
            self.peak, self.peak_at = top, now
        self.checked = self.checked or paths.tolist()

    def goes_on(self, paths: NDArray[np.float64]) -> bool:
        """Return whether the likeliest of these streams has gained since the last look.

        A fault may be found by a bet on more than there is, which then melts.
        """
        best = int(np.argmax(paths))
        gained = float(paths[best]) > self.checked[best]
        self.checked = paths.tolist()
        return gained

    def to_json(self) -> dict[str, Any]:
        """Return plain values; `from_json` is the inverse."""
        return {k: v.value if isinstance(v, Enum) else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Return the case of plain values."""
        case: Self = _adapter(cls).validate_python(values)  # type: ignore[arg-type]  # a class has a hash
        return case
