"""Knocks: who asks to act without the token is counted, and told once a minute."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

TOLD_S = 60.0
"""Wall-clock time between two lines, s: a thousand knocks a second must not fill the disk."""


class Knocks:
    """Counts wrong tokens; called from the server's threads."""

    def __init__(self, count: Callable[[], None]) -> None:
        self._count = count
        self._since = 0
        self._told = float("-inf")
        self._lock = threading.Lock()

    def __call__(self, address: str) -> None:
        """Note a wrong token from an address."""
        self._count()
        with self._lock:
            self._since += 1
            now = time.monotonic()
            if now - self._told < TOLD_S:
                return
            self._told, n, self._since = now, self._since, 0
        _log.warning("%d wrong tokens at the page, the newest from %s", n, address)
