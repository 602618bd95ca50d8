"""Health: whether a process lives and does its work, for probes and for the page."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from consumers.http.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

HANG_S = 30.0
"""A main loop that has not been round for so long hangs: /healthz says so and it is restarted."""


class Health:
    """Whether every job of the process still goes round, and whether it does its work.

    Parameters
    ----------
    patience_s
        A job that has waited this long for a read or a write to go through is not ready, s.
    now
        Seconds of a clock that never goes back.
    """

    def __init__(self, patience_s: float = 10.0, now: Callable[[], float] = time.monotonic) -> None:
        self.patience_s, self._clock = patience_s, now
        self._beats: dict[str, float] = {}
        self._ready: dict[str, bool] = {}
        self._why: dict[str, str] = {}
        self._waits: dict[tuple[str, str], float] = {}
        """Since when a job waits for what."""

    def beat(self, job: str) -> None:
        """Say that a job's main loop has been round."""
        self._beats[job] = time.monotonic()

    def ready(self, job: str, *, yes: bool) -> None:
        """Say whether a job does its work, or waits for the broker."""
        self._ready[job] = yes

    def denied(self, job: str, why: str) -> None:
        """Say why a broker does not let a job in; "" where it does."""
        self._why[job] = why
        self.beat(job)

    def waits(self, job: str, what: str) -> None:
        """Say that a job waits for something, from now on if it did not before."""
        self._waits.setdefault((job, what), self._clock())

    def went(self, job: str, what: str) -> None:
        """Say that what a job waited for went through."""
        self._waits.pop((job, what), None)

    def idles(self, job: str) -> None:
        """Say that a job has nothing to do, and so nothing to wait for."""
        for waiting in [waiting for waiting in list(self._waits) if waiting[0] == job]:
            self._waits.pop(waiting, None)

    def stuck(self) -> list[str]:
        """Return what is waited for longer than is well, since when, in words."""
        now, told = self._clock(), []
        for (job, what), since in sorted(self._waits.copy().items(), key=lambda item: item[1]):
            if now - since > self.patience_s:
                at = datetime.fromtimestamp(time.time() - (now - since), UTC)
                told.append(
                    f"{job} waits for {what} since {at:%Y-%m-%d %H:%M:%S} UTC, {now - since:.0f} s"
                )
        return told

    def alive_reply(self) -> Reply:
        """Return the answer to a liveness probe."""
        now = time.monotonic()
        silent = {job: now - at for job, at in list(self._beats.items()) if now - at > HANG_S}
        if silent:
            words = ", ".join(f"{job} silent for {age:.0f} s" for job, age in silent.items())
            return Reply(f"{words}\n".encode(), status=503)
        return Reply(b"ok\n")

    def ready_reply(self) -> Reply:
        """Return the answer to a readiness probe."""
        waiting = [job for job, yes in list(self._ready.items()) if not yes]
        stuck = self.stuck()
        if waiting or stuck or not self._ready:
            words = [f"{job} ({why})" if (why := self._why.get(job)) else job for job in waiting]
            return Reply(f"not ready: {', '.join([*words, *stuck])}\n".encode(), status=503)
        return Reply(b"ready\n")
