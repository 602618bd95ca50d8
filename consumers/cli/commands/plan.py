"""calodqm plan: disk, network, workers and memory for a detector of some size."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from consumers.app import environment
from consumers.app.needs import REFERENCE_CELLS
from consumers.cli import planning
from consumers.cli.planning import Site
from consumers.wire.user_error import UserError

if TYPE_CHECKING:
    import argparse

GIB = 2**30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm plan`."""
    parser.add_argument("--regions", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, metavar="HZ", help="showers a second")
    parser.add_argument("--cells", type=int, default=REFERENCE_CELLS, help="of a region")
    parser.add_argument("--replicas", type=int, default=3, help="copies of each topic; default: 3")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    environment.add_arguments(parser, "partitions")


def run(args: argparse.Namespace) -> int:
    """Tell what is needed."""
    given = environment.from_arguments(args)
    if min(args.regions, args.cells, args.replicas) < 1 or not args.rate > 0:
        raise UserError("regions, rate, cells and replicas are more than nothing")
    site = Site(
        args.regions, args.rate, given.partitions, args.replicas, args.cells,
        emit_s=given.emit_s, snapshot_s=given.snapshot_s,
    )  # fmt: skip
    told = figures(site)
    if args.json:
        print(json.dumps(told, indent=2))
    else:
        _tell(told, site)
    return 0


def figures(site: Site) -> dict[str, object]:
    """Return what is needed, by name."""
    kept = planning.topics(site)
    came, went = planning.network(site)
    workers, judge = planning.memory_mib(site)
    return {
        "topics": {
            k.topic: {
                "GiB a day": round(k.day / GIB, 2),
                "days": k.days,
                "GiB on disk": round(k.disk * site.replicas / GIB, 1),
            }
            for k in kept
        },
        "GiB on disk": round(sum(k.disk for k in kept) * site.replicas / GIB, 1),
        "MB/s in": round(came / 1e6, 2),
        "MB/s out": round(went / 1e6, 2),
        "workers": planning.workers(site),
        "MiB of workers": workers,
        "MiB of a judge": judge,
    }


def _tell(told: dict[str, object], site: Site) -> None:
    table = Table("topic", "GiB a day", "kept, days", f"GiB on disk, {site.replicas} copies")
    rows = told["topics"]
    assert isinstance(rows, dict)  # noqa: S101 - for the reader of types
    for topic, row in rows.items():
        days = f"{row['days']:g}" if row["days"] else "newest"
        table.add_row(topic, f"{row['GiB a day']:g}", days, f"{row['GiB on disk']:g}")
    table.add_row("all", "", "", f"{told['GiB on disk']:g}")
    console = Console()
    console.print(table)
    console.print(
        f"network of the brokers {told['MB/s in']} MB/s in, {told['MB/s out']} MB/s out; "
        f"{told['workers']} workers with {told['MiB of workers']} MiB together; "
        f"a judge with {told['MiB of a judge']} MiB"
    )
    if site.partitions < 2 * planning.workers(site):
        console.print(f"{site.partitions} partitions are few: twice the workers is better")
