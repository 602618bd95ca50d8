"""Whole numbers: options that count something are whole, whatever a file says."""

from __future__ import annotations

from numbers import Integral

from models.fitting.checkpoint import TrainingError


def whole(options: object, *names: str) -> None:
    """Raise `TrainingError` unless the fields of these names are whole numbers."""
    for name in names:
        value = getattr(options, name)
        if not is_whole(value):
            raise TrainingError(f"{name} must be a whole number, not {value!r}")


def is_whole(value: object) -> bool:
    """Return whether a value is a whole number; 2.0 and true are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)
