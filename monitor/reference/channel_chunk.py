"""Channel chunks: stretches of the stream, of which some channels are accepted and others are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from monitor.windows.channel_sums import ChannelSums


@dataclass(slots=True)
class ChannelChunk:
    """A stretch of the stream that is in quarantine, or that can still be taken out."""

    start: int
    sums: ChannelSums
    flagged: NDArray[np.bool_]
    """Channels that are not believed, shape (C,)."""

    counted: NDArray[np.bool_]
    """Channels that have been accepted, shape (C,)."""
