"""A stream that a test sends piece by piece, and what a service made of it."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING

from services import POOL, newest_manifest
from waiting import wait_until

from consumers.app import environment
from consumers.app.detector_files import detector_of, geometry_of
from consumers.cli.command import main
from consumers.cli.stream import LUMISECTION_S, TICK_S, Beam, Stream
from consumers.exactly_once import quality_log
from consumers.kafka.admin import ensure_topics
from consumers.kafka.connection import Connection
from consumers.kafka.log import KafkaLog
from consumers.kafka.sink import KafkaSink
from consumers.wire import topics
from models.showers import readers
from models.showers.pool import clean
from models.showers.symmetries import Symmetry
from models.simulation import fault_form
from monitor.quality.alarms import Alarm
from monitor.quality.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.cli.stream import Sent

START_NS = 1_767_225_600 * 10**9


@dataclass
class Feed:
    """Sends a simulated stream up to a data-second at a time, faster than it would come.

    Not as fast as it goes: an idle partition is only waited for as long as data take to come.
    """

    bootstrap: str
    rate: float = 300.0
    speed: float = 3.0
    """Data-seconds in a second."""

    fault: tuple[str, ...] = ()
    seconds: float = 300.0
    sent: int = 0
    by_lumisection: Counter[int] = field(default_factory=Counter)
    _stream: Iterator[Sent] = field(init=False)
    _held: list[Sent] = field(default_factory=list)

    def __post_init__(self) -> None:
        given = environment.load({"bootstrap": self.bootstrap}, {})
        detector, geometry = detector_of(given), geometry_of(given)
        regions = {region.name: region.id for region in detector.regions}
        ensure_topics(given.connection(), partitions=4)
        self._stream = iter(
            Stream(
                Beam(
                    pool=clean(readers.read(POOL, geometry)),
                    geometry=geometry,
                    detector=detector,
                    rate_hz=self.rate,
                    images=Symmetry(("x", "y")).images(geometry),
                    faults=tuple(fault_form.parse(text, regions) for text in self.fault),
                    run=1,
                    lumisections_a_run=200,
                    partitions=4,
                    block=256,
                    start_ns=START_NS,
                    seconds=self.seconds,
                    producer="feed",
                    seed=4,
                    compression="lz4",
                )
            )
        )

    def until(self, second: float) -> None:
        """Send what is due before a second of stream time."""
        sink = KafkaSink(Connection(self.bootstrap))
        under_way = []
        held, self._held = self._held, []
        pieces = takewhile(lambda sent: self._due(sent, second), self._stream)
        began, first = time.monotonic(), held[0].due_s if held else 0.0
        for piece in itertools.chain(held, pieces):
            time.sleep(max(0.0, began + (piece.due_s - first) / self.speed - time.monotonic()))
            under_way.append(
                sink.append(topics.SHOWERS, piece.value, key=piece.key, partition=piece.partition)
            )
            self.sent += piece.showers
            self.by_lumisection[1 + int((piece.due_s - TICK_S) // LUMISECTION_S)] += piece.showers
        for append in under_way:
            append.offset()
        sink.close()

    def _due(self, sent: Sent, second: float) -> bool:
        if sent.due_s >= second:
            self._held.append(sent)  # the first that is not due is taken from the stream too
            return False
        return True

    def judged(self, seconds: float = 60) -> None:
        """Wait until all that was sent is in the judge's snapshot."""
        wait_until(
            lambda: newest_manifest(self.bootstrap).totals.get("showers", 0) >= self.sent,
            seconds,
            f"{self.sent} showers to be judged",
        )


def ask(bootstrap: str, *arguments: str) -> tuple[int, str]:
    """Call a command in this process and return its code and what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = main([*arguments, "--bootstrap", bootstrap])
    return code, printed.getvalue()


def status(bootstrap: str) -> dict:
    """Return what `calodqm model status` tells, with the models by their roles."""
    told = json.loads(ask(bootstrap, "model", "status", "--json")[1])
    return told | {m["role"]: m["hash"] for m in told["models"] if m["role"]}


def said(bootstrap: str) -> list:
    """Return what the judges published, in order."""
    log = KafkaLog(Connection(bootstrap))
    try:
        return quality_log.read(log.read_all(topics.QUALITY))
    finally:
        log.close()


def alarms(bootstrap: str) -> list[Alarm]:
    """Return every version of every alarm, in order."""
    return [record for record in said(bootstrap) if isinstance(record, Alarm)]


def verdicts(bootstrap: str) -> dict[tuple[int, int], Verdict]:
    """Return the newest verdict by lumisection and region; a version is published once."""
    newest: dict[tuple[int, int], Verdict] = {}
    for record in said(bootstrap):
        if isinstance(record, Verdict):
            key = (record.lumisection, record.region)
            assert key not in newest or record.version > newest[key].version
            newest[key] = record
    return newest
