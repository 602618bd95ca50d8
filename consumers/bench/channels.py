"""Channels: what single read-out channels and their groups show, in a part of a barrel.

In units that add up, as many as there is time for: each is a detector of its own, with gains, noise,
pedestals, faults and showers drawn anew.
"""

from __future__ import annotations

import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from consumers.app import detector_files, environment, wiring
from consumers.bench import units_file
from consumers.bench.channel_borders import borders
from consumers.bench.channel_cost import cost
from consumers.bench.channel_days import days
from consumers.bench.channel_sheets import page
from consumers.bench.channel_stream import whole_barrel
from consumers.bench.channel_trials import trials
from consumers.wire.user_error import UserError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from models.scoring.artefact import Artefact
    from monitor.detector.tree import Detector

FIRST_SEED = 11
"""Those below made the showers that the models were trained and certified with."""

PARTS: dict[str, Callable[[Artefact, int, Detector], dict[str, Any]]] = {
    "1kHz": lambda artefact, seed, _: trials(artefact, 1_000.0, seed),
    "10kHz": lambda artefact, seed, _: trials(artefact, 10_000.0, seed),
    "days": lambda artefact, seed, _: days(artefact, seed),
    "cost": lambda artefact, seed, _: cost(artefact, seed),
    "borders": borders,
}
OF_ANY_DETECTOR = ("borders",)
"""Parts that need no barrel."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm bench channels`."""
    parser.add_argument("--artefact", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--detector", type=Path, metavar="FILE", help="of the borders, if it is not the barrel"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="JSON", help="adds to its units")
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="begin no unit after so many (%(default)s)"
    )
    parser.add_argument("--units", type=int, metavar="N", help="make no more than so many")
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=list(PARTS), help="what is measured"
    )


def run(args: argparse.Namespace) -> int:
    """Make units of the part that has had the least CPU time, until time is over."""
    given = environment.load({"artefact": args.artefact}, {})
    artefact, console = wiring.artefact_of(given), Console(stderr=True)
    detector = _detector(args, artefact)
    done = units_file.read(args.out)
    ends, left = time.monotonic() + 60 * args.minutes, args.units
    while time.monotonic() < ends and left != 0:
        spent: dict[str, float] = defaultdict(float)
        for unit in done:
            spent[unit["part"]] += unit["cpu_s"]
        part = min(args.only, key=lambda name: spent[name])
        seed = FIRST_SEED + len(done)
        begun = time.process_time()
        result = PARTS[part](artefact, seed, detector)
        cpu = round(time.process_time() - begun, 1)
        said = {"part": part, "seed": seed, "artefact": artefact.hash, "cpu_s": cpu}
        done.append({**said, "done": datetime.now(UTC).isoformat(timespec="seconds"), **result})
        units_file.write(args.out, done, page(done))
        console.print(f"{part} #{seed}: {cpu} s", style="bright_black", highlight=False)
        left = None if left is None else left - 1
    return 0


def _detector(args: argparse.Namespace, artefact: Artefact) -> Detector:
    """Return the detector of the borders; all else is of the barrel."""
    if args.detector is None:
        detector, _ = whole_barrel()
    elif set(args.only) <= set(OF_ANY_DETECTOR):
        detector = detector_files.detector_of(environment.load({"detector": args.detector}, {}))
    else:
        raise UserError(f"--detector is for --only {' '.join(OF_ANY_DETECTOR)}")
    if detector.channels is None:
        raise UserError(f"{args.detector}: it says no channels")
    detector_files.check_patches(detector, artefact.geometry)
    return detector
