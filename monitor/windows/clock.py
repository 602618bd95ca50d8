"""Clock: where in the data a monitor is. Data time only: no monitor knows another."""

from __future__ import annotations

from dataclasses import astuple, dataclass

SECOND_NS = 1_000_000_000


@dataclass(slots=True)
class Clock:
    """The newest data-second, the run that it is of, and how long has been watched."""

    run: int = -1
    lumisection: int = -1
    second: int | None = None
    """Newest data-second; None before the first."""

    watched: int = 0
    """Data-seconds in all."""

    run_watched: int = 0
    """Data-seconds since evidence was last started anew."""

    run_since: int = 0
    """First data-second of the run."""

    @property
    def now(self) -> int:
        """Return the newest data-second, 0 before the first."""
        return self.second if self.second is not None else 0

    @property
    def now_ns(self) -> int:
        """Return it in ns since 1970 UTC."""
        return self.now * SECOND_NS

    def tick(self, run: int, lumisection: int) -> None:
        """Count a data-second of a run."""
        self.run, self.lumisection = run, lumisection
        self.watched += 1
        self.run_watched += 1

    def state(self) -> list[int | None]:
        """Return all of it."""
        return list(astuple(self))
