"""calodqm runs: say that a run begins or has ended, where the data acquisition does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.app import detector_files, environment, speaking
from consumers.kafka.sink import KafkaSink
from consumers.wire import run_form, topics
from consumers.wire.block import DecodeError
from consumers.wire.record import Record
from consumers.wire.user_error import UserError

if TYPE_CHECKING:
    import argparse

    from monitor.detector.tree import Detector


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm runs`."""
    parser.add_argument("what", choices=["start", "end"])
    parser.add_argument(
        "number", type=int, metavar="RUN", help="a lower one than before may start too"
    )
    parser.add_argument(
        "--region",
        action="append",
        metavar="REGION",
        help="in the run; may be given more than once",
    )
    parser.add_argument("--conditions", metavar="KEY", help="that hold from this run on")
    environment.add_arguments(parser, "bootstrap", "prefix", "detector")


def run(args: argparse.Namespace) -> int:
    """Say it where judges hear of runs."""
    given = environment.from_arguments(args)
    detector = detector_files.detector_of(given)
    value = run_form.encode(
        args.what, args.number, args.region and _ids(detector, args.region), args.conditions
    )
    try:  # as a judge will read it
        run_form.decode(Record(topics.RUNS, 0, 0, 0, None, value))
    except DecodeError as error:
        raise UserError(str(error)) from None
    with speaking.broker_errors(given):
        sink = KafkaSink(given.connection())
        try:
            sink.append(topics.RUNS, value, key="said", partition=0).offset()
        finally:
            sink.close()
    print(f"run {args.number}: {args.what} said")
    return 0


def _ids(detector: Detector, names: list[str]) -> list[int]:
    ids = {region.name: region.id for region in detector.regions}
    unknown = [name for name in names if name not in ids]
    if unknown:
        raise UserError(f"no region {unknown[0]!r}; there are {', '.join(list(ids)[:8])} ...")
    return [ids[name] for name in names]
