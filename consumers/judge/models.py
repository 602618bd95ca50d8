"""Models, as far as a judge needs them, each with the monitor that judges by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from consumers.wire.window_form import WindowForm
    from monitor.judging.monitor import Monitor


@dataclass(frozen=True)
class JudgingModel:
    """A model, as far as a judge needs it."""

    hash: str
    title: str
    """What people call it."""

    form: WindowForm
    expected_rate: NDArray[np.float64]
    """Share of good showers beyond each level, by condition cell, shape (K, A)."""

    make_monitor: Callable[[], Monitor]
    """Returns a monitor that has seen nothing."""

    misfits: tuple[str, ...] = ()
    """What does not fit of it, a line each: it was taken by order."""


@dataclass(slots=True)
class ModelMonitor:
    """A model with the monitor that judges by it."""

    model: JudgingModel
    monitor: Monitor

    @classmethod
    def new(cls, model: JudgingModel) -> ModelMonitor:
        """Return a side that has seen nothing."""
        return cls(model, model.make_monitor())
