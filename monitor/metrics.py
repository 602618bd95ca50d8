"""Metrics: every exported series, and no other. The only file that imports prometheus_client."""

from __future__ import annotations

import threading
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import (
    CounterMetricFamily,
    Exemplar,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    StateSetMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from monitor.alarms import Level, Severity
from monitor.quality import Quality
from monitor.rejection import Rejection
from monitor.windows import LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray
    from prometheus_client.core import Metric

    from models.scored import Scored
    from monitor.alarms import Alarm
    from monitor.detector import Detector
    from monitor.view import Standing

SCORE_EDGES = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0)
"""Edges of the histogram of −log10 p: a unit is a decade, whatever the model."""

SECONDS_EDGES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
AGE_EDGES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0)
BATCH_EDGES = (64.0, 256.0, 1024.0, 4096.0, 16384.0)

MAX_REGION_LABELS = 256
"""Beyond this many regions, series are kept by sector: 25 series a region are paid for each."""

EXEMPLAR_ROOM = 128
"""Characters that OpenMetrics allows for the names and values of an exemplar's labels."""

SKIPPED = ("late", "masked", "shed")
"""Why a shower that could be scored was left out on purpose."""

REFUSED = ("fenced", "gap", "model", "malformed")
"""Why the judge refuses a range of windows."""

STAGES = ("decode", "score", "tally", "publish")


class WorkerState(StrEnum):
    """What a score worker is doing."""

    STARTING = "starting"
    SCORING = "scoring"
    IDLE = "idle"
    STOPPING = "stopping"


class JudgeState(StrEnum):
    """What a judge is doing."""

    STARTING = "starting"
    STANDBY = "standby"
    ACTIVE = "active"
    STOPPING = "stopping"


