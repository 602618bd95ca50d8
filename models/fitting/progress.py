"""Progress: what a fit tells while it runs, and at its end."""

from __future__ import annotations

from typing import NamedTuple


class Progress(NamedTuple):
    """Where a fit is, after each epoch."""

    phase: str
    epoch: int
    epochs: int
    train: float
    """Mean loss a shower."""

    held_out: float
    best: float
    """Best held-out loss so far."""


class Losses(NamedTuple):
    """Mean losses of a trained phase."""

    train: float
    held_out: float
    error: float
    """Standard error of their difference."""

    dimensions: int
    """How many dimensions they are sums over."""

    epochs: int
    """Those that it was given."""

    fell: float
    """By how much the held-out loss fell in the latter half of them, 0 if it ended before them."""
