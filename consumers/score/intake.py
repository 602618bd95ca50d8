"""Intake: records become blocks of showers, or rejects with a reason."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from consumers.wire import letters
from consumers.wire.block import DecodeError, Expected
from consumers.wire.codec import decode
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from consumers.score.pending_range import PendingRange
    from consumers.score.scoring import ScoringModel
    from consumers.score.settings import WorkerSettings
    from consumers.wire.block import Block
    from consumers.wire.record import Record
    from models.detector.geometry import Geometry

logger = logging.getLogger(__name__)

DAY_NS = 24 * 3600 * 10**9


@dataclass(frozen=True, slots=True)
class Intake:
    """What a worker takes."""

    settings: WorkerSettings
    geometry: Geometry
    regions: frozenset[int]
    """Ids of the regions that there are."""

    region_of_seed: NDArray[np.int64] | None
    """Region id of each channel that may be a seed; None if the detector says no channels."""

    def block(self, record: Record, stretch: PendingRange, model: ScoringModel) -> Block | None:
        """Return a record's block, noted in its stretch; None if it is rejected there."""
        try:
            if letters.place(record) in self.settings.skip:
                raise DecodeError(Rejection.SKIPPED, "the settings pass it over")  # noqa: TRY301
            if record.unread:
                raise DecodeError(Rejection.CORRUPT, record.unread)  # noqa: TRY301
            # Not by the record's time alone: it may be in seconds, or missing.
            latest = max(record.timestamp_ms * 1_000_000, time.time_ns()) + DAY_NS
            block = decode(
                record.value, self.geometry, expected=self._expected(model), latest_ns=latest
            )
        except DecodeError as error:
            stretch.rejects[error.reason.value] += 1
            stretch.letters.append(letters.encode(letters.letter_of(record, error)))
            logger.info(
                "rejected %s[%d]@%d: %s", record.topic, record.partition, record.offset, error
            )
            return None
        stretch.noted(block, record.key)
        return block

    def _expected(self, model: ScoringModel) -> Expected:
        return Expected(
            self.regions,
            model.conditions,
            self.settings.earliest_ns,
            model.form.most_rows,
            self.region_of_seed,
        )

    def too_old(self, record: Record, stretch: PendingRange) -> bool:
        """Return whether a record has waited longer than it may, where old ones are left out.

        Unless the broker's clock wrote it, its time is a hint of whoever produced it: seconds for
        milliseconds, none, a clock of its own. So nothing is left out of a partition that we have
        been at the end of meanwhile, or came to just now; and what has waited by our own clock is,
        unless its time says that it is younger.
        """
        limit = self.settings.shed_after_s
        kept_up_at = stretch.kept_up_at
        if not record.broker_time:
            kept_up_at = max(kept_up_at, stretch.opened_at)
        behind = time.monotonic() - kept_up_at
        waited = time.time() - record.timestamp_ms / 1000
        return behind > limit and not 0 <= waited <= limit
