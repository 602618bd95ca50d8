"""A broker in memory and a scorer without a model, for laws that need thousands of deaths."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.wire.record import Clients, Displaced, Lag, Record, Unavailable
from models.detector.geometry import Geometry, Layer
from models.scoring.scored import Scored
from monitor.detector.places import Places
from monitor.quality.acknowledgements import Masked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from models.showers.batch import Showers
    from monitor.detector.tree import Detector
    from monitor.windows.window import Window

TINY = Geometry(
    "tiny",
    (Layer("front", (1, 4), (1.0, 1.0), (0.0, 1.0)), Layer("back", (1, 2), (2.0, 2.0), (1.0, 3.0))),
    noise_mev=0.1,
)


class PlainScorer:
    """Every shower's p-value is written in its first cell."""

    geometry = TINY
    score_names = ("first",)
    hash = "plain"
    shape = (1, 1, 4)
    compiled = False

    def __init__(self) -> None:
        self.learnt: dict[tuple[int, ...], Showers] = {}
        self.lacked: list[tuple[int, ...]] = []
        """What many showers lacked at borders or beside bad channels."""

    def knows(self, cells: tuple[int, ...]) -> bool:
        return cells in self.learnt

    def learn(self, cells: tuple[int, ...], good: Showers) -> None:
        if good.n < 2:
            raise ValueError("too few distinct showers")
        self.learnt[cells] = good

    def met(self) -> list[tuple[int, ...]]:
        return [cells for cells in self.lacked if cells not in self.learnt]

    def keep(self, sets: Any) -> None:
        sets = {*sets, *self.lacked}
        self.learnt = {cells: good for cells, good in self.learnt.items() if cells in sets}

    def score(self, showers: Showers, absent: Any = None, hidden: Any = None) -> Scored:
        p = np.clip(showers.cells[:, :1].astype(np.float64), 1e-6, 1.0)
        latents = np.zeros((showers.n, TINY.n_cells + TINY.n_layers), np.float32)
        return Scored(
            scores=-np.log(p).astype(np.float32),
            p=p,
            p_combined=p[:, 0],
            latents=latents,
            condition_cell=np.zeros(showers.n, np.int64),
            valid=np.ones(showers.n, np.bool_),
            unknown=np.zeros(showers.n, np.bool_),
            bins=np.clip((-np.log(p) / 4).astype(np.int64), 0, 3),
        )


@dataclass
class MemoryBroker:
    """Topics as lists; its clock goes on by a millisecond a record."""

    topics: dict[tuple[str, int], list[Record]] = field(default_factory=lambda: defaultdict(list))
    now_ms: int = 1_767_225_600_000
    down: bool = False
    ids: dict[str, str] = field(default_factory=dict)
    firsts: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))
    """First offset that has not expired."""

    epoch: int = 0

    def append(self, topic: str, value: bytes, key: str, partition: int | None = None) -> int:
        if self.down:
            raise Unavailable("down")
        self.now_ms += 1
        records = self.topics[topic, partition or 0]
        offset = len(records)
        where = (topic, partition or 0, offset)
        records.append(Record(*where, self.now_ms, key.encode(), value, self.epoch, True))
        return offset

    def read(self, topic: str, partition: int, begin: int | None, end: int) -> list[Record]:
        first = max(begin or 0, self.firsts[topic, partition])
        return self.topics[topic, partition][first:end]

    def bounds(self, topic: str, partition: int = 0) -> tuple[int, int]:
        return self.firsts[topic, partition], len(self.topics[topic, partition])

    def expire(self, topic: str, partition: int, first: int) -> None:
        """Let the records before an offset be gone, as retention does."""
        self.firsts[topic, partition] = first

    def cut(self, topic: str, partition: int, end: int) -> None:
        """Let a leader be elected that lacks the records from an offset on."""
        del self.topics[topic, partition][end:]
        self.epoch += 1

    def make_again(self, topic: str, id_: str = "") -> None:
        """Delete a topic and make one of its name."""
        for where in [where for where in self.topics if where[0] == topic]:
            self.topics[where].clear()
            self.firsts[where] = 0
        self.ids[topic] = id_

    def clients(self, source: MemorySource) -> Clients:
        return Clients(source, MemorySink(self), MemoryLog(self))


@dataclass
class _Appended:
    where: int

    def offset(self) -> int:
        return self.where

    def once_safe(self, act: Callable[[], None]) -> None:
        act()


