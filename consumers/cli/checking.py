"""Checking of records: what the service would do with each, as the author of a producer asks it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from consumers.app import detector_files, wiring
from consumers.cli.first_look import FirstLook, first_look
from consumers.kafka.admin import describe_topics
from consumers.score.hidden import hidden_cells
from consumers.wire.block import Block, DecodeError, Expected
from consumers.wire.codec import decode
from consumers.wire.user_error import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.app.settings import Settings
    from consumers.kafka.log import KafkaLog
    from consumers.wire.record import Record
    from models.scoring.artefact import Artefact
    from models.scoring.scorer import Scorer
    from monitor.detector.tree import Detector

DAY_NS = 24 * 3600 * 10**9
"""A record's data time may be so much later than when it was written."""

UNCOUNTED = "no calodqm.producer or calodqm.seq: if records were lost, nobody would know"


@dataclass(frozen=True, slots=True)
class Checked:
    """What would happen to one record."""

    name: str
    reason: str
    """Why it is refused; empty if it is taken."""

    faults: tuple[str, ...]
    """All that is wrong, if it is refused."""

    holds: dict[str, Any]
    """What it holds, if it is taken."""

    look: FirstLook | None
    """What the model makes of it, if it is taken."""

    @property
    def well(self) -> bool:
        """Return whether it is taken and nothing looks wrong."""
        return self.look is not None and not self.look.doubts

    def lines(self) -> Iterator[str]:
        """Yield what people are told."""
        if self.look is None:
            yield f"{self.name}: refused, {self.reason}"
            yield from (f"  - {fault}" for fault in self.faults)
            return
        yield f"{self.name}: taken, {self.look.showers} showers"
        yield from (f"  {name:<12} {text}" for name, text in self.holds.items())
        if self.look.median_p is not None:
            text = f"median p {self.look.median_p:.2g} (0.5 if good)"
            yield f"  {'scores':<12} {text}, {self.look.strange:.1%} at or below 0.001"
        yield (
            f"  {'domain':<12} {self.look.outside:.1%} outside of what the model was trained on, "
            f"{self.look.unscored:.1%} without a finite score"
        )
        for name, mean, reference in self.look.layers:
            ratio = f"{mean / reference:.3g}" if reference else "-"
            text = f"mean {mean:.4g} MeV, the reference's {reference:.4g}: ratio {ratio}"
            yield f"  {'layer':<12} {name}: {text}"
        yield from (f"  looks wrong: {doubt}" for doubt in self.look.doubts)


@dataclass(frozen=True)
class Checker:
    """Does what a score worker would do with a record, and then looks at it."""

    artefact: Artefact
    scorer: Scorer
    detector: Detector
    earliest_ns: int

    @classmethod
    def of(cls, given: Settings) -> Checker:
        """Return the checker of a service's settings, or raise `UserError`."""
        artefact = wiring.artefact_of(given)
        detector = detector_files.detector_of(given)
        detector_files.check_patches(detector, artefact.geometry)
        scorer = wiring.scorer_of(artefact, given, detector)
        return cls(artefact, scorer, detector, given.earliest_ns)

    @property
    def expected(self) -> Expected:
        """Return what a record must agree with."""
        names = tuple(self.artefact.feature_map.condition_names)
        return Expected(
            frozenset(self.detector.by_id),
            names,
            self.earliest_ns,
            region_of_seed=self.detector.region_of_seed,
        )

    def check(self, name: str, value: bytes, latest_ns: int) -> Checked:
        """Return what would happen to a record."""
        geometry = self.artefact.geometry
        try:
            block = decode(value, geometry, expected=self.expected, latest_ns=latest_ns)
        except DecodeError as error:
            return Checked(name, error.reason.value, error.faults, {}, None)
        names = self.artefact.feature_map.condition_names
        showers = block.showers
        needed = replace(showers, conditions={n: showers.conditions[n] for n in names})
        hidden = hidden_cells(showers, block.time_ns, self.detector)
        look = first_look(needed, self.artefact, self.scorer, hidden)
        return Checked(name, "", (), self._holds(block), look)

    def _holds(self, block: Block) -> dict[str, Any]:
        known = block.showers.e_inc[block.showers.e_inc == block.showers.e_inc]
        regions = Counter(self.detector.by_id[i].name for i in block.region.tolist())
        counted = f"{block.producer!r}, seq {block.seq}"
        return {
            "regions": ", ".join(f"{name} ({n})" for name, n in sorted(regions.items())),
            "data time": f"{_moment(int(block.time_ns.min()))} to {_moment(int(block.time_ns.max()))}",
            **self._places(block),
            "run": f"{_span(block.run)}, lumisection {_span(block.lumisection)}",
            "e_inc": f"known of {len(known)}"
            + (f", {known.min():.4g} to {known.max():.4g} MeV" if len(known) else ""),
            "conditions": ", ".join(block.showers.conditions) or "none",
            "producer": counted if block.producer and block.seq is not None else UNCOUNTED,
        }

    def _places(self, block: Block) -> dict[str, str]:
        seeds, channels = block.showers.seeds, self.detector.channels
        if seeds is None or channels is None:
            return (
                {} if seeds is None else {"seeds": "said, but the detector file says no channels"}
            )
        most, n = Counter(seeds.tolist()).most_common(1)[0]
        edge = int((channels.patches(seeds) < 0).any(axis=1).sum())
        text = f"{len(set(seeds.tolist()))} channels, most often {channels.name(most)} ({n})"
        return {"seeds": text + (f", {edge} at a border" if edge else "")}


def some_records(log: KafkaLog, given: Settings, n: int, begin: str) -> Iterator[Record]:
    """Yield up to n records of the showers topic, shared out among its partitions."""
    partitions = describe_topics(given.connection()).get(given.topic)
    if partitions is None:
        raise UserError(f"no topic {given.topic} on {given.bootstrap}")
    each = -(-n // partitions)
    for partition in range(partitions):
        first, end = log.bounds(given.topic, partition)
        start = max(first, end - each) if begin == "newest" else first
        for left, record in enumerate(
            log.read(given.topic, start, min(end, start + each), partition=partition)
        ):
            if left < each:
                yield record


def _moment(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _span(values: Any) -> str:
    low, high = int(values.min()), int(values.max())
    return str(low) if low == high else f"{low} to {high}"
