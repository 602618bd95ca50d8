"""Channel cost: CPU a shower, CPU and memory of the judge, and bytes, with channels and without."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from consumers.app import wiring
from consumers.bench.channel_stream import Stream, watching, whole_barrel, whole_of
from consumers.wire import window_form
from monitor.windows.channel_sums import NO_CHANNELS

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.scoring.artefact import Artefact
    from monitor.detector.tree import Detector
    from monitor.windows.window import Window

RATES = (1_000.0, 10_000.0)
SECONDS = 6
"""Of each rate: two steps of the tests."""

REPEATS = 3


def cost(artefact: Artefact, seed: int) -> dict[str, Any]:
    """Return what channels cost, in the whole barrel."""
    detector, channels = whole_barrel()
    whole = whole_of(channels, artefact, seed)
    form = wiring.form_of(artefact)
    told: dict[str, Any] = {"channels": len(channels), "rates": []}
    bare = replace(detector, channels=None)
    for rate in RATES:
        stream = Stream(artefact, detector, whole, rate, seed)
        windows = list(stream.windows(SECONDS))
        stripped = [replace(window, channels=NO_CHANNELS) for window in windows]
        with_, without = (
            float(np.mean([len(window_form.encode_windows([w], form)) for w in some]))
            for some in (windows, stripped)
        )
        told["rates"].append({
            "rate": rate,
            "rows_a_second": float(np.mean([w.channels.n for w in windows])),
            "bytes_a_second": {"with": with_, "without": without},
            "judge": {
                "without": _judge(artefact, bare, len(channels), stripped),
                "with": _judge(artefact, detector, len(channels), windows),
            },
            "worker_us": _worker(artefact, stream, int(rate)),
        })  # fmt: skip
    return told


def _worker(artefact: Artefact, stream: Stream, n: int) -> dict[str, float]:
    """Return the CPU of scoring and of sums, microseconds a shower, in batches of n."""
    showers, scored = stream.scored(n)
    scorer = artefact.scorer("cpu")
    return {
        "score": fastest_us(lambda: scorer.score(showers), showers.n),
        "sums_by_region": fastest_us(lambda: stream.by_region(showers, scored), showers.n),
        "sums_by_channel": fastest_us(lambda: stream.by_channel(showers, scored), showers.n),
    }


def _judge(
    artefact: Artefact, detector: Detector, n_channels: int, windows: list[Window]
) -> dict[str, float]:
    """Return CPU of a data-second, ms, and what the process has grown by, MiB."""
    process = psutil.Process()
    before = process.memory_info().rss
    judge = watching(artefact, detector, n_channels)

    def play() -> None:
        for window in windows:
            judge.observe(window, masked=True)

    begun = time.process_time()
    play()
    ms = 1e3 * (time.process_time() - begun) / len(windows)
    return {"cpu_ms": ms, "grown_mib": (process.memory_info().rss - before) / 2**20}


def fastest_us(work: Callable[[], object], n: int) -> float:
    """Return the CPU of the fastest of some repeats, microseconds a shower."""
    took = []
    for _ in range(REPEATS):
        begun = time.process_time()
        work()
        took.append(time.process_time() - begun)
    return 1e6 * min(took) / n
