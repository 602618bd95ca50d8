"""References: what the tests hold showers against, certified and live."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.reference.expectation import Expectation


@dataclass(frozen=True, slots=True, eq=False)
class References:
    """The references in force."""

    certified: Expectation
    live: Expectation | None = None
    """What the stream has taught; None: nothing is believed of it yet."""

    epoch: int = 1
    """Which live reference this is, from 1."""

    guarded: bool = True
    """Whether the certified reference still bounds what is believed beside a live one."""

    @property
    def newest(self) -> Expectation:
        """Return the live reference, or the certified one where there is none."""
        return self.certified if self.live is None else self.live

    @property
    def both(self) -> tuple[Expectation, ...]:
        """Return the certified reference, and the live one if there is one."""
        return (self.certified,) if self.live is None else (self.certified, self.live)

    def shares(self, miscoverage: float) -> tuple[tuple[Expectation, float], ...]:
        """Return each reference that is tested against, and its share of a miscoverage.

        The k-th live reference has a share 6 / (π k)², so that all of them together keep it.
        """
        out: list[tuple[Expectation, float]] = []
        if self.guarded or self.live is None:
            out.append((self.certified, miscoverage))
        if self.live is not None:
            out.append((self.live, miscoverage * 6 / (math.pi * self.epoch) ** 2))
        return tuple(out)
