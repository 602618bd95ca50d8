"""The score worker: poll, decode, score, tally, and say what a stretch of a partition came to."""

from __future__ import annotations

import base64
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import orjson

from consumers import evidence_form, topics
from consumers.block import DecodeError
from consumers.codec import decode
from consumers.evidence_form import StrangeShower
from consumers.ranges import Open, WindowForm, encode_open, encode_range
from consumers.snapshots import Snapshots, read_back
from consumers.stretch import KEPT_PER_REGION, Stretch
from models.showers import Showers, concatenate
from monitor.metrics.worker import WorkerState
from monitor.rejection import Rejection
from monitor.windows import LEVELS, WindowKey, tally

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from consumers.block import Block
    from consumers.record import Append, Clients, Record
    from models.geometry import Geometry
    from models.scored import Scored
    from monitor.detector import Detector
    from monitor.metrics.worker import WorkerMetrics
    from monitor.windows import Window

logger = logging.getLogger(__name__)

DAY_NS = 24 * 3600 * 10**9
MAX_SPREAD = 1024
"""Most pairs of data-second and region in one record: each is a row of its range."""

LETTER_BYTES = 1024
"""What a dead letter quotes of its record."""

STRANGE = LEVELS[-1]
"""Showers at or below this p-value are kept for people to look at."""


