"""Threads: jobs in a thread each; all stop together, and one crash stops all."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from consumers.app.ending import STOP_S, leave
from consumers.app.retry import keep_running

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)


class Threads:
    """Runs jobs until told to stop.

    Parameters
    ----------
    stopping
        Set when all are to stop.
    patience_s
        For how long who we are may be denied before a job gives up, s.
    waits
        As of `retry.keep_running`.
    """

    def __init__(
        self, stopping: threading.Event, patience_s: float, waits: Callable[[str, str], None]
    ) -> None:
        self._stopping, self._patience_s, self._waits = stopping, patience_s, waits
        self._ready = threading.Event()
        self._jobs: list[tuple[str, Callable[[], None]]] = []
        self.errors: list[BaseException] = []
        """What jobs crashed with."""

    def add(self, name: str, job: Callable[[], None]) -> None:
        """Add a job, before they are started."""
        self._jobs.append((name, job))

    def ready(self) -> None:
        """Let the jobs begin."""
        self._ready.set()

    def start(self, name: str, prepare: Callable[[], None]) -> list[threading.Thread]:
        """Start what prepares for all jobs, and every job; they wait for `ready`."""
        bodies = [(name, prepare)]
        bodies += [(name, partial(self._run, name, job)) for name, job in self._jobs]
        threads = [
            threading.Thread(target=self._guarded, args=(body,), name=name, daemon=True)
            for name, body in bodies
        ]
        for thread in threads:
            thread.start()
        return threads

    def _run(self, name: str, job: Callable[[], None]) -> None:
        while not self._ready.wait(0.1):
            if self._stopping.is_set():
                return
        # Who got this far had been let in.
        keep_running(job, name, self._stopping, patience_s=self._patience_s, waits=self._waits)

    def _guarded(self, body: Callable[[], None]) -> None:
        try:
            body()
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            self.errors.append(error)
            self._stopping.set()

    def finish(self, threads: list[threading.Thread]) -> bool:
        """Wait until told to stop, and for the end of the jobs; return whether all have ended.

        A job that waits for a broker that is away is left where it is after `STOP_S`: what it has
        not said is read again. The process then ends without a further word to anybody.
        """
        self._stopping.wait()
        deadline = time.monotonic() + STOP_S
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        left = [thread.name for thread in threads if thread.is_alive()]
        if left:
            logger.warning("left waiting for the broker: %s", ", ".join(left))
            atexit.register(leave, 2 if self.errors else 0)
        return not left
