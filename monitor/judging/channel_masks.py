"""Channel masks: channels that do not count, because people say so or they are known to be bad."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.windows.clock import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from models.detector.channels import Channels
    from models.detector.known_bad import KnownBad


class ChannelMasks:
    """What is masked, and what is ignored for that or for being known to be bad."""

    def __init__(self, channels: Channels, known_bad: KnownBad | None) -> None:
        self._channels, self._known_bad = channels, known_bad
        self.masked = np.zeros(len(channels), bool)
        """What people have masked, shape (C,)."""

        self.ignored = self.masked.copy()
        """What is masked or known to be bad, shape (C,)."""

    def put(self, channels: Iterable[int]) -> None:
        """Mask these channels and no others; it counts from the next `turn` on."""
        self.masked = np.zeros(len(self._channels), bool)
        self.masked[list(channels)] = True

    def turn(self, second: int) -> NDArray[np.bool_]:
        """Put in force what holds at a data-second; return the channels that this changes, (C,)."""
        ignored = self.masked
        if self._known_bad is not None:
            ignored = ignored | self._known_bad.at(second * SECOND_NS)
        moved: NDArray[np.bool_] = ignored != self.ignored
        if moved.any():
            self.ignored = ignored
        return moved

    def left_out(self) -> dict[int, tuple[str, ...]]:
        """Return the names of the channels that are masked or known to be bad, by region's row."""
        found: dict[int, list[str]] = {}
        for channel in np.flatnonzero(self.ignored).tolist():
            found.setdefault(int(self._channels.region[channel]), []).append(
                self._channels.name(channel)
            )
        return {row: tuple(names) for row, names in found.items()}
