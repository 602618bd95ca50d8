"""Channel chunks: stretches of the stream, of which some channels are accepted and others are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.windows.channel_sums import ChannelSums
    from monitor.windows.channel_table import ChannelTable


@dataclass(slots=True)
class ChannelChunk:
    """A stretch of the stream that is in quarantine, or that can still be taken out."""

    start: int
    sums: ChannelSums
    flagged: NDArray[np.bool_]
    """Channels that are not believed, shape (C,)."""

    counted: NDArray[np.bool_]
    """Channels that have been accepted, shape (C,)."""

    def move(
        self,
        channels: NDArray[np.bool_],
        pool: NDArray[np.int64],
        total: ChannelTable,
        exposure: NDArray[np.int64],
    ) -> None:
        """Let a total that holds what is counted here hold what came of these channels, exactly.

        Parameters
        ----------
        channels
            Shape (C,).
        pool, exposure
            See `monitor.reference.channel_constants.learnt`; the exposure is changed in place.
        """
        for moved, sign in ((channels & ~self.counted, 1), (self.counted & ~channels, -1)):
            total.add(self.sums.of(moved[self.sums.channel]), sign)
        exposure += self.exposed(channels, pool)
        exposure -= self.exposed(self.counted, pool)

    def exposed(self, channels: NDArray[np.bool_], pool: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the showers that the pool of each of some channels had, by these alone, (C,).

        The others of the pool, whatever they draw, count as the mean of these.
        """
        sums = self.sums
        core = (sums.ring == 0) & channels[sums.channel]
        showers = np.bincount(pool[sums.channel[core]], sums.showers[core], pool.max() + 1)
        each = showers.astype(np.int64) * np.bincount(pool)
        each //= np.maximum(np.bincount(pool, channels).astype(np.int64), 1)
        out: NDArray[np.int64] = each[pool] * channels
        return out
