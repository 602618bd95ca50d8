"""Channels: what single read-out channels and their groups show, in a part of a barrel.

In units that add up, as many as there is time for: each is a detector of its own, with gains, noise,
pedestals, faults and showers drawn anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from consumers.app import detector_files, environment, wiring
from consumers.bench import units_file
from consumers.bench.channel_borders import borders
from consumers.bench.channel_cost import cost
from consumers.bench.channel_days import days
from consumers.bench.channel_sheets import page
from consumers.bench.channel_stream import whole_barrel
from consumers.bench.channel_trials import SCENARIOS, Scenario, trials
from consumers.bench.units_file import Figures, Task
from consumers.wire.user_error import UserError
from models.scoring.artefact import Artefact
from monitor.detector.tree import Detector

if TYPE_CHECKING:
    import argparse

    from consumers.bench.units_file import Unit

FIRST_SEED = 11
"""Those below made the showers that the models were trained and certified with."""

Part = Callable[[Artefact, int, Detector], Figures]


def _trials(scenario: Scenario) -> Part:
    return lambda artefact, seed, _: trials(artefact, scenario, seed)


PARTS: dict[str, Part] = {
    **{name: _trials(scenario) for name, scenario in SCENARIOS.items()},
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
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=list(PARTS), help="what is measured"
    )
    units_file.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Make units of the part that has had the least CPU time, until time is over."""
    artefact = wiring.artefact_of(environment.load({"artefact": args.artefact}, {}))
    detector = _detector(args, artefact)

    def following(done: list[Unit]) -> Task:
        spent: dict[str, float] = defaultdict(float)
        for unit in done:
            spent[unit["part"]] += unit["cpu_s"]
        part = min(args.only, key=lambda name: spent[name])
        seed = FIRST_SEED + sum(unit["part"] == part for unit in done)
        said = {"part": part, "seed": seed, "artefact": artefact.hash}
        return Task(f"{part} #{seed}", said, lambda: PARTS[part](artefact, seed, detector))

    units_file.fill(args, following, page)
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
