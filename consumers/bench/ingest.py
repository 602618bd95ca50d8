"""The ingest benchmark: showers a second through the service, beside a plain loop of the same."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.app import children, detector_files, engines, wiring
from consumers.app.embedded import EmbeddedBroker
from consumers.bench.measured_service import JUDGED, STAGES, MeasuredService
from consumers.cli.stream import Beam, Stream
from consumers.kafka.admin import ensure_topics
from consumers.kafka.sink import KafkaSink
from consumers.kafka.source import KafkaSource
from consumers.wire import topics
from consumers.wire.arrow_form import encode
from consumers.wire.block import Block
from consumers.wire.codec import decode
from consumers.wire.user_error import UserError
from models.showers import readers
from models.showers.pool import clean
from models.showers.symmetries import Symmetry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import psutil

    from consumers.app.settings import Settings
    from consumers.cli.stream import Sent
    from models.scoring.artefact import Artefact

PLAIN_TOPIC = "calo.plain.v1"
WARM_SHOWERS = 16_384


@dataclass(frozen=True)
class Ingest:
    """What one run of the service gave."""

    showers: int
    seconds: float
    """From the first record sent to the last shower judged."""

    rate: float
    """Showers a second end to end."""

    cpu_us: float
    """CPU time of the service a shower, µs, workers and judge together."""

    stages_us: dict[str, float]
    """Where a worker's wall-clock time goes, µs a shower; the rest is the client and waiting."""

    rss_mib: list[float]
    """Resident memory of the process that scores and judges, MiB, a sample a second."""


def measure(
    settings: Settings,
    source: Path,
    showers: int,
    rate_hz: float,
    workers: int,
    home: str | None = None,
    stacks: Path | None = None,
) -> Ingest:
    """Return how fast the service takes in a stream that comes at a rate.

    Broker, producer and service are processes of this machine: one that scores and judges, and
    further score workers. The records are made before: a real producer has them already.
    `home` is that of `EmbeddedBroker`, `stacks` the first one's of `MeasuredService.start`.
    """
    with EmbeddedBroker(home=home) as broker:
        given = settings.model_copy(update={"bootstrap": broker.bootstrap})
        connection = given.connection()
        ensure_topics(connection, partitions=settings.partitions)
        services = [
            MeasuredService.start(given, "run", stacks)
            if i == 0
            else MeasuredService.start(given, "score")
            for i in range(workers)
        ]
        sink = KafkaSink(connection)
        try:
            records = make_records(given, source, showers + WARM_SHOWERS, rate_hz)
            share = settings.partitions // workers
            for service in services:
                service.wait(lambda seen: seen["assigned"] < share, 120, "its partitions")
            if _is_compiled(given):
                for service in services:
                    service.wait(lambda seen: 1 - seen["compiled"], 300, "its compiled model")
            warm = _send(sink, records, 0, WARM_SHOWERS, rate_hz)
            services[0].wait(lambda seen: seen[JUDGED] < warm.showers, 120, "the start")
            if stacks is not None:
                stacks.unlink(missing_ok=True)
            return _timed(sink, records, warm.records, services, rate_hz)
        finally:
            sink.close()
            for service in services:
                children.stop(service.child, 20)


def _is_compiled(settings: Settings) -> bool:
    """Return whether services of some settings go over to a compiled program."""
    examine = wiring.artefact_of(settings).scorer(settings.device).examine
    return engines.can_compile() and engines.has_program(examine, settings)


def make_records(settings: Settings, source: Path, showers: int, rate_hz: float) -> list[Sent]:
    """Return the records of a stream, ready to be sent."""
    geometry, detector = detector_files.geometry_of(settings), detector_files.detector_of(settings)
    beam = Beam(
        pool=clean(readers.read(source, geometry)),
        geometry=geometry,
        detector=detector,
        rate_hz=rate_hz,
        images=Symmetry(("x", "y")).images(geometry),
        partitions=settings.partitions,
        start_ns=time.time_ns() - 3600 * 10**9,
        seconds=1.2 * showers / rate_hz + 1,
    )
    return list(Stream(beam))


@dataclass(frozen=True)
class _Part:
    records: int
    showers: int


