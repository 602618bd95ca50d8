"""Series of what keeps a process out: who it says it is was believed, and is not any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.display.metrics.exposition import Exposition


class Denials:
    """Which jobs of a process are denied by the broker, and why."""

    def __init__(self, exposition: Exposition) -> None:
        self._why: dict[str, str] = {}
        self._jobs = exposition.gauge(
            "calodqm_broker_denials",
            "Jobs whose certificate, password or token is denied, or who deny the broker's.",
        )

    def note(self, job: str, why: str) -> None:
        """Note why a job is denied; "" if it is not."""
        self._why |= {job: why}
        self._jobs.set(len(self.reasons()))

    def reasons(self) -> list[str]:
        """Return why, each reason once."""
        return sorted({why for why in list(self._why.values()) if why})
