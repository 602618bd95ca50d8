"""Plain: records as values that JSON takes."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Return records, enumerations and arrays as JSON values; NaN and infinities become null.

    Whole numbers beyond 2**53 become text: a browser would round an event id.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.ndarray):
        items = value.tolist()
        return items if np.all(np.abs(value) <= 2**53) else [plain(item) for item in items]
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return _number(value)


def _number(value: Any) -> Any:
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if isinstance(value, int) and abs(value) > 2**53:
        return str(value)
    return value
