"""calodqm simulate: turn a shower file into a live stream, with faults."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from consumers.app import environment, wiring
from consumers.app import settings as settings_
from consumers.app.detector_files import check_patches, detector_of
from consumers.app.ending import stop_on_signals
from consumers.cli import reading
from consumers.cli.stream import Beam, Stream
from consumers.kafka.admin import describe_topics, ensure_topics
from consumers.kafka.sink import KafkaSink
from consumers.wire.record import Refused, Unavailable
from consumers.wire.user_error import UserError
from models.detector.geometry import GeometryError
from models.showers import readers
from models.showers.batch import Showers
from models.showers.pool import Pool
from models.showers.symmetries import Symmetry
from models.simulation import channel_faults, fault_form, faults, injection, sources
from models.simulation.canvas import Home

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from consumers.cli.reading import Files
    from consumers.wire.record import Append
    from models.detector.channels import Channels
    from models.detector.geometry import Geometry
    from models.simulation.whole import Constants, WholeDetector
    from monitor.detector.tree import Detector

UNDER_WAY = 256
"""Records that may be on their way: the producer's memory is bounded by this."""

SOON_S = 60.0
"""A stream that begins this soon, in data time, waits for its time to come."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm simulate`."""
    parser.add_argument("--source", type=Path, required=True, metavar="FILE", help="shower file")
    parser.add_argument("--rate", type=float, required=True, metavar="HZ", help="showers a second")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="KIND:KEY=VALUE,...@START+LENGTH",
        help="seconds of stream time; may be given more than once",
    )
    parser.add_argument("--seconds", type=float, default=float("inf"), help="data time to make")
    parser.add_argument(
        "--data-time-start", metavar="TIME", help="ISO 8601; default: now; waits if soon"
    )
    parser.add_argument("--fast", action="store_true", help="as fast as it goes, not in real time")
    parser.add_argument("--block", type=int, default=256, help="most showers in a record")
    parser.add_argument("--run-number", type=int, default=1, metavar="N")
    parser.add_argument("--lumisections", type=int, default=200, metavar="N", help="in a run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--spread",
        default="",
        metavar="gain=0.01,noise=0.1,pedestal=0.1",
        help="how much the channels of the detector differ; default: not at all",
    )
    parser.add_argument(
        "--seeding",
        choices=["largest", "entered"],
        default="largest",
        help="the seed: the channel that reads most, or the one entered; default: largest",
    )
    parser.add_argument(
        "--truth", type=Path, metavar="FILE", help="write each channel's constants (Parquet)"
    )
    parser.add_argument("--compression", choices=["lz4", "zstd", "none"], default="lz4")
    parser.add_argument("--producer", default=f"simulate-{int(time.time())}", help="its name")
    parser.add_argument("--json", action="store_true", help="print what was sent as JSON")
    reading.add_arguments(parser)
    environment.add_arguments(
        parser, "bootstrap", "prefix", "detector", "artefact", "topic", "partitions"
    )


def run(args: argparse.Namespace) -> int:
    """Stream until the end, or until interrupted."""
    settings = environment.from_arguments(args)
    beam = make_beam(args, settings)
    stopping = threading.Event()
    stop_on_signals(stopping)
    try:
        ensure_topics(
            settings.connection("simulate"),
            partitions=settings.partitions,
            replication=settings.replication,
            showers=settings.topic,
        )
        # The topic may have been there before, with partitions of its own.
        there = describe_topics(settings.connection("simulate"))[settings.topic]
        sink = KafkaSink(settings.connection("simulate"))
        try:
            told = play(
                replace(beam, partitions=there),
                sink,
                settings.topic,
                stopping,
                paced=not args.fast,
            )
        finally:
            sink.close()
    except (Refused, Unavailable) as error:
        raise UserError(f"broker {settings.bootstrap}: {error}") from None
    if args.json:
        print(json.dumps(told))
    return 0


