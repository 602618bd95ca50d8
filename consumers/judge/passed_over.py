"""Passed over: records that a judge could not go on with, and when it is not they that are at fault."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from consumers.wire.block import DecodeError
from consumers.wire.letters import place
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from consumers.wire.letters import Letters
    from consumers.wire.record import Record

logger = logging.getLogger(__name__)

MOST_PASSED = 8
"""Records that are passed over between two snapshots because the judge could not go on with them:
with more, it is not the records that are at fault."""


class PassedOver:
    """Records, since the last snapshot, that we could not go on with."""

    def __init__(self, letters: Letters) -> None:
        self._letters = letters
        self.places: set[str] = set()

    def add(self, record: Record | None, error: Exception) -> bool:
        """Pass a record over; return False where it is not the record that is at fault."""
        if record is None:
            return False
        self.places.add(place(record))
        if len(self.places) > MOST_PASSED:
            return False
        logger.error("%s: the judge could not go on", place(record), exc_info=error)
        self._letters.refuse(record, DecodeError(Rejection.POISON, repr(error)[:200]))
        return True
