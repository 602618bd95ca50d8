"""Series: they follow what the topics hold.

What was scored and not said is scored again, here or by another worker, and counted there. So a
stretch carries its counts, and they count once its range is safe.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from consumers.score.pending_range import PendingRange
    from consumers.score.scoring import Batch, ModelsInForce
    from models.scoring.scored import Scored
    from monitor.display.metrics.showers import ShowerCounts
    from monitor.display.metrics.worker import WorkerMetrics


@dataclass(frozen=True, slots=True)
class Counted:
    """Counts in the series of a worker."""

    metrics: WorkerMetrics

    def seen(self, stretch: PendingRange) -> ShowerCounts:
        """Return the counts of a stretch."""
        if stretch.seen is None:
            stretch.seen = self.metrics.blank()
        return stretch.seen

    def scored(
        self,
        scored: Scored,
        batch: Batch,
        lineup: ModelsInForce,
        stretches: Mapping[int, PendingRange],
    ) -> None:
        """Count a batch, less the regions that are masked as a whole."""
        self.metrics.batch(scored.n)
        columns, at = batch.columns, time.time()
        masked = np.isin(columns["region"], lineup.masked.regions)
        for partition in np.unique(columns["partition"]).tolist():
            seen = self.seen(stretches[partition])
            ours = columns["partition"] == partition
            seen.skip(columns["region"][ours & masked], "masked")
            seen.add(
                scored,
                columns["region"],
                lineup.primary.expected_rate,
                partial(_where, columns),
                at,
                np.flatnonzero(ours & ~masked),
            )

    def safe(self, stretch: PendingRange) -> None:
        """Count what a range has said."""
        self.metrics.consumed(stretch.records)
        for reason, records in stretch.rejects.items():
            self.metrics.rejected(Rejection(reason), records)
        self.metrics.missing(stretch.missing)
        self.metrics.uncounted(stretch.uncounted)
        if stretch.seen is not None:
            self.metrics.showers(stretch.seen)
        if stretch.showers:
            self.metrics.published(*stretch.newest, time.time())


def _where(columns: Mapping[str, NDArray[np.int64]], i: int) -> dict[str, str]:
    return {
        "event": str(columns["event_id"][i]),
        "record": f"{columns['partition'][i]}@{columns['offset'][i]}",
    }