class Scores(Protocol):
    """What the worker needs of a scorer; see `models.scorer.Scorer`."""

    geometry: Geometry
    score_names: tuple[str, ...]
    hash: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return K, S, H."""

    def score(self, showers: Showers) -> Scored:
        """Return scores and p-values."""

    def score_bins(self, scored: Scored) -> NDArray[np.int64]:
        """Return the bin of each score, shape (N, S)."""


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

    heartbeat_s: float = 3.0
    """A partition without news says so this often, s."""


@dataclass(frozen=True)
class Model:
    """What scores: a scorer, the conditions that it needs, and what it expects."""

    scorer: Scores
    conditions: tuple[str, ...]
    expected_rate: NDArray[np.float64]
    """Exceedances of a good shower per condition cell and level, shape (K, A)."""

    def needed(self, showers: Showers) -> Showers:
        """Return showers with no further conditions than those that the model looks at."""
        conditions = {name: showers.conditions[name] for name in self.conditions}
        return Showers(showers.cells, showers.e_inc, conditions)

    def tally(
        self,
        key: WindowKey,
        showers: Showers,
        scored: Scored,
        region: NDArray[np.int64],
        score_bins: NDArray[np.int64],
        rows: NDArray[np.int64],
    ) -> Window:
        """Return the window of some rows of a batch, all of one key."""
        return tally(
            key,
            showers[rows],
            _rows(scored, rows),
            region[rows],
            score_bins[rows],
            geometry=self.scorer.geometry,
            shape=self.scorer.shape,
        )


def windows_of(block: Block, model: Model) -> list[Window]:
    """Return the windows of one block."""
    showers = model.needed(block.showers)
    scored = model.scorer.score(showers)
    score_bins = model.scorer.score_bins(scored)
    joined = _join([_Part(0, 0, block)])
    return [
        model.tally(key, showers, scored, joined["region"], score_bins, rows)
        for key, _, rows in _groups(joined)
    ]


@dataclass(slots=True)
class _Part:
    """A block to be scored, and where it came from."""

    partition: int
    offset: int
    block: Block


class Worker:
    """Scores the partitions that its group gives it; every record is in exactly one range."""

    def __init__(
        self,
        model: Model,
        detector: Detector,
        clients: Clients,
        settings: WorkerSettings,
        metrics: WorkerMetrics,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare a worker; `beat` is called at every round, so that a hang can be seen."""
        self._model = model
        self._scorer = model.scorer
        self._geometry = model.scorer.geometry
        self._form = WindowForm(model.scorer.shape, self._geometry.n_cells, self._geometry.n_layers)
        self._regions = np.array(sorted(detector.by_id), np.int64)
        self._source, self._sink, self._log = clients.source, clients.sink, clients.log
        self._settings = settings
        self._metrics = metrics
        self._beat = beat
        self._stretches: dict[int, Stretch] = {}
        self._under_way: list[Append] = []
        self._covered: dict[int, int] = {}
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
            self._settle()
        finally:
            self._source.close()

    def _step(self) -> None:
        self._beat()
        wait = max(0.0, min(self._settings.emit_s, self._due - time.monotonic()))
        records = self._source.poll(wait)
        came = self._change_hands()
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

    # Partitions come and go

    def _change_hands(self) -> set[int]:
        """Return the partitions that came."""
        came, went = self._source.changes()
        if not came and not went:
            return came
        for partition in went:
            # What was not said yet is read again by whoever has the partition now.
            self._stretches.pop(partition, None)
            self._covered.pop(partition, None)
            self._polled.pop(partition, None)
        if came:
            self._open(came)
        self._metrics.assigned(self._stretches)
        logger.info("partitions: %s", sorted(self._stretches))
        return came

    def _open(self, partitions: set[int]) -> None:
        """Append an `Open` for each partition and begin where the ranges before it end."""
        opened = {
            partition: self._sink.append(
                topics.WINDOWS,
                encode_open(Open(partition, self._settings.name)),
                key=f"{self._settings.topic}/{partition}",
                partition=0,
            )
            for partition in sorted(partitions)
        }
        tokens = {partition: append.offset() for partition, append in opened.items()}
        manifest = Snapshots(self._log).newest()
        # Nobody counts under our token yet, so one look up to the last of them serves all.
        fence = read_back(self._log, manifest, max(tokens.values()) + 1)
        for partition, token in tokens.items():
            self._stretches[partition] = Stretch(
                partition=partition,
                token=token,
                begin=fence.ends.get(partition),
                seqs=dict(fence.seqs.get(partition, {})),
            )
        self._source.start({partition: fence.ends.get(partition) for partition in tokens})

    # Records come in

    def _take(self, records: list[Record]) -> None:
        self._polled |= {record.partition: record.offset for record in records}
        parts: list[_Part] = []
        showers = spread = 0
        began = time.perf_counter()
        for record in records:
            stretch = self._stretches.get(record.partition)
            if stretch is None or record.offset < stretch.position:  # taken away, or seen
                continue
            stretch.took(record.offset)
            block = self._decoded(record, stretch)
            if block is not None:
                parts.append(_Part(record.partition, record.offset, block))
                showers += block.showers.n
                spread += _spread(block)
            if showers >= self._settings.batch or spread >= MAX_SPREAD:
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

    def _decoded(self, record: Record, stretch: Stretch) -> Block | None:
        try:
            latest = record.timestamp_ms * 1_000_000 + DAY_NS
            block = decode(record.value, self._geometry, latest_ns=latest)
            self._check(block)
        except DecodeError as error:
            stretch.rejects[error.reason.value] += 1
            stretch.letters.append(_letter(record, error))
            self._metrics.rejected(error.reason)
            logger.info(
                "rejected %s[%d]@%d: %s", record.topic, record.partition, record.offset, error
            )
            return None
        missing = stretch.noted(block)
        if missing:
            self._metrics.missing(missing)
        return block

    def _check(self, block: Block) -> None:
        known = np.isin(block.region, self._regions)
        if not known.all():
            strange = int(block.region[~known][0])
            raise DecodeError(Rejection.REGION, f"region {strange} is not in the detector")
        if _spread(block) > MAX_SPREAD:
            raise DecodeError(Rejection.TIME, "scattered over too many seconds and regions")
        absent = [name for name in self._model.conditions if name not in block.showers.conditions]
        if absent:
            raise DecodeError(Rejection.SCHEMA, f"the model needs {absent[0]!r}")

    # Showers are scored

    def _score(self, parts: list[_Part]) -> None:
        showers = concatenate([self._model.needed(part.block.showers) for part in parts])
        began = time.perf_counter()
        scored = self._scorer.score(showers)
        score_bins = self._scorer.score_bins(scored)
        scored_at = time.perf_counter()
        self._metrics.stage("score", scored_at - began)
        joined = _join(parts)
        for key, partition, rows in _groups(joined):
            window = self._model.tally(key, showers, scored, joined["region"], score_bins, rows)
            self._stretches[partition].count(window)
        self._keep_strange(showers, scored, joined)
        most = max(stretch.rows for stretch in self._stretches.values())
        if most * self._form.row_bytes > self._settings.range_bytes:
            self._emit(time.monotonic())
        self._metrics.stage("tally", time.perf_counter() - scored_at)
        self._metrics.scored(
            scored,
            joined["region"],
            self._model.expected_rate,
            where=lambda i: _where(joined, i),
            at=time.time(),
        )

    def _keep_strange(
        self, showers: Showers, scored: Scored, joined: Mapping[str, NDArray[np.int64]]
    ) -> None:
        p = np.where(scored.valid, scored.p_combined, 1.0)
        for i in _worst(p, joined["partition"], joined["region"]):
            self._stretches[int(joined["partition"][i])].keep(
                StrangeShower(
                    **{name: int(joined[name][i]) for name in _COORDINATES},
                    e_inc=float(showers.e_inc[i]),
                    p=float(p[i]),
                    p_scores=scored.p[i].copy(),  # a view would keep the batch alive
                    cells=showers.cells[i].copy(),
                    pull=scored.latents[i, : self._geometry.n_cells].copy(),
                )
            )

    # What it came to is said

    def _look_round(self) -> None:
        lag = self._source.lag(self._stretches)
        for partition, behind in lag.items():
            stretch = self._stretches[partition]
            # Offsets may have holes, so the end is asked of the source, less what is in our hands.
            stretch.caught_up = behind == 0 and stretch.position > self._polled.get(partition, -1)
            if stretch.begin is None and stretch.caught_up:
                # Read to its end and nothing seen: the partition is empty.
                stretch.begin = stretch.end = 0
            self._metrics.lag(partition, behind)

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

    def _say(self, stretch: Stretch, now: float) -> None:
        entry = stretch.range_(self._settings.topic, self._settings.name, self._scorer.hash)
        if entry is None:
            return
        key = f"{self._settings.topic}/{stretch.partition}"
        strange = [shower for kept in stretch.strange.values() for shower in kept]
        if strange:
            value = evidence_form.encode(strange, self._settings.topic, self._scorer.score_names)
            self._under_way.append(self._sink.append(topics.ANOMALIES, value, key=key))
        for letter in stretch.letters:
            self._under_way.append(self._sink.append(topics.REJECTS, letter, key=key))
        windows = sorted(stretch.windows.values(), key=lambda window: window.key)
        value = encode_range(entry, windows, self._form)
        self._under_way.append(self._sink.append(topics.WINDOWS, value, key=key, partition=0))
        self._covered[stretch.partition] = entry.end
        self._stretches[stretch.partition] = stretch.next(now)
        if stretch.showers:
            self._metrics.published(*stretch.newest, time.time())

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