def _send(sink: KafkaSink, records: list[Sent], begin: int, showers: int, rate_hz: float) -> _Part:
    """Send records at a rate until so many showers are under way."""
    sent = 0
    index = begin
    began = time.monotonic()
    under_way = []
    while sent < showers and index < len(records):
        record = records[index]
        wait = began + sent / rate_hz - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        under_way.append(
            sink.append(topics.SHOWERS, record.value, key=record.key, partition=record.partition)
        )
        if len(under_way) > 128:
            under_way.pop(0).offset()
        sent += record.showers
        index += 1
    for append in under_way:
        append.offset()
    return _Part(index - begin, sent)


def _timed(
    sink: KafkaSink,
    records: list[Sent],
    begin: int,
    services: list[MeasuredService],
    rate_hz: float,
) -> Ingest:
    first = services[0]
    before, cpu = first.read(), sum(service.cpu_s() for service in services)
    memory: list[float] = []
    done = threading.Event()
    sampler = threading.Thread(target=_sample, args=(first.process(), memory, done))
    sampler.start()
    try:
        began = time.monotonic()
        part = _send(sink, records, begin, 10**9, rate_hz)
        wanted = before[JUDGED] + part.showers

        def left_s(seen: dict[str, float]) -> float:
            judged = max(seen[JUDGED] - before[JUDGED], 1.0)
            return (wanted - seen[JUDGED]) * (time.monotonic() - began) / judged

        first.wait(left_s, 600, "the end")
        seconds = time.monotonic() - began
    finally:
        done.set()
        sampler.join()
    after = first.read()
    own = after["scored"] - before["scored"]
    stages = {stage: 1e6 * (after[stage] - before[stage]) / own for stage in STAGES}
    used = sum(service.cpu_s() for service in services) - cpu
    n = part.showers
    return Ingest(n, seconds, n / seconds, 1e6 * used / n, stages, memory)


def plain_loop(settings: Settings, artefact: Artefact, source: Path, showers: int) -> float:
    """Return the showers a second of a loop as it is first written.

    One record, one poll, one `log_prob` of zuko, one `observe` of prometheus_client a shower.
    """
    import torch  # noqa: PLC0415 - takes seconds
    from prometheus_client import CollectorRegistry, Histogram  # noqa: PLC0415

    score = Histogram("score", "Score of a shower.", registry=CollectorRegistry())
    pool = readers.read(source, artefact.geometry)
    with EmbeddedBroker() as broker, torch.inference_mode():
        given = settings.model_copy(update={"bootstrap": broker.bootstrap})
        connection = given.connection()
        ensure_topics(connection, partitions=1, showers=PLAIN_TOPIC)
        sink = KafkaSink(connection)
        under_way = []
        for i in range(showers + 20):
            one = pool[slice(i % pool.n, i % pool.n + 1)]
            numbers = np.zeros(1, np.int64)
            now = np.full(1, time.time_ns())
            block = Block(one, numbers.astype(np.uint64), now, numbers, numbers, numbers, "", 0)
            value = encode(block, artefact.geometry, compression=None)
            under_way.append(sink.append(PLAIN_TOPIC, value, key="", partition=0))
        for append in under_way:
            append.offset()
        loop = KafkaSource(connection, PLAIN_TOPIC, "plain", session_s=2, max_records=1)
        try:
            return _plain(loop, artefact, score.observe, showers)
        finally:
            loop.close()
            sink.close()


def _plain(
    loop: KafkaSource, artefact: Artefact, observe: Callable[[float], None], showers: int
) -> float:
    seen, began = 0, 0.0
    deadline = time.monotonic() + 300
    while seen < showers + 10:
        records = loop.poll(1.0)
        came, _ = loop.changes()
        loop.start(dict.fromkeys(came))
        for record in records:
            block = decode(record.value, artefact.geometry)
            features, _ = artefact.feature_map(block.showers)
            observe(float(-artefact.flow.log_prob(features).sum()))
            seen += 1
            if seen == 10:  # the first calls prepare things
                began = time.monotonic()
        if time.monotonic() > deadline:
            raise UserError("the plain loop does not come to an end")
    return showers / (time.monotonic() - began)


def as_json(ingest: Ingest) -> dict[str, Any]:
    """Return plain values, with the memory as its largest and its drift over the second half."""
    fields = asdict(ingest)
    memory = fields.pop("rss_mib")
    half = memory[len(memory) // 2 :]
    fields["rss_max_mib"] = round(max(memory), 1)
    fields["rss_drift_mib"] = round(half[-1] - half[0], 1)
    return fields


def _sample(process: psutil.Process, memory: list[float], done: threading.Event) -> None:
    while True:
        memory.append(process.memory_info().rss / 2**20)
        if done.wait(1.0):
            return
