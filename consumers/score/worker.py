"""The score worker: poll, decode, score, tally, and say what a stretch of a partition came to."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from consumers.exactly_once.neighbours import of_another_group
from consumers.exactly_once.places import of_stream, words
from consumers.exactly_once.snapshots import Snapshots, read_back
from consumers.score.counts import Counts
from consumers.score.pending_range import KEPT_PER_REGION, PendingRange, in_order
from consumers.score.scoring import Batch, Part
from consumers.wire import letters, topics
from consumers.wire.block import EARLIEST_NS, DecodeError, Expected
from consumers.wire.codec import decode
from consumers.wire.ranges import Open, Stream, encode_open, encode_range, encode_windows
from consumers.wire.record import MAX_RECORD_BYTES, Displaced
from consumers.wire.strange import StrangeShower
from consumers.wire.strange import encode_all as encode_strange
from consumers.wire.user_error import UserError
from models.scoring.scales import LEVELS
from models.showers.batch import concatenate
from monitor.display.metrics.worker import WorkerState
from monitor.judging.comparison import joint
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Mapping

    from numpy.typing import NDArray

    from consumers.exactly_once.fence import Fence
    from consumers.score.scoring import ModelsInForce
    from consumers.wire.block import Block
    from consumers.wire.control import Notice
    from consumers.wire.ranges import Range
    from consumers.wire.record import Append, Clients, Record
    from models.scoring.absent import Absent
    from models.scoring.scored import Scored
    from models.showers.batch import Showers
    from monitor.detector.tree import Detector
    from monitor.display.metrics.worker import WorkerMetrics

logger = logging.getLogger(__name__)

DAY_NS = 24 * 3600 * 10**9
ROOM_BYTES = 4096
"""What a record is more than its value: key, headers, and those of its batch."""

NEVER_S = 86_400.0
"""What is said of a broker that never answered, s."""

STRANGE = LEVELS[-1]
"""Showers at or below this p-value are kept for people to look at."""


@dataclass(frozen=True)
class WorkerSettings:
    """What an operator may set."""

    name: str
    topic: str = topics.SHOWERS
    emit_s: float = 0.5
    """Wall-clock time between ranges, s."""

    range_bytes: int = 1 << 20
    """Memory of windows at which a range is said before its time: it must fit into a record."""

    batch: int = 2048
    """Most showers scored at once."""

    shed_after_s: float = math.inf
    """A record that has waited this long is counted and not scored, s; infinite: all are scored."""

    skip: frozenset[str] = frozenset()
    """Places of records that are passed over, as the log writes them."""

    earliest_ns: int = EARLIEST_NS
    """Earliest data time that can be true, ns since 1970 UTC."""

    heartbeat_s: float = 1.0
    """A partition without news says so this often, s."""

    group: str = ""
    """Consumer group that shares the partitions out."""

    patience_s: float = 10.0
    """A partition that another worker of the group has opened is opened anew if the group still
    gives it to us after this, s: a session, in which it would have told us."""


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
        self._fenced: dict[Notice, float] = {}
        """Since when we have known of notices on partitions of ours."""

        self._ask_lineup = lineup
        self._lineup = lineup()
        self._geometry = self._lineup.primary.scorer.geometry
        metrics.model(*self._lineup.primary.facts())
        self._regions = frozenset(detector.by_id)
        self._source, self._sink, self._log = clients.source, clients.sink, clients.log
        self._settings = settings
        self._metrics = metrics
        self._beat = beat
        self._stretches: dict[int, PendingRange] = {}
        self._under_way: list[Append] = []
        self._covered: dict[int, int] = {}
        self._due = 0.0
        self._alone = False
        """Whether no other group was found at work on the windows topic."""

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
            self._settle()
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
            "scoring by model %s, %s, cells masked in %d regions",
            lineup.primary.hash[:12], shadow, masked,
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

    def _forget(self, partitions: Collection[int]) -> set[int]:
        """Drop what was not said yet: whoever has the partition then reads it again."""
        for partition in partitions:
            self._stretches.pop(partition, None)
            self._covered.pop(partition, None)
            self._polled.pop(partition, None)
        return set(partitions)

    def _heed(self, now: float) -> set[int]:
        """Open anew what does not count any more, and return it."""
        notices = self._notices()
        ours = {
            partition: notices[stretch.stream]
            for partition, stretch in self._stretches.items()
            if stretch.stream in notices and notices[stretch.stream].token == stretch.token
        }
        self._fenced = {notice: self._fenced.get(notice, now) for notice in ours.values()}
        ready = {
            partition: notice
            for partition, notice in ours.items()
            # Another of the group may rightly have it, and we hear of that in a moment.
            if not notice.holder or now - self._fenced[notice] >= self._settings.patience_s
        }
        for partition, notice in ready.items():
            by = f", {notice.holder} opened it" if notice.holder else ""
            logger.warning(
                "%s[%d]: our ranges do not count (%s%s): opening it anew",
                self._settings.topic, partition, notice.why, by,
            )  # fmt: skip
            self._metrics.reopened(notice.why)
            self._alone = self._alone and not notice.holder
        self._open(self._forget(ready))
        return set(ready)

    def _open(self, partitions: set[int]) -> None:
        """Append an `Open` for each partition and begin where the ranges before it end."""
        if not partitions:
            return
        self._refuse_to_share()
        id_ = self._source.identity()
        streams = {p: Stream(self._settings.topic, id_, p) for p in sorted(partitions)}
        under_way = {p: self._append_open(stream) for p, stream in streams.items()}
        tokens = {partition: append.offset() for partition, append in under_way.items()}
        manifest = Snapshots(self._log).newest()
        windows_id = self._log.identity(topics.WINDOWS)
        # Nobody counts under our token yet, so one look up to the last of them serves all.
        fence = read_back(self._log, manifest, windows_id, max(tokens.values()) + 1)
        for partition, token in tokens.items():
            self._stretches[partition] = self._stretch(streams[partition], token, fence)
        self._source.start({partition: self._stretches[partition].begin for partition in tokens})

    def _refuse_to_share(self) -> None:
        """Stop rather than fight over a windows topic, when we begin or have been fenced off."""
        if self._alone or not self._settings.group:
            return
        other = of_another_group(self._log, self._settings.group, int(time.time() * 1000))
        if other:
            ours = f"{self._settings.topic} for group {self._settings.group}"
            raise UserError(
                f"{topics.WINDOWS} is in use: {other}, this would say {ours}; two services need "
                "topics of their own: stop one, or give it another broker"
            )
        self._alone = True

    def _append_open(self, stream: Stream) -> Append:
        entry = Open(
            stream.partition, self._settings.name, stream.topic, stream.id, self._settings.group
        )
        key = f"{stream.topic}/{stream.partition}"
        return self._sink.append(topics.WINDOWS, encode_open(entry), key=key, partition=0)

    def _stretch(self, stream: Stream, token: int, fence: Fence) -> PendingRange:
        """Return the stretch that goes on after the last range that counts."""
        place = of_stream(fence, stream, self._log)
        stretch = PendingRange(stream=stream, token=token, begin=None, counts=Counts())
        if place is None:
            return stretch
        stretch.begin = place.begin
        if stream in fence.ends:
            tail = fence.tails.get(stream, stretch.tail)
            stretch.counts = Counts.from_json(fence.seqs.get(stream, {}))
            if place.begin == place.follows:
                stretch.tail = tail
            else:
                stretch.follows, stretch.lost_ns = place.follows, (tail.watermark_ns, 0)
        for line in words(stream, place):
            logger.warning("%s", line)
        return stretch

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
            block = self._decoded(record, stretch)
            if block is not None and self._too_old(record, stretch):
                stretch.leave_out(block)
                self._metrics.skipped(block.region, "shed")
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
        self._metrics.consumed(len(records))
        busy = WorkerState.SCORING if records else WorkerState.IDLE
        self._metrics.state(busy)

    def _too_old(self, record: Record, stretch: PendingRange) -> bool:
        """Return whether a record has waited longer than it may, where old ones are left out.

        Its time is a hint of whoever produced it: seconds for milliseconds, none, a clock of its
        own. So nothing is left out of a partition that we have been at the end of meanwhile; and
        what has waited by our own clock is, unless its time says that it is younger.
        """
        limit = self._settings.shed_after_s
        behind = time.monotonic() - stretch.kept_up_at
        waited = time.time() - record.timestamp_ms / 1000
        return behind > limit and not 0 <= waited <= limit

    def _decoded(self, record: Record, stretch: PendingRange) -> Block | None:
        try:
            if letters.place(record) in self._settings.skip:
                raise DecodeError(Rejection.SKIPPED, "the settings pass it over")  # noqa: TRY301
            # Not by the record's time alone: it may be in seconds, or missing.
            latest = max(record.timestamp_ms * 1_000_000, time.time_ns()) + DAY_NS
            block = decode(
                record.value, self._geometry, expected=self._expected(), latest_ns=latest
            )
        except DecodeError as error:
            stretch.rejects[error.reason.value] += 1
            stretch.letters.append(letters.encode(letters.letter_of(record, error)))
            self._metrics.rejected(error.reason)
            logger.info(
                "rejected %s[%d]@%d: %s", record.topic, record.partition, record.offset, error
            )
            return None
        missing = stretch.noted(block, record.key)
        if missing is None:
            self._metrics.uncounted()
        elif missing:
            self._metrics.missing(missing)
        return block

    def _expected(self) -> Expected:
        primary = self._lineup.primary
        return Expected(
            self._regions, primary.conditions, self._settings.earliest_ns, primary.form.most_rows
        )

    # Showers are scored

    def _score(self, parts: list[Part]) -> None:
        model = self._lineup.primary
        showers = concatenate([model.needed(part.block.showers) for part in parts])
        began = time.perf_counter()
        batch = Batch.of(parts)
        absent = self._lineup.absent(batch.columns["region"])
        scored = model.scorer.score(showers, absent)
        scored_at = time.perf_counter()
        self._metrics.stage("score", scored_at - began)
        for partition, window in model.tally(batch, showers, scored):
            self._stretches[partition].count(window)
        self._score_in_shadow(batch, scored, absent)
        self._keep_strange(showers, scored, batch.columns)
        rows = max(stretch.rows for stretch in self._stretches.values())
        if rows * model.form.row_bytes > self._settings.range_bytes:
            self._emit(time.monotonic())
        self._metrics.stage("tally", time.perf_counter() - scored_at)
        self._count(scored, batch)

    def _count(self, scored: Scored, batch: Batch) -> None:
        """Count a batch in the metrics, less the regions that are masked as a whole."""
        region = batch.columns["region"]
        rows = np.arange(len(region))
        if self._lineup.masked.regions:
            out = np.isin(region, self._lineup.masked.regions)
            self._metrics.skipped(region[out], "masked")
            rows = np.flatnonzero(~out)
        self._metrics.scored(
            scored if len(rows) == len(region) else scored.rows(rows),
            region[rows],
            self._lineup.primary.expected_rate,
            where=lambda i: _where(batch.columns, int(rows[i])),
            at=time.time(),
        )

    def _score_in_shadow(self, batch: Batch, scored: Scored, absent: Absent | None) -> None:
        """Score the same showers by the shadow too, and count how alike the p-values are."""
        shadow = self._lineup.shadow
        # What it cannot score it does not say: the judge sees the gap in its windows.
        if shadow is None or any(shadow.lacks(part.block.showers) for part in batch.parts):
            return
        showers = concatenate([shadow.needed(part.block.showers) for part in batch.parts])
        beside = shadow.scorer.score(showers, absent)
        for partition, window in shadow.tally(batch, showers, beside):
            self._stretches[partition].count_shadow(window)
        for partition in np.unique(batch.columns["partition"]).tolist():
            rows = batch.columns["partition"] == partition
            sums = joint(scored.p_combined[rows], beside.p_combined[rows])
            self._stretches[partition].joint += sums

    def _keep_strange(
        self, showers: Showers, scored: Scored, joined: Mapping[str, NDArray[np.int64]]
    ) -> None:
        p = np.where(scored.valid, scored.p_combined, 1.0)
        names = self._lineup.primary.scorer.score_names
        drawn = [i for i, name in enumerate(names) if name == "response"]
        for i in _worst(p, joined["partition"], joined["region"]):
            p_scores = scored.p[i].copy()  # a view would keep the batch alive
            if np.isnan(showers.e_inc[i]):
                p_scores[drawn] = 1.0  # nobody knows it: nothing is to be seen there
            self._stretches[int(joined["partition"][i])].keep(
                StrangeShower(
                    **{name: int(joined[name][i]) for name in _COORDINATES},
                    e_inc=float(showers.e_inc[i]),
                    p=float(p[i]),
                    p_scores=p_scores,
                    cells=showers.cells[i].copy(),
                    pull=scored.latents[i, : self._geometry.n_cells].copy(),
                )
            )

    # What it came to is said

    def _look_round(self) -> None:
        for partition, away_s in self._source.answered(self._stretches).items():
            self._stretches[partition].answered_ms = int(min(away_s, NEVER_S) * 1000)
            self._metrics.answered(partition, min(away_s, NEVER_S))
        lag = self._source.lag(self._stretches)
        for partition, behind in lag.items():
            stretch = self._stretches[partition]
            # Offsets may have holes, so the end is asked of the source, less what is in our hands.
            stretch.caught_up = behind.none and stretch.position > self._polled.get(partition, -1)
            if stretch.caught_up:
                stretch.kept_up_at = time.monotonic()
            if stretch.begin is None and stretch.caught_up:
                # Read to its end and nothing seen: the partition is empty.
                stretch.begin = stretch.end = 0
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
        self._settle()
        for stretch in news:
            self._say(stretch, now)
        self._metrics.stage("publish", time.perf_counter() - began)

    def _say(self, stretch: PendingRange, now: float) -> None:
        primary, shadow = self._lineup.primary, self._lineup.shadow
        entry = stretch.range_(self._settings.name, self._settings.group, self._lineup)
        if entry is None:
            return
        key = f"{self._settings.topic}/{stretch.partition}"
        strange = [shower for kept in stretch.strange.values() for shower in kept]
        for value in encode_strange(strange, self._settings.topic, primary.scorer.score_names):
            self._under_way.append(self._sink.append(topics.ANOMALIES, value, key=key))
        for letter in stretch.letters:
            self._under_way.append(self._sink.append(topics.REJECTS, letter, key=key))
        beside = b""
        if shadow is not None and stretch.shadow:
            beside = encode_windows(in_order(stretch.shadow), shadow.form)
        value = encode_range(entry, in_order(stretch.windows), primary.form, beside)
        if len(value) > MAX_RECORD_BYTES - ROOM_BYTES:
            value = self._without_windows(entry, len(value))
        self._under_way.append(self._sink.append(topics.WINDOWS, value, key=key, partition=0))
        self._covered[stretch.partition] = entry.end
        self._stretches[stretch.partition] = stretch.next(now)
        if stretch.showers:
            self._metrics.published(*stretch.newest, time.time())

    def _without_windows(self, entry: Range, size: int) -> bytes:
        """Return a range whose windows fit into no record, less these; say so, once and in words."""
        text = f"windows of {size} bytes, a record takes {MAX_RECORD_BYTES}: fewer regions a topic"
        logger.error("%s[%d]@%d: %s", entry.topic, entry.partition, entry.begin, text)
        self._metrics.rejected(Rejection.OVERSIZE)
        rejects = Counter(entry.rejects) + Counter({Rejection.OVERSIZE.value: entry.records})
        lost = replace(entry, showers=0, worst=(), shadow="", joint=(), shed=(), rejects=rejects)
        return encode_range(lost, [], self._lineup.primary.form)

    def _settle(self) -> None:
        """Wait until what was said before is safe; only then tell the group how far we are."""
        under_way, self._under_way = self._under_way, []
        for append in under_way:
            append.offset()
        if self._covered:
            self._source.commit(self._covered)
            self._covered = {}


_COORDINATES = (
    "partition", "offset", "row", "event_id", "time_ns", "run", "lumisection", "region",
)  # fmt: skip


def _worst(
    p: NDArray[np.float64], partition: NDArray[np.int64], region: NDArray[np.int64]
) -> list[int]:
    """Return the indices of the few worst strange showers of each partition and region."""
    strange = np.flatnonzero(p <= STRANGE)
    order = strange[np.lexsort((p[strange], region[strange], partition[strange]))]
    place = partition[order] * 65536 + region[order]
    first = np.searchsorted(place, place, side="left")
    worst: list[int] = order[np.arange(len(order)) - first < KEPT_PER_REGION].tolist()
    return worst


def _where(joined: Mapping[str, NDArray[np.int64]], i: int) -> dict[str, str]:
    return {
        "event": str(joined["event_id"][i]),
        "record": f"{joined['partition'][i]}@{joined['offset'][i]}",
    }