@dataclass
class MemorySink:
    broker: MemoryBroker

    def append(
        self, topic: str, value: bytes, *, key: str, partition: int | None = None
    ) -> _Appended:
        return _Appended(self.broker.append(topic, value, key, partition))


@dataclass
class MemoryLog:
    broker: MemoryBroker

    def read(self, topic: str, begin: int | None, end: int, *, partition: int = 0) -> list[Record]:
        return self.broker.read(topic, partition, begin, end)

    def read_all(self, topic: str, begin: int | None = None) -> list[Record]:
        return self.broker.read(topic, 0, begin, len(self.broker.topics[topic, 0]))

    def identity(self, topic: str) -> str:
        return self.broker.ids.get(topic, "")

    def bounds(self, topic: str, partition: int = 0) -> tuple[int, int]:
        return self.broker.bounds(topic, partition)


@dataclass
class MemorySource:
    """Partitions come and go as the test says."""

    broker: MemoryBroker
    topic: str
    most: int = 3
    """Records of a poll."""

    positions: dict[int, int] = field(default_factory=dict)
    committed: dict[int, int] = field(default_factory=dict)
    came: set[int] = field(default_factory=set)
    went: set[int] = field(default_factory=set)
    left: bool = False
    away_s: float = 0.0
    """For how long the broker has not answered."""

    def give(self, *partitions: int) -> None:
        self.came |= set(partitions)

    def take(self, *partitions: int) -> None:
        self.went |= set(partitions) - self.came
        self.came -= set(partitions)
        for partition in partitions:
            self.positions.pop(partition, None)

    def identity(self) -> str:
        return self.broker.ids.get(self.topic, "")

    def poll(self, seconds: float) -> list[Record]:
        found: list[Record] = []
        away = {p for p, position in self.positions.items() if not self._on(p, position)}
        if away:
            for partition in away:
                del self.positions[partition]
            raise Displaced(away)
        for partition, position in self.positions.items():
            new = self.broker.topics[self.topic, partition][position : position + self.most]
            self.positions[partition] += len(new)
            found += new
        return found

    def _on(self, partition: int, position: int) -> bool:
        first, end = self.broker.bounds(self.topic, partition)
        return first <= position <= end

    def changes(self) -> tuple[set[int], set[int]]:
        came, went, self.came, self.went = self.came, self.went, set(), set()
        return came, went

    def start(self, offsets: Mapping[int, int | None]) -> None:
        firsts = {p: self.broker.bounds(self.topic, p)[0] for p in offsets}
        self.positions |= {p: firsts[p] if o is None else o for p, o in offsets.items()}

    def lag(self, partitions: Iterable[int]) -> dict[int, Lag]:
        return {
            p: Lag(len(self.broker.topics[self.topic, p]) - self.positions[p], self.away_s)
            for p in partitions
            if p in self.positions
        }

    def commit(self, offsets: Mapping[int, int]) -> None:
        self.committed |= offsets

    def close(self) -> None:
        self.left = True


class CountingMonitor:
    """Remembers what it observed; raises nothing."""

    def __init__(self, detector: Detector) -> None:
        self.places = Places(detector)
        self.showers: dict[tuple[int, int, int], int] = {}
        self.order: list[int] = []

    def masked(self) -> Masked:
        return Masked()

    def leave_out(self, shed: Any) -> tuple[()]:
        return ()

    def lose(self, loss: Any) -> tuple[()]:
        return ()

    def observe(self, *windows: Window, **_: Any) -> tuple[()]:
        for window in windows:
            key = tuple(window.key)
            if key not in self.showers:
                self.order.append(key[2])
            self.showers[key] = self.showers.get(key, 0) + window.n
        return ()

    def close(self) -> tuple[()]:
        return ()

    def alarms(self) -> dict[str, Any]:
        return {}

    def acknowledge(self, act: Any) -> tuple[()]:
        return ()

    def standing(self) -> None:
        return None

    def begin_beside(self, other: CountingMonitor) -> None:
        pass

    def succeed(self, former: CountingMonitor) -> tuple[()]:
        """Go on with what was said so far; what was only seen in shadow was never said."""
        self.showers, self.order = dict(former.showers), list(former.order)
        return ()

    def state(self) -> dict[str, Any]:
        rows = [[*key, n] for key, n in self.showers.items()]
        return {"rows": np.array(rows, np.int64).reshape(-1, 4), "order": np.array(self.order)}

    def restore(self, state: dict[str, Any]) -> None:
        self.showers = {tuple(row[:3]): row[3] for row in state["rows"].tolist()}
        self.order = state["order"].tolist()
