"""calodqm replay: judge a past range again, also with another model."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Console

from consumers.app import detector_files, environment, speaking, wiring
from consumers.cli import kept, options, replay
from consumers.wire.user_error import UserError
from monitor.detector.places import Places
from monitor.judging.selftest import self_testing
from monitor.quality import records
from monitor.quality.alarms import Alarm
from monitor.quality.verdicts import Verdict
from monitor.reference.expectation import of_reference
from monitor.reference.of_runs import of_runs

if TYPE_CHECKING:
    import argparse

    from consumers.app.settings import Settings
    from models.scoring.artefact import Artefact
    from monitor.detector.tree import Detector
    from monitor.judging.monitor import Monitor
    from monitor.judging.statements import Statement
    from monitor.windows.window import Window


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm replay`."""
    parser.add_argument("--from", dest="begin", metavar="TIME", help="data time")
    parser.add_argument("--to", dest="end", metavar="TIME", help="data time")
    parser.add_argument(
        "--run", type=int, dest="number", metavar="N",
        help="a whole run, by the sums of its lumisections that are kept for a year",
    )  # fmt: skip
    parser.add_argument(
        "--against", type=int, action="append", default=[], metavar="N",
        help="hold it against the good lumisections of this run, kept for a year, and not against "
        "the reference of the model; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--rescore", action="store_true", help="score the showers again with the same model"
    )
    parser.add_argument("--json", action="store_true", help="every record, one a line")
    environment.add_arguments(
        parser, "bootstrap", "prefix", "artefact", "detector", "topic", "threads"
    )


def run(args: argparse.Namespace) -> int:
    """Judge a past range again; 1 if it raises an alarm."""
    given = environment.from_arguments(args)
    artefact, detector = wiring.artefact_of(given), detector_files.detector_of(given)
    if args.number is not None:
        windows = _kept(given, artefact, args.number)
    elif args.begin is None or args.end is None:
        raise UserError("say --from and --to, or --run")
    else:
        begin, end = (options.time_ns(text) // 10**9 for text in (args.begin, args.end))
        asked = range(begin, end)
        windows = _seconds(given, artefact, detector, asked, rescore=args.rescore)
    monitor = _monitor(given, artefact, detector, args.against)
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


def _monitor(given: Settings, artefact: Artefact, detector: Detector, runs: list[int]) -> Monitor:
    """Return what judges: by the model's own reference, or by what good runs came to."""
    if not runs:
        return wiring.monitor_maker(given, artefact, detector)()
    sums: list[Window] = []
    good: dict[tuple[int, int], set[int]] = {}
    for number in runs:
        sums += _kept(given, artefact, number)
        with speaking.opened_log(given) as log:
            good |= kept.good(log, number)
    centre, places = of_reference(artefact.reference), Places(detector)
    try:
        reference = of_runs(sums, good, centre, places)
    except ValueError as error:
        raise UserError(f"--against {', '.join(map(str, runs))}: {error}") from None
    settings = wiring.monitor_settings_of(given, artefact)
    return self_testing(detector, artefact.geometry, reference, settings)


def _kept(given: Settings, artefact: Artefact, run: int) -> list[Window]:
    """Return the sums of the lumisections of a run."""
    with speaking.opened_log(given) as log:
        parts = kept.parts(log, run)
    found = kept.windows(parts, artefact.hash, wiring.form_of(artefact))
    if not found:
        models = sorted({part.model[:12] for part, _ in parts.values()})
        by = f"its lumisections are by model {', '.join(models)}" if models else "nothing is kept"
        raise UserError(f"run {run}: {by}")
    return found


def _seconds(
    given: Settings, artefact: Artefact, detector: Detector, asked: range, *, rescore: bool
) -> list[Window]:
    """Return the windows of data-seconds."""
    if not asked:
        raise UserError("--to must be later than --from")
    with speaking.opened_log(given) as log:
        form = wiring.form_of(artefact)
        ranges = replay.find(log, artefact.hash, form, asked.start, asked.stop)
        if not ranges:
            raise UserError("no windows in this range: is it data time, and still kept?")
        same = all(found.model == artefact.hash for found in ranges)
        if rescore or not same:
            given = given.model_copy(update={"compile": False})  # it would be over before
            scorer = wiring.model_of(artefact, given, detector)
            return replay.rescored(log, ranges, scorer, asked.start, asked.stop, detector)
        return replay.recorded(ranges, asked.start, asked.stop)


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
