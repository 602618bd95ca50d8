"""Fenced: partitions of ours of which the judge says that our ranges do not count."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumers.score.pending_range import PendingRange
    from consumers.wire.control import Notice
    from consumers.wire.ranges import Stream


@dataclass(slots=True)
class Fenced:
    """Remembers since when we have known of notices on partitions of ours."""

    patience_s: float
    """Another of the group may rightly have a partition; we would hear of that within this, s."""

    _since: dict[Notice, float] = field(default_factory=dict)

    def ready(
        self, stretches: Mapping[int, PendingRange], notices: Mapping[Stream, Notice], now: float
    ) -> dict[int, Notice]:
        """Return what is to be opened anew, and why.

        Parameters
        ----------
        now
            Of the clock that only goes on, s.
        """
        ours = {
            partition: notices[stretch.stream]
            for partition, stretch in stretches.items()
            if stretch.stream in notices and notices[stretch.stream].token == stretch.token
        }
        self._since = {notice: self._since.get(notice, now) for notice in ours.values()}
        return {
            partition: notice
            for partition, notice in ours.items()
            if not notice.holder or now - self._since[notice] >= self.patience_s
        }
