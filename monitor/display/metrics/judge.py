"""Series of a judge: what the monitor stands at, and what became of the windows."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from monitor.display.metrics.shadow import ShadowSeries
from monitor.display.metrics.standing import StandingSeries
from monitor.quality.alarms import Severity

if TYPE_CHECKING:
    from monitor.detector.tree import Detector
    from monitor.display.metrics.exposition import Exposition
    from monitor.display.standing import Standing
    from monitor.quality.alarms import Alarm

REFUSED = ("fenced", "gap", "model", "malformed", "region")
"""Why the judge refuses a range of windows."""


class JudgeState(StrEnum):
    """What a judge is doing."""

    STARTING = "starting"
    STANDBY = "standby"
    ACTIVE = "active"
    STOPPING = "stopping"


class JudgeMetrics:
    """Series of a judge: what the monitor stands at, and what became of the windows."""

    def __init__(self, exposition: Exposition, detector: Detector, *, topic: str) -> None:
        new = exposition
        self._topic = topic
        self._standing = StandingSeries(detector)
        new.registry.register(self._standing)
        self._shadow = ShadowSeries()
        new.registry.register(self._shadow)
        self._accepted = new.counter("calodqm_ranges_accepted", "Ranges of windows counted.")
        self._refused = new.counter(
            "calodqm_ranges_refused", "Ranges of windows not counted.", "reason"
        )
        for reason in REFUSED:
            self._refused.labels(reason)
        self._judged = new.counter("calodqm_showers_judged", "Showers in accepted windows.")
        self._late = new.counter(
            "calodqm_windows_late", "Windows that came after their second was judged."
        )
        self._raised = new.counter("calodqm_alarms_raised", "Alarms raised.", "severity")
        for severity in Severity:
            self._raised.labels(severity.value)
        self.undigested = new.undigested
        self._tokens = new.counter(
            "calodqm_page_tokens_refused", "Requests to act on the page without its token."
        )
        self._lag = new.lag
        self._lag.labels(topic, "0")
        self._state = new.states("calodqm_judge_state", "What the judge is doing.", JudgeState)

    def accepted(self, showers: int) -> None:
        """Count a range of windows that was taken, and its showers."""
        self._accepted.inc()
        self._judged.inc(showers)

    def refused(self, reason: str) -> None:
        """Count a range that was not taken; `reason` is one of `REFUSED`."""
        self._refused.labels(reason).inc()

    def late(self) -> None:
        """Count a window whose second had been judged before it came."""
        self._late.inc()

    def raised(self, alarm: Alarm) -> None:
        """Count a new alarm."""
        self._raised.labels(alarm.severity.value).inc()

    def token_refused(self) -> None:
        """Count a request to act that did not know the token."""
        self._tokens.inc()

    def lag(self, records: int, partition: int = 0) -> None:
        """Note how far behind the windows topic the judge is."""
        self._lag.labels(self._topic, str(partition)).set(records)

    def standing(self, standing: Standing) -> None:
        """Take over what the monitor stands at now."""
        self._standing.now = standing

    def shadow(self, model: str, report: dict[str, Any]) -> None:
        """Take over how the model in shadow compares now; an empty name is none."""
        self._shadow.now = (model, report) if model else None

    def state(self, state: JudgeState) -> None:
        """Note what the judge is doing."""
        self._state.state(state.value)
