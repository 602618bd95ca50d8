"""calodqm replay: judge a past range again, also with another model."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Console

from consumers.app import detector_files, settings, speaking, wiring
from consumers.cli import options, replay
from consumers.wire.user_error import UserError
from monitor.quality import records
from monitor.quality.alarms import Alarm
from monitor.quality.verdicts import Verdict

if TYPE_CHECKING:
    import argparse

    from monitor.judging.statements import Statement


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm replay`."""
    parser.add_argument("--from", dest="begin", required=True, metavar="TIME", help="data time")
    parser.add_argument("--to", dest="end", required=True, metavar="TIME", help="data time")
    parser.add_argument(
        "--rescore", action="store_true", help="score the showers again with the same model"
    )
    parser.add_argument("--json", action="store_true", help="every record, one a line")
    settings.add_arguments(parser, "bootstrap", "artefact", "detector", "topic", "threads")


def run(args: argparse.Namespace) -> int:
    """Judge a past range again; 1 if it raises an alarm."""
    given = settings.from_arguments(args)
    begin, end = (options.time_ns(text) // 10**9 for text in (args.begin, args.end))
    if end <= begin:
        raise UserError("--to must be later than --from")
    artefact, detector = wiring.artefact_of(given), detector_files.detector_of(given)
    with speaking.opened_log(given) as log:
        ranges = replay.find(log, artefact.hash, wiring.form_of(artefact), begin, end)
        if not ranges:
            raise UserError("no windows in this range: is it data time, and still kept?")
        same = all(found.model == artefact.hash for found in ranges)
        if args.rescore or not same:
            scorer = wiring.model_of(artefact, given)
            windows = replay.rescored(log, ranges, scorer, begin, end)
        else:
            windows = replay.recorded(ranges, begin, end)
    monitor = wiring.monitor_maker(given, artefact, detector)()
    said: list[Statement] = []
    for _, second in groupby(windows, key=lambda window: window.key.second):
        said += monitor.observe(*second)
    said += monitor.close()
    if args.json:
        for record in said:
            print(json.dumps(records.to_json(record)))
    else:
        _tell(said, sum(window.n for window in windows))
    return 1 if any(isinstance(record, Alarm) for record in said) else 0


def _tell(said: list[Statement], showers: int) -> None:
    console = Console()
    alarms = {record.id: record for record in said if isinstance(record, Alarm)}
    verdicts = [record for record in said if isinstance(record, Verdict)]
    console.print(f"{showers:,} showers, {len(alarms)} alarms, {len(verdicts)} verdicts")
    for alarm in alarms.values():
        console.print(f"{alarm.severity.value}: {alarm.summary}", style="bold red")
        console.print(f"  {alarm.text}")
    counts: dict[str, int] = {}
    for verdict in verdicts:
        counts[verdict.quality.value] = counts.get(verdict.quality.value, 0) + 1
    console.print(", ".join(f"{n} {quality}" for quality, n in sorted(counts.items())))
