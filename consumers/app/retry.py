"""Service: a job with its connections, run again with patience while the broker is away."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from consumers.wire.record import Unavailable

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

logger = logging.getLogger(__name__)

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 10.0
CALM_S = 60.0
"""A job that ran this long before it failed starts again at the shortest wait."""


def keep_running(job: Callable[[], None], name: str, stopping: threading.Event) -> None:
    """Run a job until told to stop; where the broker is away, wait and run it anew.

    A job keeps nothing that it needs across runs: it comes back to where the topics say it was.
    What is not `Unavailable` is not caught: a crash and a restart are safe, going on is not.
    """
    wait = FIRST_WAIT_S
    while not stopping.is_set():
        began = time.monotonic()
        try:
            job()
        except Unavailable as error:
            if time.monotonic() - began > CALM_S:
                wait = FIRST_WAIT_S
            logger.warning("%s waits, again in %.1f s: %s", name, wait, error)
            stopping.wait(wait)
            wait = min(2 * wait, LONGEST_WAIT_S)
