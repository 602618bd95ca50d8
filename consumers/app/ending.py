"""Ending: a process that is told to stop has stopped within ten seconds, whoever is away."""

from __future__ import annotations

import os
import signal
import sys
import threading

STOP_S = 5.0
"""Jobs have so long to end once they are told to: Docker kills what takes ten seconds."""

LAST_S = 8.0
"""After this a process that was told to stop ends where it stands."""


def stop_on_signals(stopping: threading.Event) -> None:
    """Have SIGINT and SIGTERM set the event; the second SIGINT ends the program at once."""

    def stop(number: int, _: object) -> None:
        if stopping.is_set():
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return
        stopping.set()
        last = threading.Timer(LAST_S, leave, [0])
        last.daemon = True
        last.start()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def leave(code: int) -> None:
    """End the process where it stands, before clients try to say goodbye to nobody.

    That is as safe as a kill: what was not said is read again.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def heed_the_end() -> None:
    """Have SIGTERM end a process that nothing else would end: the first of a container.

    The kernel gives that one no signal that it does not ask for.
    """
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda *_: leave(128 + signal.SIGTERM))
