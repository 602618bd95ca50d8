"""Retry: a job with its connections, run again with patience while the broker is away."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from consumers.wire.record import Denied, Unavailable

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

logger = logging.getLogger(__name__)

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 10.0
CALM_S = 60.0
"""A job that ran this long before it failed starts again at the shortest wait."""


def keep_running(
    job: Callable[[], None],
    name: str,
    stopping: threading.Event,
    *,
    patience_s: float = 0.0,
    waits: Callable[[str, str], None] | None = None,
) -> None:
    """Run a job until told to stop; where the broker is away, wait and run it anew.

    A job keeps nothing that it needs across runs: it comes back to where the topics say it was.
    What is neither `Unavailable` nor, for a while, `Denied` is not caught: a crash and a restart
    are safe, going on is not.

    Parameters
    ----------
    patience_s
        For how long who we are may be denied before it is for good, s.
    waits
        Called with the job's name and what it waits for if it was denied, "" once it was not.
    """
    wait = FIRST_WAIT_S
    denied_at: float | None = None
    while not stopping.is_set():
        began = time.monotonic()
        try:
            job()
        except (Unavailable, Denied) as error:
            now = time.monotonic()
            if now - began > CALM_S:
                wait, denied_at = FIRST_WAIT_S, None
            if isinstance(error, Denied):
                denied_at = now if denied_at is None else denied_at
                if now - denied_at >= patience_s:
                    raise
            if waits is not None:
                waits(name, str(error) if isinstance(error, Denied) else "")
            logger.warning("%s waits, again in %.1f s: %s", name, wait, error)
            stopping.wait(wait)
            wait = min(2 * wait, LONGEST_WAIT_S)
