"""A stream out of a file of showers: regions, runs, lumisections and faults on a schedule."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from consumers.wire.arrow_form import encode
from consumers.wire.block import Block
from models.simulation import injection
from models.simulation.faults import STREAM, Fault, FaultKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from models.showers.batch import Showers
    from models.showers.pool import Pool
    from models.showers.symmetries import Image
    from models.simulation.whole import WholeDetector
    from monitor.detector.tree import Detector

LUMISECTION_S = 23
TICK_S = 0.25
"""Data time that is made at once, s; faults begin and end with it."""


@dataclass(frozen=True)
class Beam:
    """What the stream is made of."""

    pool: Pool
    """Showers that are drawn from, with replacement; clean ones get noise at every draw."""

    geometry: Geometry
    detector: Detector
    rate_hz: float
    """Showers a second in the whole detector, > 0."""

    whole: WholeDetector | None = None
    """What showers are read by, where the detector file says channels; None in a test beam."""

    images: tuple[Image, ...] = ()
    """What a shower may as well have been: each draw is one of them. Itself alone if not given."""

    faults: tuple[Fault, ...] = ()
    run: int = 1
    lumisections_a_run: int = 200
    partitions: int = 4
    block: int = 256
    """Most showers in a record."""

    start_ns: int = 0
    """Data time of the beginning, ns since 1970 UTC."""

    seconds: float = float("inf")
    producer: str = "simulate"
    seed: int = 1
    compression: str | None = "lz4"


class Sent(NamedTuple):
    """One record to be sent."""

    due_s: float
    """Stream time, s since the beginning."""

    partition: int
    key: str
    value: bytes
    showers: int
    """Showers inside; 0 if the record is spoilt."""


@dataclass
class Stream:
    """Makes the records of a beam, in the order in which they are due."""

    beam: Beam
    _rng: np.random.Generator = field(init=False)
    _seqs: dict[str, int] = field(default_factory=dict)
    _event_id: int = 0
    _late: list[tuple[float, int, Sent]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.beam.seed)

    def __iter__(self) -> Iterator[Sent]:
        ticks = itertools.count() if self.beam.seconds == float("inf") else range(self._n_ticks())
        for tick in ticks:
            now = (tick + 1) * TICK_S
            while self._late and self._late[0][0] <= now:
                yield heapq.heappop(self._late)[2]
            yield from self._tick(tick)
        while self._late:
            yield heapq.heappop(self._late)[2]

    def _n_ticks(self) -> int:
        return round(self.beam.seconds / TICK_S)

    def _tick(self, tick: int) -> Iterator[Sent]:
        begin = tick * TICK_S
        active = [fault for fault in self.beam.faults if fault.active(begin)]
        for index, (sector, regions) in enumerate(self.beam.detector.innermost.items()):
            share = len(regions) / len(self.beam.detector.regions)
            n = int(self._rng.poisson(self.beam.rate_hz * TICK_S * share))
            region = self._rng.choice(np.array(regions, np.int64), n)
            region = region[~np.isin(region, _struck(active, FaultKind.SILENT, self.beam.detector))]
            late = np.isin(region, _struck(active, FaultKind.LATE, self.beam.detector))
            for rows, delay in ((~late, 0.0), (late, _delay(active))):
                for part in _parts(region[rows], self.beam.block):
                    sent = self._record(begin, index % self.beam.partitions, sector, part, active)
                    if sent is None:
                        continue
                    if delay:
                        due = sent.due_s + delay
                        heapq.heappush(
                            self._late, (due, next(self._order), sent._replace(due_s=due))
                        )
                    else:
                        yield sent

    def _record(
        self,
        begin: float,
        partition: int,
        sector: str,
        region: NDArray[np.int64],
        active: list[Fault],
    ) -> Sent | None:
        after_ns = self._rng.integers(0, int(TICK_S * 1e9), len(region))
        showers = self._showers(region, active)
        n = showers.n  # of a whole detector fewer may be found than there are
        if not n:
            return None
        time_ns = self.beam.start_ns + int(begin * 1e9) + np.sort(after_ns[:n])
        # Lumisections count from the beginning of the stream; runs follow each other at once.
        section = (time_ns - self.beam.start_ns) // (LUMISECTION_S * 10**9)
        seq = self._seqs.get(sector, 0)
        self._seqs[sector] = seq + 1
        block = Block(
            showers=showers,
            event_id=np.arange(self._event_id, self._event_id + n).astype(np.uint64),
            time_ns=time_ns,
            run=self.beam.run + section // self.beam.lumisections_a_run,
            lumisection=1 + section % self.beam.lumisections_a_run,
            region=self._found_in(showers, region),
            producer=self.beam.producer,
            seq=seq,
        )
        self._event_id += n
        value = encode(block, self.beam.geometry, compression=self.beam.compression)
        corrupt = next((f for f in active if f.kind is FaultKind.CORRUPT), None)
        spoilt = corrupt is not None and self._rng.random() < corrupt.magnitudes["share"]
        if spoilt:
            value = value[: len(value) // 2]
        return Sent(begin + TICK_S, partition, sector, value, 0 if spoilt else n)

    def _found_in(self, showers: Showers, region: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the region of each shower's seed, that where it entered in a test beam."""
        of_seed = self.beam.detector.region_of_seed
        return region if showers.seeds is None or of_seed is None else of_seed[showers.seeds]

    def _showers(self, region: NDArray[np.int64], active: list[Fault]) -> Showers:
        if self.beam.whole is not None:
            return self._anywhere(self.beam.whole, region, active)
        pool, rng = self.beam.pool, self._rng
        index = rng.integers(pool.n, size=len(region))
        for fault in active:
            if fault.kind is FaultKind.SHIFT:
                rows = _in(region, fault)
                index[rows] = rng.choice(
                    pool.n, int(rows.sum()), p=injection.weights(fault, pool.showers)
                )
        showers = pool.draw(index, self.beam.geometry, rng, self.beam.images)
        for fault in active:
            if fault.kind not in STREAM:
                showers = injection.apply(
                    fault, showers, region, self.beam.geometry, rng, pool.showers
                )
        return showers

    def _anywhere(
        self, whole: WholeDetector, region: NDArray[np.int64], active: list[Fault]
    ) -> Showers:
        """Return showers that enter at any seed of their regions."""
        rng = self._rng
        seeds = np.empty(len(region), np.uint32)
        for one in np.unique(region).tolist():
            rows = np.flatnonzero(region == one)
            seeds[rows] = rng.choice(self._seeds_of[one], len(rows))
        of_channels = tuple(fault for fault in active if fault.channel)
        shift = next((fault for fault in active if fault.kind is FaultKind.SHIFT), None)
        weight = None if shift is None else injection.weights(shift, self.beam.pool.showers)
        showers = whole.read(seeds, rng, of_channels, weight)
        found = self._found_in(showers, region)
        for fault in active:
            if fault.kind not in STREAM and not fault.channel:
                showers = injection.apply(fault, showers, found, self.beam.geometry, rng)
        return showers

    @cached_property
    def _seeds_of(self) -> dict[int, NDArray[np.int64]]:
        """Return the channels that may be seeds, by region."""
        of_seed = self.beam.detector.region_of_seed
        if of_seed is None:
            return {}
        return {region: np.flatnonzero(of_seed == region) for region in self.beam.detector.by_id}


def _parts(region: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    return [region[i : i + size] for i in range(0, len(region), size)]


def _in(region: NDArray[np.int64], fault: Fault) -> NDArray[np.bool_]:
    return np.isin(region, fault.region) if fault.region else np.ones(len(region), np.bool_)


def _struck(active: list[Fault], kind: FaultKind, detector: Detector) -> list[int]:
    """Return the regions that faults of a kind strike now."""
    everything = [region.id for region in detector.regions]
    return [
        region for fault in active if fault.kind is kind for region in (fault.region or everything)
    ]


def _delay(active: list[Fault]) -> float:
    return max((f.magnitudes["seconds"] for f in active if f.kind is FaultKind.LATE), default=0.0)
