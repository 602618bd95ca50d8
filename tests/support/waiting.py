"""Waiting for something that another process does."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import requests

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def wait_until(
    condition: Callable[[], Any], seconds: float = 30.0, what: str = "", *, every: float = 0.1
) -> Any:
    """Return the first true value of a condition, or fail after some time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(requests.RequestException):
            if value := condition():
                return value
        time.sleep(every)
    raise AssertionError(f"waited {seconds:.0f} s for {what or condition}")
