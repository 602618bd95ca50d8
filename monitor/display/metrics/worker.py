"""Series of a score worker."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from monitor.display.metrics.showers import Showers
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from monitor.detector.tree import Detector
    from monitor.display.metrics.exposition import Exposition
    from monitor.display.metrics.showers import ShowerCounts

SECONDS_EDGES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
AGE_EDGES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0)
BATCH_EDGES = (64.0, 256.0, 1024.0, 4096.0, 16384.0)

REOPENED = ("fenced", "gap")
"""Why the judge does not count the ranges of a worker."""

AHEAD_S = 60.0
"""A shower's time that is so far ahead of the clock is wrong."""

STAGES = ("decode", "score", "tally", "publish")


class WorkerState(StrEnum):
    """What a score worker is doing."""

    STARTING = "starting"
    SCORING = "scoring"
    IDLE = "idle"
    STOPPING = "stopping"


class WorkerMetrics:
    """Series of a score worker; its methods are called once a batch, never once a shower."""

    def __init__(self, exposition: Exposition, detector: Detector, *, topic: str) -> None:
        """Create every series at 0: a counter that is born at 500 shows a rate of 0."""
        self._topic = topic
        self._showers = Showers(detector)
        exposition.registry.register(self._showers)
        self._of_records(exposition, topic)
        self._of_batches(exposition)
        self._of_partitions(exposition, topic)
        self._of_newest(exposition)
        self._of_model(exposition)
        self._state = exposition.states(
            "calodqm_worker_state", "What the worker is doing.", WorkerState
        )

    def _of_records(self, new: Exposition, topic: str) -> None:
        self._records = new.counter(
            "calodqm_records_consumed", "Kafka records taken.", "topic"
        ).labels(topic)
        self._rejects = new.counter(
            "calodqm_records_rejected", "Records that no shower could be read from.", "reason"
        )
        for reason in Rejection:
            self._rejects.labels(reason.value)
        self._missing = new.counter(
            "calodqm_blocks_missing", "Blocks that a producer counted and nobody saw."
        )
        self._uncounted = new.counter(
            "calodqm_records_uncounted",
            "Records without producer or count: if some were lost, nobody would know.",
        )

    def _of_batches(self, new: Exposition) -> None:
        self._age = new.histogram(
            "calodqm_shower_age_seconds",
            "From the time of a batch's newest shower to its publication.",
            AGE_EDGES,
        )
        self._stage = new.histogram(
            "calodqm_stage_seconds", "Time a batch takes.", SECONDS_EDGES, "stage"
        )
        for stage in STAGES:
            self._stage.labels(stage)
        self._batch = new.histogram("calodqm_batch_showers", "Showers scored at once.", BATCH_EDGES)

    def _of_partitions(self, new: Exposition, topic: str) -> None:
        self._lag, self._lag_age = new.lag, new.lag_age
        self._ours: set[str] = set()
        self._assigned = new.gauge(
            "calodqm_assigned_partitions", "Partitions that are ours.", "topic"
        ).labels(topic)
        self._reopened = new.counter(
            "calodqm_partitions_reopened",
            "Partitions opened anew, as their ranges did not count.",
            "reason",
        )
        for why in REOPENED:
            self._reopened.labels(why)
        self._rebalances = new.counter("calodqm_rebalances", "Assignments that changed.")
        self._failures = new.counter(
            "calodqm_publish_failures", "Windows that the broker did not take at once."
        )

    def _of_newest(self, new: Exposition) -> None:
        self._last = new.gauge(
            "calodqm_last_shower_timestamp_seconds", "Data time of the newest shower."
        )
        self._run = new.gauge("calodqm_run_number", "Run of the newest shower.")
        self._section = new.gauge("calodqm_lumisection_number", "Lumisection of the newest shower.")

    def _of_model(self, new: Exposition) -> None:
        self._model = new.info("calodqm_model", "Artefact in force.")
        self._compiled = new.gauge(
            "calodqm_model_compiled", "1 if a compiled program evaluates the model in force."
        )
        self._card_square = new.gauge(
            "calodqm_model_latent_square",
            "Mean square over all latents, by the model's card.",
            "sample",
        )
        self._card_ratio = new.gauge(
            "calodqm_model_anomalous_ratio",
            "Share of good showers at or below a level, by the model's card.",
            "sample",
            "level",
        )

    def consumed(self, records: int) -> None:
        """Count Kafka records taken."""
        self._records.inc(records)

    def rejected(self, reason: Rejection, records: int = 1) -> None:
        """Count records that could not be used."""
        self._rejects.labels(reason.value).inc(records)

    def missing(self, blocks: int) -> None:
        """Count holes in a producer's numbering."""
        self._missing.inc(blocks)

    def uncounted(self, records: int) -> None:
        """Count records whose producers do not count."""
        self._uncounted.inc(records)

    def blank(self) -> ShowerCounts:
        """Return counts of showers at zero, to be added by `showers`."""
        return self._showers.blank()

    def showers(self, counts: ShowerCounts) -> None:
        """Add showers that were counted."""
        self._showers.add(counts)

    def batch(self, showers: int) -> None:
        """Note how many showers were scored at once."""
        self._batch.observe(showers)

    def stage(self, name: str, seconds: float) -> None:
        """Count the time of one stage for one batch."""
        self._stage.labels(name).observe(seconds)

    def published(self, time_ns: int, run: int, lumisection: int, at: float) -> None:
        """Note the newest shower of a published batch, and how old it was.

        One that is not taken yet has a wrong clock: it must not look as if all others were old.
        """
        if time_ns / 1e9 > at + AHEAD_S:
            return
        self._last.set(time_ns / 1e9)
        self._run.set(run)
        self._section.set(lumisection)
        self._age.observe(max(0.0, at - time_ns / 1e9))

    def reopened(self, why: str) -> None:
        """Count a partition that was opened anew; `reason` is one of `REOPENED`."""
        self._reopened.labels(why).inc()

    def publish_failed(self) -> None:
        """Count a publication that has to be tried again."""
        self._failures.inc()

    def assigned(self, partitions: Iterable[int]) -> None:
        """Note which partitions are ours; the lag of the others is somebody else's to tell."""
        ours = {str(partition) for partition in partitions}
        self._assigned.set(len(ours))
        self._rebalances.inc()
        for partition in self._ours - ours:
            self._lag.remove(self._topic, partition)
            self._lag_age.remove(self._topic, partition)
        for partition in ours:
            self._lag.labels(self._topic, partition).set(math.nan)
            self._lag_age.labels(self._topic, partition).set(math.inf)
        self._ours = ours

    def lag(self, partition: int, records: float, age_s: float) -> None:
        """Note how far behind a partition of ours is."""
        self._lag.labels(self._topic, str(partition)).set(records)
        self._lag_age.labels(self._topic, str(partition)).set(age_s)

    def model(
        self, family: str, sha256: str, version: str, card: Mapping[str, Any] | None = None
    ) -> None:
        """Note the artefact in force, and of its card what live figures are compared with."""
        self._model.info({"family": family, "sha256": sha256, "version": version})
        self._card_square.clear()
        self._card_ratio.clear()
        for sample in ("certified", "held_out"):
            figures = (card or {}).get(sample, {})
            if "latent_square" in figures:
                self._card_square.labels(sample).set(figures["latent_square"])
        # The card's own key for all condition cells together.
        ratios = (card or {}).get("held_out", {}).get("exceedance", {}).get("-1", {})
        for level, ratio in ratios.items():
            self._card_ratio.labels("held_out", level).set(ratio)

    def compiled(self, *, is_so: bool) -> None:
        """Note whether a compiled program evaluates the model in force."""
        self._compiled.set(is_so)

    def state(self, state: WorkerState) -> None:
        """Note what the worker is doing."""
        self._state.state(state.value)
