"""calodqm records: what the author of a producer needs: would it be taken, what is wanted, examples."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from consumers.app import detector_files, environment, speaking, wiring
from consumers.cli import checking, contract_form, examples
from consumers.wire.arrow_form import encode
from consumers.wire.user_error import UserError
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from consumers.app.settings import Settings

SHOWERS = 64
"""Showers of an example."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm records`."""
    parts = parser.add_subparsers(dest="what", required=True, metavar="WHAT")

    def part(name: str, text: str) -> argparse.ArgumentParser:
        return parts.add_parser(name, help=text, description=text, allow_abbrev=False)

    check = part("check", "would these records be taken, and do they look right? 1 if not")
    check.add_argument(
        "files", nargs="*", metavar="FILE", help="a record each, as it is sent; - for stdin"
    )
    check.add_argument(
        "--topic", nargs="?", const="", metavar="NAME", help="records of the showers topic instead"
    )
    check.add_argument("--from", dest="begin", choices=["newest", "oldest"], default="newest")
    check.add_argument("--records", type=int, default=8, metavar="N", help="of the topic")
    check.add_argument("--json", action="store_true", help="an object a record, one a line")
    environment.add_arguments(check, "bootstrap", "prefix", "artefact", "detector", "device")
    schema = part("schema", "print the contract for a machine")
    schema.add_argument("--form", choices=["json", "arrow"], default="json", help="default: json")
    environment.add_arguments(schema, "artefact", "detector")
    example = part("example", "write a good record, or one of each reason to refuse it")
    example.add_argument("--reason", choices=[r.value for r in Rejection], help="a bad one")
    example.add_argument(
        "--all", type=Path, metavar="DIR", help="a good one and one of each reason"
    )
    example.add_argument("--showers", type=int, default=SHOWERS, metavar="N")
    environment.add_arguments(example, "artefact", "detector")


def run(args: argparse.Namespace) -> int:
    """Do what is asked; 1 if a record is refused or looks wrong."""
    of_topic = getattr(args, "topic", None) is not None
    if of_topic:
        args.topic = args.topic or None  # without a name: that of the settings
    given = environment.from_arguments(args)
    if args.what == "check":
        return _check(args, given, of_topic=of_topic)
    return _schema(args, given) if args.what == "schema" else _example(args, given)


def _check(args: argparse.Namespace, given: Settings, *, of_topic: bool) -> int:
    if bool(args.files) == of_topic:
        raise UserError("name files, or --topic")
    checker = checking.Checker.of(given)
    well = True
    for name, value, latest_ns in _records(args, given, of_topic=of_topic):
        checked = checker.check(name, value, latest_ns)
        print(json.dumps(asdict(checked)) if args.json else "\n".join(checked.lines()))
        well &= checked.well
    return 0 if well else 1


def _records(
    args: argparse.Namespace, given: Settings, *, of_topic: bool
) -> Iterator[tuple[str, bytes, int]]:
    """Yield name, bytes and latest possible data time of each record."""
    if of_topic:
        with speaking.opened_log(given) as log:
            for record in checking.some_records(log, given, args.records, args.begin):
                name = f"{record.topic}[{record.partition}]@{record.offset}"
                latest_ns = record.timestamp_ms * 1_000_000 + checking.DAY_NS
                yield name, record.value or b"", latest_ns
        return
    for name in args.files:
        try:
            value = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        except OSError as error:
            raise UserError(f"{name}: {error.strerror or error}") from None
        yield name, value, time.time_ns() + checking.DAY_NS


def _schema(args: argparse.Namespace, given: Settings) -> int:
    artefact, detector = wiring.artefact_of(given), detector_files.detector_of(given)
    names = artefact.feature_map.condition_names
    if args.form == "arrow":
        sys.stdout.buffer.write(contract_form.empty_stream(artefact.geometry, names))
        return 0
    told = contract_form.told(artefact.geometry, detector, names, given.earliest_ns)
    print(json.dumps(told, indent=2))
    return 0


def _example(args: argparse.Namespace, given: Settings) -> int:
    artefact, detector = wiring.artefact_of(given), detector_files.detector_of(given)
    if not 1 <= args.showers <= SHOWERS * 16:
        raise UserError(f"--showers: 1 to {SHOWERS * 16}")
    block = examples.good(artefact, detector, time.time_ns(), args.showers)
    good = encode(block, artefact.geometry)
    if args.reason is None and args.all is None:
        sys.stdout.buffer.write(good)
        return 0
    bad = {r.value: v for r, v in examples.spoilt(block, artefact, detector).items()}
    if args.all is None:
        sys.stdout.buffer.write(bad[args.reason])
        return 0
    args.all.mkdir(parents=True, exist_ok=True)
    for name, value in {"good": good, **bad}.items():
        (args.all / f"{name}.arrow").write_bytes(value)
    print(f"{args.all}: a good record and {len(bad)} that are refused, each named by its reason")
    return 0
