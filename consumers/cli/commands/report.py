"""calodqm report: what the runs of a week came to, without reading their seconds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from consumers.app import detector_files, environment, speaking, wiring
from consumers.cli import options, reporting
from consumers.exactly_once import contents
from consumers.wire.artefact_form import ModelAbsent
from consumers.wire.user_error import UserError
from models.scoring.scales import LEVELS
from monitor.verdicts import good_runs

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from consumers.app.settings import Settings
    from consumers.cli.reporting import Known, RunReport

WEEK = "7d"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm report`."""
    parser.add_argument(
        "--from", dest="begin", default=WEEK, metavar="TIME", help="data time; default: a week ago"
    )
    parser.add_argument("--to", dest="end", default="now", metavar="TIME", help="data time")
    parser.add_argument("--json", action="store_true", help="a run a line")
    environment.add_arguments(parser, "bootstrap", "prefix", "artefact", "detector")


def run(args: argparse.Namespace) -> int:
    """Tell what each run came to; 2 if nothing is kept of that time."""
    given = environment.from_arguments(args)
    begin, end = (options.time_ns(text) // 10**9 for text in (args.begin, args.end))
    with speaking.opened_log(given) as log:
        found = reporting.by_run(log, begin, end, _known(given))
        listed = contents.read(log) if found else contents.Contents()
        for report in found.values():
            report.judge(good_runs.newest(contents.verdicts(log, listed, report.run), report.run))
    if not found:
        raise UserError("no lumisections of this time: is it data time, and still kept?")
    if args.json:
        for report in found.values():
            print(json.dumps(report.to_json()))
    else:
        _tell(found.values())
    return 0


def _known(given: Settings) -> Callable[[str], Known | None]:
    """Return what looks a model up: the one of the settings, or one that was announced."""
    own, detector = wiring.description_of(given), detector_files.detector_of(given)
    catalogue = wiring.Catalogue(given, own, detector)

    @cache
    def known(model: str) -> Known | None:
        try:
            made = catalogue.description(model)
        except ModelAbsent:
            return None
        return reporting.Known(wiring.form_of(made), wiring.expected_rate(made.reference))

    return known


def _tell(found: Iterable[RunReport]) -> None:
    table = Table(
        "run", "from", "lumi-\nsections", "showers", "MeV a\nshower", "p ≤ 0.01,\nof expected"
    )
    for heading in ("verdicts", "not good, lumisections", "alarms"):
        table.add_column(heading)
    for report in found:
        told = report.to_json()
        strange = told["strange"][f"{LEVELS[1]:g}"]
        table.add_row(
            str(report.run),
            datetime.fromtimestamp(report.first, UTC).isoformat(" ", "minutes")[:16],
            str(told["lumisections"]),
            f"{report.showers:,}",
            f"{told['energy of a shower, MeV']:,.1f}",
            f"{strange['seen'] / strange['expected']:.2f}" if strange["expected"] else "",
            _words(told["verdicts"]),
            _words(told["not good, lumisections"]),
            str(len(told["alarms"])),
        )
    Console().print(table)


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts.items())
