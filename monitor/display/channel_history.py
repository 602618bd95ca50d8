"""Channel history: what each channel showed minute by minute, for people to look at."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.sequential.channel_streams import INNER, SCOPES
from monitor.windows.channel_table import ChannelTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.windows.channel_sums import ChannelSums

MINUTE_S = 60
KEPT = 60
"""Minutes that are remembered; a judge that takes over begins anew."""


@dataclass(frozen=True, slots=True, eq=False)
class Minute:
    """A minute of C channels near the centre of showers, in half precision: it is for looking."""

    start: int
    """First data-second."""

    showers: NDArray[np.float32]
    mean: NDArray[np.float16]
    """Of the standardised latent, NaN without showers."""

    spread: NDArray[np.float16]
    """Mean square."""

    lit: NDArray[np.float16]
    """Times lit over expected ones."""


class ChannelHistory:
    """The minutes of late.

    Parameters
    ----------
    n_channels
        C.
    """

    def __init__(self, n_channels: int) -> None:
        self.minutes: deque[Minute] = deque(maxlen=KEPT)
        self._table = ChannelTable(n_channels)
        self._start: int | None = None

    def add(self, second: int, sums: ChannelSums) -> None:
        """Take in a data-second."""
        start = second - second % MINUTE_S
        if self._start is not None and start > self._start:
            self.minutes.append(minute(self._start, self._table))
            self._table.clear()
        self._start = start if self._start is None else max(self._start, start)
        self._table.add(sums)


def minute(start: int, table: ChannelTable) -> Minute:
    """Return what sums come to."""
    n, mean, spread, lit = inner(table)
    return Minute(
        start,
        n.astype(np.float32),
        mean.astype(np.float16),
        spread.astype(np.float16),
        lit.astype(np.float16),
    )


def inner(
    table: ChannelTable,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return showers, mean, mean square and lit ratio near the centre, (C,) each; NaN if unknown."""
    n, z, square, lit, expected = (
        table[name] @ SCOPES[INNER] for name in ("showers", "z", "z_square", "lit", "lit_expected")
    )
    some = np.where(n > 0, n, np.nan)
    return n, z / some, square / some, lit / np.where(expected > 0, expected, np.nan)
