"""calodqm bench: the figures of the README, on this machine."""

from __future__ import annotations

import json
import os
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from consumers.app import environment, wiring
from consumers.bench import (
    alarms,
    big,
    channels,
    classifier,
    flame,
    ingest,
    matrix,
    papers,
    parts,
    rival_scorers,
    scale,
    sparse,
)
from consumers.cli.commands.demo import SOURCE
from consumers.wire.user_error import UserError

if TYPE_CHECKING:
    import argparse
    from types import ModuleType

    from consumers.bench.ingest import Ingest

APACHE = " on Apache Kafka"
PARTS: dict[str, tuple[ModuleType, str]] = {
    "alarms": (alarms, "false pages, delays, places and kinds of the alarms, by simulation"),
    "matrix": (
        matrix,
        "false pages, delays and pairs of faults in every setup, in units that add up",
    ),
    "classifier": (classifier, "what a classifier of named faults adds to the scores of the flow"),
    "channels": (
        channels,
        "faults of single channels and groups, and gains, in a part of a barrel",
    ),
    "papers": (papers, "the questions of the two seed papers, on the showers that ship"),
    "sparse": (
        sparse,
        "power, calibration and false pages where most cells are zero, in units that add up",
    ),
    "rivals": (rival_scorers, "what others score showers with: how fast, and what it sees"),
    "parts": (parts, "the scorer beside its own products, tally and judge, one thread"),
    "flame": (flame, "where the CPU time of a service under load goes, as a flame graph"),
    "scale": (scale, "1 to N workers over partitions, and what larger rates need"),
    "big": (big, "time and memory of models of 504 to 40,500 cells"),
}
"""Benchmarks of their own: the module of each, and what it tells."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm bench`."""
    parser.add_argument("--repeats", type=int, default=3, help="the median of so many is told")
    parser.add_argument("--showers", type=int, default=240_000, help="in each run of the service")
    parser.add_argument(
        "--rate", type=float, default=50_000.0, metavar="HZ", help="at which they are produced"
    )
    parser.add_argument("--plain-showers", type=int, default=400, help="in the plain loop")
    parser.add_argument("--workers", type=int, default=2, help="processes that score")
    parser.add_argument(
        "--apache", type=Path, metavar="DIR",
        help="measure the service on the Apache Kafka unpacked there too, turn and turn about",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    environment.add_arguments(parser, "artefact", "threads", "partitions")
    others = parser.add_subparsers(dest="part", metavar=f"[{', '.join(PARTS)}]")
    for name, (part, text) in PARTS.items():
        part.add_arguments(others.add_parser(name, help=text, description=text))


def run(args: argparse.Namespace) -> int:
    """Measure and tell."""
    if args.part in PARTS:
        part, _ = PARTS[args.part]
        return int(part.run(args))
    if args.repeats < 1 or args.showers < 10_000 or not args.rate > 0:
        raise UserError("at least one repeat, 10000 showers and a rate > 0")
    console = Console(stderr=True)
    given = environment.from_arguments(args)
    artefact = wiring.artefact_of(given)
    brokers = {"": None} if args.apache is None else {"": "", APACHE: str(args.apache.resolve())}
    runs: dict[str, list[Ingest]] = {name: [] for name in brokers}
    plain: list[float] = []
    for i in range(args.repeats):
        console.print(f"plain loop, {i + 1} of {args.repeats} ...", style="bright_black")
        plain.append(ingest.plain_loop(given, artefact, SOURCE, args.plain_showers))
        console.print(f"  {plain[-1]:,.0f} showers/s")
        for name, home in brokers.items():
            console.print(f"service{name}, {i + 1} of {args.repeats} ...", style="bright_black")
            seen = ingest.measure(given, SOURCE, args.showers, args.rate, args.workers, home)
            console.print(f"  {seen.rate:,.0f} showers/s, {seen.cpu_us:.0f} µs CPU a shower")
            runs[name].append(seen)
    told = _figures(runs[""], plain)
    if args.apache is not None:
        told["on_apache"] = _of_runs(runs[APACHE])
    if args.json:
        print(json.dumps(told))
    else:
        Console().print(_table(told))
    return 0


def _figures(runs: list[Ingest], plain: list[float]) -> dict[str, Any]:
    told, slow = _of_runs(runs), statistics.median(plain)
    return {
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        **told,
        "plain_per_s": slow,
        "ratio": told["showers_per_s"] / slow,
        "plain_runs": plain,
    }


def _of_runs(runs: list[Ingest]) -> dict[str, Any]:
    rate = statistics.median(run.rate for run in runs)
    middle = min(runs, key=lambda run: abs(run.rate - rate))
    return {
        "showers_per_s": rate,
        "median_run": ingest.as_json(middle),
        "runs": [ingest.as_json(run) for run in runs],
    }


def _table(told: dict[str, Any]) -> Table:
    table = Table(title=f"calodqm bench, {told['cores']} cores, load {told['load']:.1f}")
    table.add_column("what")
    table.add_column("figure", justify="right")
    middle = told["median_run"]
    table.add_row("end to end", f"{told['showers_per_s']:,.0f} showers/s")
    if apache := told.get("on_apache"):
        cpu_us = apache["median_run"]["cpu_us"]
        figure = f"{apache['showers_per_s']:,.0f} showers/s, {cpu_us:.0f} µs CPU a shower"
        table.add_row(f"end to end{APACHE}", figure)
    table.add_row("plain loop", f"{told['plain_per_s']:,.0f} showers/s")
    table.add_row("ratio", f"{told['ratio']:.1f}")
    table.add_row("CPU of the service", f"{middle['cpu_us']:.0f} µs a shower")
    for stage, us in middle["stages_us"].items():
        table.add_row(f"  {stage}", f"{us:.1f} µs a shower")
    table.add_row("memory at most", f"{middle['rss_max_mib']:.0f} MiB")
    table.add_row("  drift, second half", f"{middle['rss_drift_mib']:+.1f} MiB")
    return table
