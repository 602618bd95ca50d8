"""How the service scales: 1 to N workers over partitions here, and what larger rates need.

What is measured checks the model that the rest rests on: a worker takes a core, and what one shower
costs does not depend on how many workers there are. Costs are those of `calodqm plan`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consumers.app import environment
from consumers.bench import ingest
from consumers.cli import planning
from consumers.cli.commands.demo import SOURCE
from consumers.cli.planning import Site
from consumers.wire.user_error import UserError

if TYPE_CHECKING:
    import argparse

    from consumers.bench.ingest import Ingest

RATES_HZ = (10_000.0, 100_000.0, 1_000_000.0)
REGIONS = 256
REPLICAS = 3
BESIDE_SCORING = ("decode", "tally", "publish")
"""Stages of a worker that a GPU does not take over."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm bench scale`."""
    parser.add_argument("--most", type=int, default=2, metavar="N", help="workers; default: 2")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="figures, JSON")


def run(args: argparse.Namespace) -> int:
    """Measure and write."""
    given = environment.from_arguments(args)
    if not 1 <= args.most <= given.partitions:
        raise UserError(f"1 to {given.partitions} workers: one has a partition at least")
    load = os.getloadavg()[0]
    runs = {
        n: ingest.measure(given, SOURCE, args.showers, args.rate, n)
        for n in range(1, args.most + 1)
    }
    told = {
        "cores": os.cpu_count(),
        "load": round(load, 1),
        "offered_per_s": args.rate,
        "measured": measured(runs, os.cpu_count() or 1, args.rate),
        "sizing": [sizing(rate) for rate in RATES_HZ],
    }
    args.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return 0


def measured(runs: dict[int, Ingest], cores: int, offered: float) -> list[dict[str, Any]]:
    """Return what each number of workers gave, beside what the model says of it.

    The model: as many cores as there are workers, no more than the machine has, each at the cost
    that one worker had; no more than was offered.
    """
    one = runs[min(runs)]
    return [
        {
            "workers": n,
            "showers_per_s": round(found.rate),
            "efficiency": round(found.rate / (n * one.rate), 3),
            "cpu_us": round(found.cpu_us, 1),
            "beside_scoring_us": round(sum(found.stages_us[s] for s in BESIDE_SCORING), 1),
            "modelled_per_s": round(min(offered, 1e6 * min(n, cores) / one.cpu_us)),
        }
        for n, found in sorted(runs.items())
    ]


def sizing(rate_hz: float) -> dict[str, Any]:
    """Return what a rate of showers needs in 256 regions of 504 cells, by the costs of `plan`."""
    few = Site(REGIONS, rate_hz, 1, REPLICAS)
    workers = planning.workers(few)
    site = Site(REGIONS, rate_hz, max(4, 2 * workers), REPLICAS)
    came, went = planning.network(site)
    (windows,) = [kept for kept in planning.topics(site) if kept.topic == "calo.windows.v1"]
    return {
        "rate_hz": rate_hz,
        "cores": workers,
        "partitions": site.partitions,
        "mb_per_s_in": round(came / 1e6, 1),
        "mb_per_s_out": round(went / 1e6, 1),
        "windows_mb_per_s": round(windows.day / planning.DAY_S / 1e6, 2),
    }
