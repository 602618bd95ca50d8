"""calodqm flags: the good-run list."""

from __future__ import annotations

import csv
import json
import sys
from typing import TYPE_CHECKING

from consumers.app import environment, speaking
from consumers.exactly_once import contents
from consumers.wire.user_error import UserError
from monitor.quality import records
from monitor.quality.quality import Quality
from monitor.verdicts import good_runs

if TYPE_CHECKING:
    import argparse

COLUMNS = (
    "run", "lumisection", "region", "name", "quality", "version", "showers", "exceedances",
    "expected", "reason", "model", "reference", "software", "channels",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm flags`."""
    parser.add_argument("what", choices=["export"])
    parser.add_argument("--run", type=int, required=True, dest="number", metavar="N")
    parser.add_argument(
        "--form",
        choices=["list", "segments", "verdicts", "csv"],
        default="segments",
        help="good-run list with provenance; usable lumisections of each region; every verdict; "
        "the same as a table",
    )
    parser.add_argument("--medium", action="store_true", help="take MEDIUM for usable too")
    environment.add_arguments(parser, "bootstrap", "prefix")


def run(args: argparse.Namespace) -> int:
    """Print the good-run list; 1 if the run has no verdicts."""
    given = environment.from_arguments(args)
    with speaking.opened_log(given) as log:
        listed = contents.read(log)
        verdicts = good_runs.newest(contents.verdicts(log, listed, args.number), args.number)
    if not verdicts:
        runs = sorted(listed.runs)
        raise UserError(f"no verdicts on run {args.number}; there are runs {runs}")
    if args.form == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(COLUMNS)
        writer.writerows(
            [*(getattr(verdict, name) for name in COLUMNS[:-1]), ";".join(verdict.channels)]
            for verdict in verdicts
        )
    elif args.form == "verdicts":
        print(json.dumps([records.to_json(verdict) for verdict in verdicts], indent=2))
    else:
        usable = good_runs.USABLE | ({Quality.MEDIUM} if args.medium else set())
        found = good_runs.segments(verdicts, usable)
        told = good_runs.listing(verdicts, usable) if args.form == "list" else {args.number: found}
        print(json.dumps(told, indent=2))
    return 0