def make_beam(args: argparse.Namespace, settings: settings_.Settings) -> Beam:
    """Return the beam that a command line asks for, or raise `UserError`."""
    model, detector = wiring.description_of(settings), detector_of(settings)
    geometry = model.geometry
    check_patches(detector, geometry)
    files = reading.opened(args, model, [args.source])
    mirrors = Symmetry.of_card(model.card) if files.opened[args.source].clean else Symmetry()
    try:
        wanted = told_faults(args.fault, detector, geometry)
        whole = _whole(args, files, detector)
        if whole is None:
            pool = files.pool([args.source])
        else:
            pool = Pool(Showers(whole.pool.cells, whole.pool.e_inc, whole.pool.conditions))
        images = mirrors.images(geometry)
    except (readers.ReaderError, faults.FaultError, GeometryError) as error:
        raise UserError(str(error)) from None
    if not args.rate > 0 or not args.seconds > 0 or not 0 < args.block <= 1024:
        raise UserError("rate and seconds must be > 0, a block has 1 to 1024 showers")
    return Beam(
        pool=pool,
        geometry=geometry,
        detector=detector,
        rate_hz=args.rate,
        whole=whole,
        images=images,
        faults=wanted,
        run=args.run_number,
        lumisections_a_run=args.lumisections,
        partitions=settings.partitions,
        block=args.block,
        start_ns=_start_ns(args.data_time_start),
        seconds=args.seconds,
        producer=args.producer,
        seed=args.seed,
        compression=None if args.compression == "none" else args.compression,
    )


def told_faults(
    texts: Iterable[str], detector: Detector, geometry: Geometry
) -> tuple[faults.Fault, ...]:
    """Return the faults of some texts, or raise `FaultError` if one has no place there."""
    regions = {region.name: region.id for region in detector.regions}
    channels = detector.channels
    found = []
    for text in texts:
        fault = fault_form.parse(text, regions, None if channels is None else channels.knows)
        if fault.channel and channels is not None:
            channel_faults.struck(fault, channels)
        else:
            injection.check(fault, geometry)
        found.append(fault)
    return tuple(found)


def _whole(args: argparse.Namespace, files: Files, detector: Detector) -> WholeDetector | None:
    """Return what showers are read by, None if the detector file says no channels."""
    from models.simulation import whole  # noqa: PLC0415  scipy takes a second

    spread = whole.spread(args.spread)
    channels = detector.channels
    if channels is None:
        if args.spread or args.truth or args.seeding != "largest":
            raise faults.FaultError("spread, truth and seeding need a detector file with channels")
        return None
    simulated = str(args.source).startswith(sources.SIMULATED)
    showers = None if simulated else files.pool([args.source]).showers
    pool = sources.canvas_pool(files.opened[args.source], showers, channels)
    geometry = files.geometry
    own = whole.constants(len(channels), geometry, spread, args.seed)
    sectors = list(detector.innermost)
    sector = np.array([sectors.index(region.sector) for region in detector.regions])
    home = Home(sector[channels.region], largest=args.seeding == "largest")
    if args.truth is not None:
        write_truth(args.truth, channels, own)
    return whole.WholeDetector(channels, geometry, pool, own, home)


def write_truth(path: Path, channels: Channels, own: Constants) -> None:
    """Write what is true of each channel: `channel`, `name`, `gain`, `noise_mev`, `pedestal_mev`."""
    columns = {"channel": np.arange(len(channels), dtype=np.uint32), "name": list(channels.names)}
    parquet.write_table(pa.table({**columns, **vars(own)}), path)


def play(
    beam: Beam, sink: KafkaSink, topic: str, stopping: threading.Event, *, paced: bool
) -> dict[str, int | float]:
    """Send a beam's records when they are due; return what was sent and is safe."""
    lead = beam.start_ns / 1e9 - time.time()
    began = time.monotonic() + (lead if paced and 0 < lead < SOON_S else 0.0)
    under_way: list[Append] = []
    showers = records = spoilt = 0
    for sent in Stream(beam):
        wait = began + sent.due_s - time.monotonic() if paced else 0.0
        if stopping.is_set() or (wait > 0 and stopping.wait(wait)):
            break
        under_way.append(sink.append(topic, sent.value, key=sent.key, partition=sent.partition))
        showers, records = showers + sent.showers, records + 1
        spoilt += sent.showers == 0
        if len(under_way) >= UNDER_WAY:
            for append in under_way[: UNDER_WAY // 2]:
                append.offset()
            del under_way[: UNDER_WAY // 2]
    for append in under_way:
        append.offset()
    seconds = time.monotonic() - began
    return {"showers": showers, "records": records, "spoilt": spoilt, "seconds": seconds}


def _start_ns(text: str | None) -> int:
    if text is None:
        return time.time_ns()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"--data-time-start {text!r} is not ISO 8601") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 10**9
