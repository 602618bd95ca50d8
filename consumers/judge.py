"""The judge: ranges of windows in, alarms and verdicts out, once each, whoever is in office."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from consumers import quality_log, ranges, topics
from consumers.block import DecodeError
from consumers.fence import Fence
from consumers.ranges import Open, Range, Said
from consumers.seconds import Seconds
from consumers.snapshots import NOTHING, Manifest, Snapshots
from monitor import records
from monitor.acknowledgements import Acknowledgement
from monitor.alarms import Alarm, State, WorstShower
from monitor.metrics.judge import JudgeState
from monitor.references import ReferenceAct
from monitor.windows import LEVELS

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from numpy.typing import NDArray

    from consumers.quality_log import QualityWriter
    from consumers.ranges import WindowForm
    from consumers.record import Clients, Record
    from monitor.metrics.judge import JudgeMetrics
    from monitor.monitor import Monitor
    from monitor.view import Standing
    from monitor.windows import Window

logger = logging.getLogger(__name__)

SHOWN_WORST = 6
"""Worst showers that an alarm points at."""

SHOWN_S = 300
"""Data-seconds from which the page shows the strangest showers."""

KEPT_WORST = 8
"""Worst showers of each region that are remembered for the next alarm."""

ROWS_A_PIECE = 512
"""Rows of open windows in one array of a snapshot."""


@dataclass(frozen=True)
class JudgeSettings:
    """What an operator may set."""

    name: str
    model: str
    """Content hash of the artefact whose windows are judged; others are not comparable."""

    fingerprint: str
    """Of model, detector and settings: a snapshot of another one is not taken up."""

    snapshot_s: float = 20.0
    """Wall-clock time between snapshots, s: what a successor has to read again."""

    show_s: float = 0.5
    """Wall-clock time between two shows of the standing, s."""


def fingerprint(*parts: object) -> str:
    """Return a digest of what a judge's state depends on, beside the log."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@dataclass(slots=True)