class Exposition:
    """A registry and its text: one process, one exposition, whatever jobs the process does."""

    def __init__(self, version: str) -> None:
        # A second series per child, which no rule reads, would almost double the scrape.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.info("calodqm_build", "Software that runs.").info({"version": version})
        self.lag = self.gauge(
            "calodqm_consumer_lag_records",
            "End of the partition less our position.",
            "topic",
            "partition",
        )

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """Return a new counter; `_total` is added to its name."""
        return Counter(name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """Return a new gauge."""
        return Gauge(name, text, labels, registry=self.registry)

    def histogram(self, name: str, text: str, edges: tuple[float, ...], *labels: str) -> Histogram:
        """Return a new histogram, for what is observed once a batch."""
        return Histogram(name, text, labels, buckets=edges, registry=self.registry)

    def info(self, name: str, text: str) -> Info:
        """Return a new set of facts; `_info` is added to its name."""
        return Info(name, text, registry=self.registry)

    def states(self, name: str, text: str, states: type[StrEnum]) -> Enum:
        """Return a new state set, in the first of its states."""
        return Enum(name, text, states=[s.value for s in states], registry=self.registry)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the text that a scraper with this Accept header wants, and its content type.

        Exemplars exist in OpenMetrics only; Prometheus asks for that by itself.
        """
        encoder, content_type = choose_encoder(accept)
        return encoder(self.registry), content_type


class WorkerMetrics:
    """Series of a score worker; its methods are called once a batch, never once a shower."""

    def __init__(self, exposition: Exposition, detector: Detector, *, topic: str) -> None:
        """Create every series at 0: a counter that is born at 500 shows a rate of 0."""
        new = exposition
        self._topic = topic
        self._showers = _Showers(detector)
        new.registry.register(self._showers)
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
        self._lag = new.lag
        self._ours: set[str] = set()
        self._assigned = new.gauge(
            "calodqm_assigned_partitions", "Partitions that are ours.", "topic"
        ).labels(topic)
        self._rebalances = new.counter("calodqm_rebalances", "Assignments that changed.")
        self._failures = new.counter(
            "calodqm_publish_failures", "Windows that the broker did not take at once."
        )
        self._last = new.gauge(
            "calodqm_last_shower_timestamp_seconds", "Data time of the newest shower."
        )
        self._run = new.gauge("calodqm_run_number", "Run of the newest shower.")
        self._section = new.gauge("calodqm_lumisection_number", "Lumisection of the newest shower.")
        self._model = new.info("calodqm_model", "Artefact in force.")
        self._state = new.states("calodqm_worker_state", "What the worker is doing.", WorkerState)

    def consumed(self, records: int) -> None:
        """Count Kafka records taken."""
        self._records.inc(records)

    def rejected(self, reason: Rejection, records: int = 1) -> None:
        """Count records that could not be used."""
        self._rejects.labels(reason.value).inc(records)

    def missing(self, blocks: int) -> None:
        """Count holes in a producer's numbering."""
        self._missing.inc(blocks)

    def scored(
        self,
        scored: Scored,
        region: NDArray[np.int64],
        expected_rate: NDArray[np.float64],
        *,
        where: Callable[[int], Mapping[str, str]],
        at: float,
    ) -> None:
        """Count a batch of N scored showers.

        Parameters
        ----------
        region
            Region id of each shower, shape (N,).
        expected_rate
            Expected exceedances of a good shower per condition cell and level, shape (K, A).
        where
            Labels of a shower's exemplar (event, record), given its index in the batch.
        at
            Wall clock, s since 1970 UTC.
        """
        self._showers.add(scored, region, expected_rate, where, at)
        self._batch.observe(scored.n)

    def skipped(self, region: NDArray[np.int64], reason: str) -> None:
        """Count showers left out on purpose; `reason` is one of `SKIPPED`."""
        self._showers.skip(region, reason)

    def stage(self, name: str, seconds: float) -> None:
        """Count the time of one stage for one batch."""
        self._stage.labels(name).observe(seconds)

    def published(self, time_ns: int, run: int, lumisection: int, at: float) -> None:
        """Note the newest shower of a published batch, and how old it was."""
        self._last.set(time_ns / 1e9)
        self._run.set(run)
        self._section.set(lumisection)
        self._age.observe(max(0.0, at - time_ns / 1e9))

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
        for partition in ours:
            self._lag.labels(self._topic, partition)
        self._ours = ours

    def lag(self, partition: int, records: int) -> None:
        """Note how far behind a partition of ours is."""
        self._lag.labels(self._topic, str(partition)).set(records)

    def model(self, family: str, sha256: str, version: str) -> None:
        """Note the artefact in force."""
        self._model.info({"family": family, "sha256": sha256, "version": version})

    def state(self, state: WorkerState) -> None:
        """Note what the worker is doing."""
        self._state.state(state.value)


class _Showers(Collector):
    """Everything that is counted by region, as arrays; R rows, the last for unknown regions."""

    def __init__(self, detector: Detector) -> None:
        names, self._row = _region_rows(detector)
        self._names = [*names, "other"]
        rows, bins = len(self._names), len(SCORE_EDGES) + 1
        self._scored = np.zeros(rows, np.int64)
        self._unscored = np.zeros(rows, np.int64)
        self._skipped = np.zeros((rows, len(SKIPPED)), np.int64)
        self._anomalous = np.zeros((rows, len(LEVELS)), np.int64)
        self._expected = np.zeros((rows, len(LEVELS)))
        self._counts = np.zeros((rows, bins), np.int64)
        self._sums = np.zeros(rows)
        self._bin_exemplars: dict[tuple[int, int], Exemplar] = {}
        self._level_exemplars: dict[tuple[int, int], Exemplar] = {}
        self._lock = threading.Lock()  # the worker adds, the scrape reads

    def add(
        self,
        scored: Scored,
        region: NDArray[np.int64],
        expected_rate: NDArray[np.float64],
        where: Callable[[int], Mapping[str, str]],
        at: float,
    ) -> None:
        all_rows = self._rows(region)
        index = np.flatnonzero(scored.valid)
        row, p = all_rows[index], scored.p_combined[index]
        n_rows, n_bins = self._counts.shape
        score = -np.log10(p)
        place = row * n_bins + np.searchsorted(SCORE_EDGES, score, side="left")  # le is inclusive
        cell = row * len(expected_rate) + scored.condition_cell[index]
        per_cell = np.bincount(cell, minlength=n_rows * len(expected_rate))
        expected = per_cell.reshape(n_rows, -1) @ expected_rate
        anomalous = [np.bincount(row[p <= alpha], minlength=n_rows) for alpha in LEVELS]
        worst = _worst(place, score, score >= -np.log10(LEVELS[1]))
        exemplars = [_exemplar(where(int(index[i])), float(score[i]), at) for i in worst]
        with self._lock:
            self._scored += np.bincount(row, minlength=n_rows)
            self._unscored += np.bincount(all_rows[~scored.valid], minlength=n_rows)
            self._anomalous += np.stack(anomalous, axis=1)
            self._expected += expected
            self._counts += np.bincount(place, minlength=n_rows * n_bins).reshape(n_rows, n_bins)
            self._sums += np.bincount(row, weights=score, minlength=n_rows)
            for i, exemplar in zip(worst, exemplars, strict=True):
                if exemplar is not None:
                    self._remember(int(place[i]), float(score[i]), exemplar)

    def _remember(self, place: int, score: float, exemplar: Exemplar) -> None:
        row, bin_ = divmod(place, self._counts.shape[1])
        self._bin_exemplars[row, bin_] = exemplar
        for level, alpha in enumerate(LEVELS):
            if score >= -np.log10(alpha):
                self._level_exemplars[row, level] = exemplar

    def skip(self, region: NDArray[np.int64], reason: str) -> None:
        counts = np.bincount(self._rows(region), minlength=len(self._names))
        with self._lock:
            self._skipped[:, SKIPPED.index(reason)] += counts

    def _rows(self, region: NDArray[np.int64]) -> NDArray[np.int64]:
        other = len(self._names) - 1
        known = (region >= 0) & (region < len(self._row))
        return np.where(known, self._row[np.where(known, region, 0)], other)

    def collect(self) -> Iterable[Metric]:
        """Yield the families, as they were at one moment."""
        with self._lock:
            counts, sums = self._counts.copy(), self._sums.copy()
            tables = [
                (_SCORED, None, self._scored.copy()),
                (_UNSCORED, None, self._unscored.copy()),
                (_SKIPPED, SKIPPED, self._skipped.copy()),
                (_EXPECTED, _LEVEL_NAMES, self._expected.copy()),
            ]
            anomalous = self._anomalous.copy()
            in_bin, at_level = dict(self._bin_exemplars), dict(self._level_exemplars)
        for (name, text, label), values, table in tables:
            labels = ["region"] if label is None else ["region", label]
            family = CounterMetricFamily(name, text, labels=labels)
            for row, region in enumerate(self._names):
                for column, value in enumerate(np.atleast_1d(table[row])):
                    extra = [] if values is None else [values[column]]
                    family.add_metric([region, *extra], value.item())
            yield family
        yield self._anomalous_family(anomalous, at_level)
        yield self._score_family(counts, sums, in_bin)

    def _anomalous_family(
        self, table: NDArray[np.int64], exemplars: dict[tuple[int, int], Exemplar]
    ) -> Metric:
        family = CounterMetricFamily(
            "calodqm_anomalous_showers",
            "Showers whose p-value is at most the level.",
            labels=["region", "level"],
        )
        for row, region in enumerate(self._names):
            for column, level in enumerate(_LEVEL_NAMES):
                exemplar = exemplars.get((row, column))
                family.add_metric([region, level], int(table[row, column]), exemplar=exemplar)
        return family

    def _score_family(
        self,
        counts: NDArray[np.int64],
        sums: NDArray[np.float64],
        exemplars: dict[tuple[int, int], Exemplar],
    ) -> Metric:
        family = HistogramMetricFamily(
            "calodqm_anomaly_score",
            "Minus log10 of the p-value against the reference in force.",
            labels=["region"],
        )
        edges = [*map(floatToGoString, SCORE_EDGES), "+Inf"]
        for row, region in enumerate(self._names):
            cumulative = np.cumsum(counts[row])
            buckets = [
                (edge, int(cumulative[i]), exemplars[row, i])
                if (row, i) in exemplars
                else (edge, int(cumulative[i]))
                for i, edge in enumerate(edges)
            ]
            family.add_metric([region], buckets, float(sums[row]))
        return family


_LEVEL_NAMES = tuple(f"{alpha:g}" for alpha in LEVELS)
_SCORED = ("calodqm_showers_scored", "Showers that got a p-value.", None)
_UNSCORED = ("calodqm_showers_unscored", "Showers whose score was not finite.", None)
_SKIPPED = ("calodqm_showers_skipped", "Showers left out on purpose.", "reason")
_EXPECTED = (
    "calodqm_expected_anomalous_showers",
    "Showers that a good detector would have put at or below the level, given their conditions.",
    "level",
)


def _region_rows(detector: Detector) -> tuple[list[str], NDArray[np.int64]]:
    """Return the label values, and the row of every region id up to the largest."""
    by_sector = len(detector.regions) > MAX_REGION_LABELS
    names = [region.sector if by_sector else region.name for region in detector.regions]
    labels = list(dict.fromkeys(names))
    rows = np.full(max(region.id for region in detector.regions) + 1, len(labels), np.int64)
    for region, name in zip(detector.regions, names, strict=True):
        rows[region.id] = labels.index(name)
    return labels, rows


def _worst(
    place: NDArray[np.int64], score: NDArray[np.float64], strange: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return the indices of the highest score in each place, among the strange."""
    index = np.flatnonzero(strange)
    order = index[np.argsort(score[index], kind="stable")]
    _, last = np.unique(place[order][::-1], return_index=True)
    # Mildest first, so that the worst of a region is what its counters remember.
    return (
        np.sort(order.size - 1 - last) if not order.size else order[np.sort(order.size - 1 - last)]
    )


def _exemplar(labels: Mapping[str, str], value: float, at: float) -> Exemplar | None:
    # prometheus_client raises on a long one only at exposition, where it would cost the scrape.
    if sum(len(name) + len(text) for name, text in labels.items()) > EXEMPLAR_ROOM:
        return None
    return Exemplar(dict(labels), value, at)


class JudgeMetrics:
    """Series of a judge: what the monitor stands at, and what became of the windows."""

    def __init__(self, exposition: Exposition, detector: Detector, *, topic: str) -> None:
        new = exposition
        self._topic = topic
        self._standing = _Standing(detector)
        new.registry.register(self._standing)
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

    def lag(self, records: int, partition: int = 0) -> None:
        """Note how far behind the windows topic the judge is."""
        self._lag.labels(self._topic, str(partition)).set(records)

    def standing(self, standing: Standing) -> None:
        """Take over what the monitor stands at now."""
        self._standing.now = standing

    def state(self, state: JudgeState) -> None:
        """Note what the judge is doing."""
        self._state.state(state.value)


class _Standing(Collector):
    """The newest `Standing` as families; it is replaced whole, so reading needs no lock."""

    def __init__(self, detector: Detector) -> None:
        self.now: Standing | None = None
        self._places = [
            (Level.DETECTOR, detector.name),
            *((Level.SECTOR, sector) for sector in detector.sectors),
        ]
        if len(detector.regions) <= MAX_REGION_LABELS:
            self._places += [(Level.REGION, region.name) for region in detector.regions]

    def collect(self) -> Iterable[Metric]:
        """Yield the families."""
        now = self.now
        yield from self._alarms(now)
        if now is None:
            return
        yield _quality(now)
        yield _gauge(
            "calodqm_data_timestamp_seconds", "Newest judged data-second.", now.data_second or 0
        )
        yield _gauge(
            "calodqm_false_pages_allowed", "False pages that the time watched allows.",
            now.budget.allowed,
        )  # fmt: skip
        yield _gauge("calodqm_pages_spent", "Pages raised in that time.", now.budget.pages)
        yield _gauge(
            "calodqm_masked_regions",
            "Regions taken out by hand.",
            sum(row.masked for row in now.board),
        )
        yield _gauge(
            "calodqm_reference_showers", "Showers in the reference.", now.reference.showers
        )
        if now.reference_distance is not None:
            yield _gauge(
                "calodqm_reference_distance",
                "Distance of the live reference from the certified one.",
                now.reference_distance,
            )
        info = InfoMetricFamily("calodqm_reference", "Reference in force.")
        ref = now.reference
        info.add_metric([], {"id": ref.id, "origin": ref.origin, "model": ref.model})
        yield info
        yield from _self_tests(now)

    def _alarms(self, now: Standing | None) -> Iterable[Metric]:
        alarms = () if now is None else now.alarms
        loud = set() if now is None else {alarm.id for alarm in now.unacknowledged()}
        labels = ["level", "place", "severity"]
        opened = GaugeMetricFamily(
            "calodqm_alarms_open", "Open alarms that nobody has acknowledged.", labels=labels
        )
        taken = GaugeMetricFamily(
            "calodqm_alarms_acknowledged", "Open alarms in somebody's hands.", labels=labels
        )
        for level, place in self._places:
            for severity in Severity:
                here = [
                    a for a in alarms if (a.level, a.place, a.severity) == (level, place, severity)
                ]
                n_loud = sum(a.id in loud for a in here)
                opened.add_metric([level, place, severity], n_loud)
                taken.add_metric([level, place, severity], len(here) - n_loud)
        yield opened
        yield taken
        yield from _evidence(alarms)


def _evidence(alarms: tuple[Alarm, ...]) -> Iterable[Metric]:
    """Yield what is known of each open alarm; these series live as long as the alarm."""
    labels = ["level", "place", "severity", "kind"]
    onset = GaugeMetricFamily(
        "calodqm_alarm_onset_timestamp_seconds",
        "Most likely start of an open alarm's fault, data time.",
        labels=labels,
    )
    odds = GaugeMetricFamily(
        "calodqm_alarm_log10_odds",
        "Evidence of an open alarm against nothing being wrong.",
        labels=labels,
    )
    # Two alarms of one place and kind would be one series twice: the stronger stands for both.
    ranked = sorted(alarms, key=lambda alarm: alarm.log10_odds)
    strongest = {(a.level, a.place, a.severity, a.kind): a for a in ranked}
    for names, alarm in strongest.items():
        onset.add_metric([str(name) for name in names], alarm.onset_ns / 1e9)
        odds.add_metric([str(name) for name in names], alarm.log10_odds)
    yield onset
    yield odds


def _quality(now: Standing) -> Metric:
    family = StateSetMetricFamily(
        "calodqm_region_quality", "Verdict on the region now.", labels=["region"]
    )
    for row in now.board[:MAX_REGION_LABELS]:
        family.add_metric([row.name], {q.value: q is row.quality for q in Quality})
    return family


def _self_tests(now: Standing) -> Iterable[Metric]:
    labels = ["fault"]
    injected = CounterMetricFamily(
        "calodqm_selftest_injected", "Faults injected into the shadow stream.", labels=labels
    )
    found = CounterMetricFamily(
        "calodqm_selftest_found", "Injected faults that raised an alarm.", labels=labels
    )
    for test in now.self_tests:
        injected.add_metric([test.fault], test.injected)
        found.add_metric([test.fault], test.found)
    yield injected
    yield found


def _gauge(name: str, text: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, text)
    family.add_metric([], value)
    return family
