"""The score worker: poll, decode, score, tally, and say what a stretch of a partition came to."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import numpy as np

from consumers.score.fenced import Fenced
from consumers.score.hidden import either, hidden_cells
from consumers.score.intake import Intake
from consumers.score.opening import Opening
from consumers.score.saying import Saying
from consumers.score.scoring import Batch, Part
from consumers.score.series import Counted
from consumers.score.strangest import strangest
from consumers.wire.record import Displaced
from models.showers.batch import concatenate
from monitor.display.metrics.worker import WorkerState
from monitor.judging.comparison import joint

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Mapping

    from numpy.typing import NDArray

    from consumers.score.pending_range import PendingRange
    from consumers.score.scoring import ModelsInForce
    from consumers.score.settings import WorkerSettings
    from consumers.wire.control import Notice
    from consumers.wire.ranges import Stream
    from consumers.wire.record import Clients, Record
    from models.scoring.absent import Absent
    from models.scoring.scored import Scored
    from monitor.detector.tree import Detector
    from monitor.display.metrics.worker import WorkerMetrics

logger = logging.getLogger(__name__)

NEVER_S = 86_400.0
"""What is said of a broker that never answered, s."""


class Worker:
    """Scores the partitions that its group gives it; every record is in exactly one range."""

    def __init__(
        self,
        lineup: Callable[[], ModelsInForce],
        detector: Detector,
        clients: Clients,
        settings: WorkerSettings,
        metrics: WorkerMetrics,
        beat: Callable[[], None] = lambda: None,
        notices: Callable[[], Mapping[Stream, Notice]] = dict,
    ) -> None:
        """Prepare a worker.

        Parameters
        ----------
        lineup
            Returns the models that score now; asked at every round.
        beat
            Called at every round, so that a hang can be seen.
        notices
            Returns what the judge says of ranges that do not count.
        """
        self._notices = notices
        self._fenced = Fenced(settings.patience_s)
        self._ask_lineup = lineup
        self._lineup = lineup()
        metrics.model(*self._lineup.primary.facts())
        self._intake = Intake(
            settings,
            self._lineup.primary.scorer.geometry,
            frozenset(detector.by_id),
            detector.region_of_seed,
        )
        self._detector = detector
        self._source = clients.source
        self._settings = settings
        self._counted = Counted(metrics)
        self._opening = Opening(clients, settings.name, settings.topic, settings.group)
        self._saying = Saying(
            clients, settings.name, settings.topic, settings.group, self._counted.safe
        )
        self._metrics = metrics
        self._beat = beat
        self._stretches: dict[int, PendingRange] = {}
        self._due = 0.0
        self._polled: dict[int, int] = {}
        """Newest offset that was polled of each partition."""

    def run(self, stopping: threading.Event) -> None:
        """Work until told to stop; then say what is whole and leave the group."""
        self._metrics.state(WorkerState.STARTING)
        try:
            while not stopping.is_set():
                self._step()
            self._metrics.state(WorkerState.STOPPING)
            self._emit(time.monotonic())
            self._saying.settle()
        finally:
            self._source.close()

    def _step(self) -> None:
        self._beat()
        wait = max(0.0, min(self._settings.emit_s, self._due - time.monotonic()))
        try:
            records = self._source.poll(wait)
        except Displaced as displaced:
            records = []
            self._open(self._forget(displaced.partitions))
        came = self._change_hands() | self._heed(time.monotonic())
        self._line_up()
        # What was fetched before a partition came is not where its ranges go on.
        self._take([record for record in records if record.partition not in came])
        self._speak()

    def _speak(self) -> None:
        """Say what there is to say, if it is time to."""
        now = time.monotonic()
        if now >= self._due:
            self._look_round()
            self._emit(now)
            self._due = now + self._settings.emit_s

    def _line_up(self) -> None:
        """Take up other models; what was scored by those before is said first."""
        lineup = self._ask_lineup()
        if lineup is self._lineup:
            return
        self._emit(time.monotonic())
        self._lineup = lineup
        self._metrics.model(*lineup.primary.facts())
        shadow = "no shadow" if lineup.shadow is None else f"shadow {lineup.shadow.hash[:12]}"
        masked = len(lineup.masked.cells)
        logger.info(
            "scoring by model %s, %s, cells masked in %d regions, %d channels",
            lineup.primary.hash[:12], shadow, masked, len(lineup.masked.channels),
        )  # fmt: skip

    # Partitions come and go

    def _change_hands(self) -> set[int]:
        """Return the partitions that came."""
        came, went = self._source.changes()
        if not came and not went:
            return came
        self._forget(went)
        if came:
            self._open(came)
        self._metrics.assigned(self._stretches)
        logger.info("partitions: %s", sorted(self._stretches))
        return came

    def _open(self, partitions: Collection[int]) -> None:
        """Begin where the ranges before ours end."""
        if partitions:
            opened = self._opening.open(partitions)
            self._stretches |= opened
            self._source.start({partition: s.begin for partition, s in opened.items()})

    def _forget(self, partitions: Collection[int]) -> set[int]:
        """Drop what was not said yet: whoever has the partition then reads it again."""
        for partition in partitions:
            self._stretches.pop(partition, None)
            self._saying.forget(partition)
            self._polled.pop(partition, None)
        return set(partitions)

    def _heed(self, now: float) -> set[int]:
        """Open anew what does not count any more, and return it."""
        ready = self._fenced.ready(self._stretches, self._notices(), now)
        for partition, notice in ready.items():
            by = f", {notice.holder} opened it" if notice.holder else ""
            logger.warning(
                "%s[%d]: our ranges do not count (%s%s): opening it anew",
                self._settings.topic, partition, notice.why, by,
            )  # fmt: skip
            self._metrics.reopened(notice.why)
            self._opening.alone &= not notice.holder
        self._open(self._forget(ready))
        return set(ready)

    # Records come in

    def _take(self, records: list[Record]) -> None:
        self._polled |= {record.partition: record.offset for record in records}
        parts: list[Part] = []
        showers = spread = 0
        began = time.perf_counter()
        for record in records:
            stretch = self._stretches.get(record.partition)
            if stretch is None or record.offset < stretch.position:  # taken away, or seen
                continue
            stretch.took(record)
            block = self._intake.block(record, stretch, self._lineup.primary)
            if block is not None and self._intake.too_old(record, stretch):
                stretch.leave_out(block)
                self._counted.seen(stretch).skip(block.region, "shed")
            elif block is not None:
                rows = block.spread()
                if parts and spread + rows > self._lineup.primary.form.most_rows:
                    self._score(parts)
                    parts, showers, spread = [], 0, 0
                parts.append(Part(record.partition, record.offset, block))
                showers += block.showers.n
                spread += rows
            if showers >= self._settings.batch:
                self._metrics.stage("decode", time.perf_counter() - began)
                self._score(parts)
                # A poll may hold much: those who wait for our other partitions must hear of us.
                self._speak()
                parts, showers, spread, began = [], 0, 0, time.perf_counter()
        if parts:
            self._metrics.stage("decode", time.perf_counter() - began)
            self._score(parts)
        self._metrics.state(WorkerState.SCORING if records else WorkerState.IDLE)

    # Showers are scored

    def _score(self, parts: list[Part]) -> None:
        model = self._lineup.primary
        showers = concatenate([model.needed(part.block.showers) for part in parts])
        began = time.perf_counter()
        batch = Batch.of(parts)
        hidden = hidden_cells(showers, batch.columns["time_ns"], self._detector)
        hidden = either(hidden, self._lineup.masked_channels(showers, self._detector.channels))
        absent = self._lineup.absent(batch.columns["region"])
        scored = model.score(showers, absent, hidden)
        scored_at = time.perf_counter()
        self._metrics.stage("score", scored_at - began)
        tallied = model.stood_in(showers, scored, hidden)
        for partition, window in model.tally(batch, *tallied, self._detector.channels):
            self._stretches[partition].count(window)
        self._counted.scored(scored, batch, self._lineup, self._stretches)
        self._score_in_shadow(batch, scored, absent, hidden)
        for shower in strangest(showers, scored, batch.columns, model.scorer.score_names):
            self._stretches[shower.partition].keep(shower)
        most = max(stretch.bytes(model.form) for stretch in self._stretches.values())
        if most > self._settings.range_bytes:
            self._emit(time.monotonic())
        self._metrics.stage("tally", time.perf_counter() - scored_at)

    def _score_in_shadow(
        self,
        batch: Batch,
        scored: Scored,
        absent: Absent | None,
        hidden: NDArray[np.bool_] | None,
    ) -> None:
        """Score the same showers by the shadow too, and count how alike the p-values are."""
        shadow = self._lineup.shadow
        # What it cannot score it does not say: the judge sees the gap in its windows.
        if shadow is None or any(shadow.lacks(part.block.showers) for part in batch.parts):
            return
        showers = concatenate([shadow.needed(part.block.showers) for part in batch.parts])
        beside = shadow.score(showers, absent, hidden)
        tallied = shadow.stood_in(showers, beside, hidden)
        for partition, window in shadow.tally(batch, *tallied, self._detector.channels):
            self._stretches[partition].count_shadow(window)
        for partition in np.unique(batch.columns["partition"]).tolist():
            rows = batch.columns["partition"] == partition
            sums = joint(scored.p_combined[rows], beside.p_combined[rows])
            self._stretches[partition].joint += sums

    # What it came to is said

    def _look_round(self) -> None:
        self._metrics.compiled(is_so=self._lineup.primary.scorer.compiled)
        lag = self._source.lag(self._stretches)
        for partition, behind in lag.items():
            stretch = self._stretches[partition]
            stretch.answered_ms = int(min(behind.age_s, NEVER_S) * 1000)
            # Offsets may have holes: the end is the source's, less what is in our hands.
            stretch.caught_up = behind.none and stretch.position > self._polled.get(partition, -1)
            if stretch.caught_up:
                stretch.kept_up_at = time.monotonic()
            if stretch.begin is None and stretch.caught_up:
                stretch.begin = stretch.end = 0  # read to its end, nothing seen: it is empty
            self._metrics.lag(partition, *behind)

    def _emit(self, now: float) -> None:
        began = time.perf_counter()
        news = [
            stretch
            for stretch in self._stretches.values()
            if stretch.has_news() or now - stretch.told_at > self._settings.heartbeat_s
        ]
        if not news:
            return
        self._saying.settle()
        for stretch in news:
            if self._saying.say(stretch, self._lineup):
                self._stretches[stretch.partition] = stretch.next(now)
        self._metrics.stage("publish", time.perf_counter() - began)
