"""Settings of a judge."""

from __future__ import annotations

from dataclasses import dataclass

from consumers.exactly_once.seconds import LATENCY_S


@dataclass(frozen=True)
class JudgeSettings:
    """What an operator may set."""

    name: str
    model: str
    """Content hash of the model to begin with, where the topics name none."""

    fingerprint: str
    """Of detector and settings: a snapshot of another one is not taken up."""

    snapshot_s: float = 20.0
    """Wall-clock time between snapshots, s: what a successor has to read again."""

    show_s: float = 0.5
    """Wall-clock time between two shows of the standing, s."""

    shadow_s: int = 30
    """Data-seconds that a model must have seen in shadow without a gap before it takes over."""

    skip: frozenset[str] = frozenset()
    """Places of records that are passed over, as the log writes them."""

    behind: int = 2000
    """Records of windows that are read before the judge is live; with more, a deputy judges."""

    live_s: float = 120.0
    """How far a deputy looks back, time of the log, s."""

    latency_s: float = LATENCY_S
    """Most latency of a partition that is learnt and waited for, data time, s."""