class Bench:
    """Everything that a judge knows; a function of the windows topic up to `at`."""

    monitor: Monitor
    fence: Fence = field(default_factory=Fence)
    seconds: Seconds = field(default_factory=Seconds)
    worst: dict[int, deque[WorstShower]] = field(default_factory=dict)
    totals: Counter[str] = field(default_factory=Counter)
    """Showers, records, missing, and records rejected by reason, of the ranges that count."""

    at: int = 0
    """Offset of the windows topic up to which all is taken in."""

    def state(self, form: WindowForm) -> dict[str, NDArray[Any]]:
        """Return everything as arrays; `restore` is the inverse."""
        words = {
            "stands": [[p, asdict(stand)] for p, stand in self.seconds.stands.items()],
            "clock": [self.seconds.closed, self.seconds.now_ms, self.seconds.fed_ms],
            "worst": [[region, [asdict(w) for w in kept]] for region, kept in self.worst.items()],
            "totals": dict(self.totals),
        }
        arrays = {f"monitor.{name}": array for name, array in self.monitor.state().items()}
        arrays["words"] = np.frombuffer(orjson.dumps(words), np.uint8)
        for i, piece in enumerate(_pieces(list(self.seconds.windows.values()))):
            arrays[f"windows.{i}"] = np.frombuffer(ranges.encode_windows(piece, form), np.uint8)
        return arrays

    def restore(
        self, arrays: dict[str, NDArray[Any]], manifest: Manifest, form: WindowForm
    ) -> None:
        """Take up what `state` returned."""
        prefix = "monitor."
        self.monitor.restore(
            {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
        )
        self.fence = Fence.from_json(manifest.fence)
        words = orjson.loads(arrays["words"].tobytes())
        self.seconds = Seconds.from_json(words["stands"], words["clock"])
        for name, array in arrays.items():
            if name.startswith("windows."):
                for window in ranges.windows(array.tobytes(), form):
                    self.seconds.windows[window.key] = window
        self.worst = {
            region: deque((WorstShower(**w) for w in kept), KEPT_WORST)
            for region, kept in words["worst"]
        }
        self.totals = Counter(words["totals"])
        self.at = manifest.at


class Judge:
    """Judges while the group gives it the windows topic, stands by while it does not."""

    def __init__(
        self,
        make_monitor: Callable[[], Monitor],
        form: WindowForm,
        clients: Clients,
        settings: JudgeSettings,
        metrics: JudgeMetrics,
        show: Callable[[Standing, Bench, JudgeState], None],
    ) -> None:
        """Prepare a judge.

        Parameters
        ----------
        make_monitor
            Returns a monitor that has seen nothing.
        show
            Called every so often with what is to be shown to people.
        """
        self._make_monitor = make_monitor
        self._form = form
        self._source, self._sink, self._log = clients.source, clients.sink, clients.log
        self._settings = settings
        self._metrics = metrics
        self._show = show
        self._snapshots = Snapshots(clients.log)
        self._bench = Bench(make_monitor())
        self._writer: QualityWriter | None = None
        self._manifest = NOTHING
        self._reference = ""
        self._shown = self._snapped = 0.0

    def run(self, stopping: threading.Event) -> None:
        """Judge until told to stop; then leave a snapshot and the group."""
        self._metrics.state(JudgeState.STARTING)
        try:
            while not stopping.is_set():
                self._step()
            self._metrics.state(JudgeState.STOPPING)
            self._snapshot()
        finally:
            self._source.close()

    def _step(self) -> None:
        found = self._source.poll(self._settings.show_s / 2)
        came, went = self._source.changes()
        if went:
            logger.info("another judge is in office: standing by")
            self._writer = None
        if came:
            self._take_office()
        elif self._writer is not None:  # what was fetched before we took office is read again
            for record in found:
                self._take(record, self._writer)
        self._look_round(time.monotonic())

    def _look_round(self, now: float) -> None:
        if now - self._shown > self._settings.show_s:
            self._shown = now
            role = JudgeState.STANDBY if self._writer is None else JudgeState.ACTIVE
            self._metrics.state(role)
            for behind in self._source.lag([0] if self._writer else []).values():
                self._metrics.lag(behind)
            standing = self._with_showers(self._bench.monitor.standing())
            if self._writer is not None:
                self._metrics.standing(standing)
                self._tell_reference()
            self._show(standing, self._bench, role)
        if now - self._snapped > self._settings.snapshot_s:
            self._snapped = now
            self._snapshot()

    def _tell_reference(self) -> None:
        """Publish the reference in force, by condition cell, where it is another than before."""
        expectation = self._bench.monitor.watch.expectation
        if expectation.id == self._reference:
            return
        self._reference = expectation.id
        told = {
            "id": expectation.id,
            "origin": expectation.origin,
            "model": self._settings.model,
            "at": self._bench.at,
            "levels": LEVELS,
            "showers": expectation.showers.tolist(),
            "exceedances": expectation.exceedances.tolist(),
        }
        key = self._settings.model
        self._sink.append(topics.REFERENCES, orjson.dumps(told), key=key, partition=0)

    # Office

    def _take_office(self) -> None:
        manifest = self._snapshots.newest()
        bench = Bench(self._make_monitor())
        if manifest.fingerprint not in {"", self._settings.fingerprint}:
            logger.warning("the last snapshot is of another model or detector: judging from anew")
            # What was counted stays counted; only its judgement is of no use here.
            bench.fence, bench.at = Fence.from_json(manifest.fence), manifest.at
        else:
            arrays = self._snapshots.state(manifest) if manifest.chunks else None
            if arrays is None:
                manifest = replace(NOTHING, turn=manifest.turn)
            else:
                bench.restore(arrays, manifest, self._form)
        self._writer = quality_log.take_office(
            self._sink, self._log, self._settings.name, manifest.quality_at
        )
        self._bench, self._manifest = bench, manifest
        self._source.start({0: bench.at or None})
        self._snapped = time.monotonic()
        logger.info("in office from offset %d", bench.at)

    def _snapshot(self) -> None:
        if self._writer is None or self._bench.at == self._manifest.at:
            return
        self._writer.settle()
        plan = Manifest(
            at=self._bench.at,
            quality_at=self._writer.reached,
            fence=self._bench.fence.to_json(),
            chunks=(),
            sha256="",
            totals=dict(self._bench.totals),
            turn=self._manifest.turn + 1,
            fingerprint=self._settings.fingerprint,
        )
        self._manifest = self._snapshots.write(self._sink, self._bench.state(self._form), plan)
        self._source.commit({0: self._bench.at})

    # Records

    def _take(self, record: Record, writer: QualityWriter) -> None:
        bench = self._bench
        try:
            entry = ranges.header(record.value)
            if isinstance(entry, Open):
                bench.fence.open(record.offset, entry)
                bench.seconds.opened(entry.partition, record.timestamp_ms)
            elif isinstance(entry, Said):
                self._hear(entry, record, writer)
            else:
                self._range(entry, record, writer)
        except DecodeError as error:
            logger.warning("%s[0]@%d: %s", record.topic, record.offset, error)
            self._metrics.refused("malformed")
        bench.at = record.offset + 1

    def _range(self, entry: Range, record: Record, writer: QualityWriter) -> None:
        bench = self._bench
        reason = bench.fence.accept(entry)
        if reason:
            self._metrics.refused(reason)
            logger.info("range %d[%d,%d) is %s", entry.partition, entry.begin, entry.end, reason)
            return
        bench.totals.update(entry.rejects)
        bench.totals.update(showers=entry.showers, records=entry.records, missing=entry.missing)
        self._metrics.accepted(entry.showers)
        windows: list[Window] = []
        if entry.model == self._settings.model:
            windows = ranges.windows(record.value or b"", self._form)
            self._count_strangers(entry, windows)
        elif entry.showers:
            self._metrics.refused("model")
        self._remember(entry)
        for window, late in bench.seconds.add(entry, windows, record.timestamp_ms):
            if late:
                self._metrics.late()
            for said in bench.monitor.observe(window):
                self._say(said, record.offset, writer)

    def _count_strangers(self, entry: Range, windows: list[Window]) -> None:
        """Say aloud that windows hold regions which this judge's detector does not have."""
        places = self._bench.monitor.places
        strange = {int(id_) for w in windows for id_ in places.unknown(w.regions)}
        if strange:
            self._metrics.refused("region")
            logger.warning(
                "range %d[%d,%d) has regions that the detector does not have: %s",
                entry.partition, entry.begin, entry.end, sorted(strange)[:8],
            )  # fmt: skip

    def _remember(self, entry: Range) -> None:
        for w in entry.worst:
            kept = self._bench.worst.setdefault(w.region, deque(maxlen=KEPT_WORST))
            kept.append(
                WorstShower(
                    w.event_id, entry.topic, w.partition, w.offset, w.row, w.region, w.p, w.time_ns
                )
            )

    def _hear(self, entry: Said, record: Record, writer: QualityWriter) -> None:
        try:
            act = records.from_json(entry.body)
        except records.RecordError as error:
            logger.warning("%s[0]@%d: %s", record.topic, record.offset, error)
            return
        if isinstance(act, Acknowledgement | ReferenceAct):
            self._say(act, record.offset, writer)
        if isinstance(act, Acknowledgement):
            for said in self._bench.monitor.acknowledge(act):
                self._say(said, record.offset, writer)
        elif isinstance(act, ReferenceAct):
            for said in self._bench.monitor.act(act):
                self._say(said, record.offset, writer)

    def _say(self, said: records.Record, at: int, writer: QualityWriter) -> None:
        if isinstance(said, Alarm):
            said = replace(said, worst=self._worst(said))
        if writer.publish(said, at) and isinstance(said, Alarm) and said.state is State.RAISED:
            self._metrics.raised(said)
            logger.info("alarm: %s", said.summary)

    def _with_showers(self, standing: Standing) -> Standing:
        """Return the standing with the strangest showers: of each alarm, and of the last minutes."""
        since_ns = ((standing.data_second or 0) - SHOWN_S) * 1_000_000_000
        late = [w for kept in self._bench.worst.values() for w in kept if w.time_ns >= since_ns]
        return replace(
            standing,
            alarms=tuple(replace(alarm, worst=self._worst(alarm)) for alarm in standing.alarms),
            worst=tuple(sorted(late, key=lambda w: (w.p, w.event_id))[:SHOWN_WORST]),
        )

    def _worst(self, alarm: Alarm) -> tuple[WorstShower, ...]:
        """Return the worst showers in the alarm's regions since its onset."""
        regions = {share.region for share in alarm.regions} or set(self._bench.worst)
        showers = [
            shower
            for region in sorted(regions)
            for shower in self._bench.worst.get(region, ())
            if shower.time_ns >= alarm.onset_ns
        ]
        return tuple(sorted(showers, key=lambda s: (s.p, s.event_id))[:SHOWN_WORST])


def _pieces(windows: list[Window]) -> list[list[Window]]:
    pieces: list[list[Window]] = []
    rows = ROWS_A_PIECE
    for window in sorted(windows, key=lambda w: w.key):
        if rows >= ROWS_A_PIECE:
            pieces.append([])
            rows = 0
        pieces[-1].append(window)
        rows += len(window.regions)
    return pieces
