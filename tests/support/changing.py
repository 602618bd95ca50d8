"""Changing conditions: a monitor that judges a stream under orders about references."""

from __future__ import annotations

import numpy as np
from streams import GEOMETRY, Stream, expectation

from monitor.judging.monitor import Monitor
from monitor.judging.settings import MonitorSettings
from monitor.quality.reference_acts import Order, ReferenceAct
from monitor.reference.live import LiveSettings

SHORT = LiveSettings(quarantine_s=0, horizon_s=600)
LAYER = GEOMETRY.n_cells


def monitor(stream: Stream) -> Monitor:
    reference = expectation(4000, np.random.default_rng(3))
    return Monitor(stream.detector, GEOMETRY, reference, MonitorSettings(live=SHORT))


def conditions(run: int, key: str) -> ReferenceAct:
    return ReferenceAct(Order.CONDITIONS, "Ada", 7, run=run, key=key)


def in_force(said) -> list[ReferenceAct]:
    return [record for record in said if isinstance(record, ReferenceAct)]
