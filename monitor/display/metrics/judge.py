"""Series of a judge: what the monitor stands at, and what became of the windows."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from monitor.display.metrics.counted import CountedSeries
from monitor.display.metrics.shadow import ShadowSeries
from monitor.display.metrics.standing import StandingSeries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.detector.tree import Detector
    from monitor.display.metrics.exposition import Exposition
    from monitor.display.standing import Standing


class JudgeRole(StrEnum):
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
        self._counted = CountedSeries()
        new.registry.register(self._counted)
        self.undigested = new.undigested
        self._tokens = new.counter(
            "calodqm_page_tokens_refused", "Requests to act on the page without its token."
        )
        self._lag, self._lag_age = new.lag, new.lag_age
        self.lag(0, 0)
        self._past = new.gauge(
            "calodqm_past_records",
            "Records of windows from before that are still to be judged, while what comes is.",
        )
        self._state = new.states("calodqm_judge_state", "What the judge is doing.", JudgeRole)

    def counted(self, tally: Mapping[str, int] | None) -> None:
        """Take over what the state counts, None while it is behind what was counted before."""
        self._counted.now = tally

    def token_refused(self) -> None:
        """Count a request to act that did not know the token."""
        self._tokens.inc()

    def lag(self, records: float, age_s: float) -> None:
        """Note how far behind the windows topic the judge is, and how old the answer is, s."""
        self._lag.labels(self._topic, "0").set(records)
        self._lag_age.labels(self._topic, "0").set(age_s)

    def past(self, records: int) -> None:
        """Note how many records of the past are still to be judged."""
        self._past.set(records)

    def standing(self, standing: Standing | None) -> None:
        """Take over what the monitor stands at now; None while another judge is to tell."""
        self._standing.now = standing

    def shadow(self, model: str, report: dict[str, Any]) -> None:
        """Take over how the model in shadow compares now; an empty name is none."""
        self._shadow.now = (model, report) if model else None

    def state(self, state: JudgeRole) -> None:
        """Note what the judge is doing."""
        self._state.state(state.value)
