"""Relay: what is said of runs goes from its topic onto the windows topic, once.

The judge's state is a function of the windows topic alone, so that is where a beginning and an end
take their place among the windows. Every process follows the runs topic; the judge in office alone
passes on what its state has not taken in yet.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from consumers.wire import run_form, topics
from consumers.wire.block import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consumers.wire.record import Record
    from monitor.quality.run_acts import RunAct

logger = logging.getLogger(__name__)

KEPT = 1000
"""Acts that wait to be passed on; beyond, the oldest is forgotten."""

AGAIN_S = 5.0
"""What is not seen on the windows topic after this is passed on again, s."""


class Relay:
    """The acts that were read, until they are seen on the windows topic."""

    def __init__(self) -> None:
        self._acts: dict[int, RunAct] = {}
        self._passed: dict[int, float] = {}
        self._lock = threading.Lock()

    def follow(self, records: Iterable[Record | None]) -> None:
        """Take in records of the runs topic."""
        for record in records:
            if record is None:
                continue
            try:
                act = run_form.decode(record)
            except DecodeError as error:
                logger.warning("%s[0]@%d: %s", topics.RUNS, record.offset, error)
                continue
            with self._lock:
                self._acts[act.at] = act
                if len(self._acts) > KEPT:
                    del self._acts[min(self._acts)]

    def due(self, taken: int, now: float) -> list[RunAct]:
        """Return what is to be passed on now, in order.

        Parameters
        ----------
        taken
            Offset of the runs topic up to which the judge's state has taken acts in.
        now
            By a clock that only goes on, s.
        """
        with self._lock:
            self._acts = {at: act for at, act in self._acts.items() if at >= taken}
            acts = [self._acts[at] for at in sorted(self._acts)]
        due = [act for act in acts if now - self._passed.get(act.at, -AGAIN_S) >= AGAIN_S]
        self._passed = {act.at: self._passed.get(act.at, now) for act in acts}
        self._passed |= {act.at: now for act in due}
        return due