def _join(parts: list[_Part]) -> dict[str, NDArray[np.int64]]:
    sizes = [part.block.showers.n for part in parts]
    joined = {
        name: np.concatenate([getattr(part.block, name) for part in parts])
        for name in ("event_id", "time_ns", "run", "lumisection", "region")
    }
    joined["partition"] = np.repeat([part.partition for part in parts], sizes)
    joined["offset"] = np.repeat([part.offset for part in parts], sizes)
    joined["row"] = np.concatenate([np.arange(n, dtype=np.int64) for n in sizes])
    return joined


def _groups(
    joined: Mapping[str, NDArray[np.int64]],
) -> list[tuple[WindowKey, int, NDArray[np.int64]]]:
    """Return the rows of each window key of each partition."""
    columns = (
        joined["time_ns"] // 10**9,
        joined["lumisection"],
        joined["run"],
        joined["partition"],
    )
    order = np.lexsort(columns)
    ordered = np.stack([column[order] for column in columns], axis=1)
    edges = np.flatnonzero(np.any(np.diff(ordered, axis=0), axis=1)) + 1
    found = []
    for rows in np.split(order, edges):
        second, lumisection, run, partition = (int(column[rows[0]]) for column in columns)
        found.append((WindowKey(run, lumisection, second), partition, rows))
    return found


def _spread(block: Block) -> int:
    """Return how many pairs of data-second and region a block touches."""
    return len(np.unique((block.time_ns // 10**9) * 65536 + block.region))


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


def _rows(scored: Scored, rows: NDArray[np.int64]) -> Scored:
    return type(scored)(
        scored.scores[rows],
        scored.p[rows],
        scored.p_combined[rows],
        scored.latents[rows],
        scored.condition_cell[rows],
        scored.valid[rows],
    )


def _where(joined: Mapping[str, NDArray[np.int64]], i: int) -> dict[str, str]:
    return {
        "event": str(joined["event_id"][i]),
        "record": f"{joined['partition'][i]}@{joined['offset'][i]}",
    }


def _letter(record: Record, error: DecodeError) -> bytes:
    return orjson.dumps(
        {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp_ms": record.timestamp_ms,
            "reason": error.reason.value,
            "detail": error.detail,
            "bytes": 0 if record.value is None else len(record.value),
            "begins": base64.b64encode((record.value or b"")[:LETTER_BYTES]).decode(),
        }
    )
