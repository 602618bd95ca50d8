"""Streams that a monitor judges, and what it said of them."""

from __future__ import annotations

import numpy as np
from streams import GEOMETRY, Stream, expectation

from monitor.judging.monitor import Monitor
from monitor.judging.settings import MonitorSettings
from monitor.quality.alarms import Alarm, State
from monitor.quality.verdicts import Verdict

STRIP = 3
LAYER = GEOMETRY.n_cells


def monitor(stream: Stream, n_ref: int = 50_000, **settings) -> Monitor:
    rng = np.random.default_rng(99)
    return Monitor(stream.detector, GEOMETRY, expectation(n_ref, rng), MonitorSettings(**settings))


def play(judge: Monitor, stream: Stream, seconds: int, **how) -> list[Alarm | Verdict]:
    return [said for _ in range(seconds) for said in judge.observe(stream.next(), **how)]


def alarms(said) -> list[Alarm]:
    return [record for record in said if isinstance(record, Alarm)]


def verdicts(said) -> list[Verdict]:
    return [record for record in said if isinstance(record, Verdict)]


def begin(stream: Stream, fault: dict) -> None:
    """Let a fault begin: what it changes of the stream, by name."""
    for name, value in fault.items():
        setattr(stream, name, getattr(stream, name) | value)


def raised(said) -> list[Alarm]:
    return [a for a in alarms(said) if a.state is State.RAISED]
