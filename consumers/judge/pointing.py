"""Pointing: the strangest showers, beside what people are shown."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from consumers.judge.state import JudgeState
    from monitor.display.standing import Standing
    from monitor.quality.alarms import Alarm, WorstShower

SHOWN_WORST = 6
"""Worst showers that an alarm points at."""

SHOWN_S = 300
"""Data-seconds from which the page shows the strangest showers."""


def with_showers(state: JudgeState, standing: Standing) -> Standing:
    """Return the standing with the strangest showers: of each alarm, and of the last minutes."""
    since_ns = ((standing.data_second or 0) - SHOWN_S) * 1_000_000_000
    late = [w for kept in state.worst.values() for w in kept if w.time_ns >= since_ns]
    return replace(
        standing,
        alarms=tuple(replace(alarm, worst=worst(state, alarm)) for alarm in standing.alarms),
        worst=tuple(sorted(late, key=lambda w: (w.p, w.event_id))[:SHOWN_WORST]),
        stream=state.stream(standing.stream),
    )


def worst(state: JudgeState, alarm: Alarm) -> tuple[WorstShower, ...]:
    """Return the worst showers in the alarm's regions since its onset."""
    regions = {share.region for share in alarm.regions} or set(state.worst)
    showers = [
        shower
        for region in sorted(regions)
        for shower in state.worst.get(region, ())
        if shower.time_ns >= alarm.onset_ns
    ]
    return tuple(sorted(showers, key=lambda s: (s.p, s.event_id))[:SHOWN_WORST])
