"""calodqm detector: what a detector file says, in words and drawn."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from consumers.app import environment
from consumers.app.detector_files import check_patches, detector_of, geometry_of
from consumers.wire.user_error import UserError
from monitor.display import detector_picture
from monitor.display.detector_picture import Marked

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

    from models.detector.channels import Channels
    from monitor.detector.tree import Detector


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm detector`."""
    parser.add_argument("what", choices=("show",), help="show: check it, tell it, draw it")
    parser.add_argument("--out", type=Path, metavar="FILE", help="PNG file to draw it to")
    parser.add_argument(
        "--seed", action="append", default=[], metavar="NAME",
        help="channel whose patch is drawn; default: one in the middle and one at a border",
    )  # fmt: skip
    parser.add_argument(
        "--mark", action="append", default=[], metavar="NAME", help="channel or group to be marked"
    )
    environment.add_arguments(parser, "detector", "artefact")


def run(args: argparse.Namespace) -> int:
    """Tell what a detector file says, and draw it."""
    given = environment.from_arguments(args)
    detector = detector_of(given)
    print("\n".join(detector_picture.told(detector)))
    channels = detector.channels
    if channels is None:
        if args.out or args.seed or args.mark:
            raise UserError(f"detector {detector.name}: the file says no channels to be drawn")
        return 0
    try:
        marked = Marked(
            _seeds(channels, args.seed), _marked(channels, args.mark), _known_bad(detector)
        )
        channels.patches(marked.seeds)
    except ValueError as error:
        raise UserError(str(error)) from None
    for name, members in ((name, channels.members(name)) for name in args.mark):
        print(f"  {name}: {_where(channels, members)}")
    if args.artefact is not None:
        check_patches(detector, geometry_of(given))
        print(f"  its patches are showers of {geometry_of(given).name}")
    if args.out is not None:
        args.out.write_bytes(detector_picture.png(detector, marked))
        print(f"  drawn: {args.out}")
    return 0


def _seeds(channels: Channels, names: list[str]) -> NDArray[np.uint32]:
    if not names:
        return detector_picture.example_seeds(channels)
    return np.array([channels.find(name) for name in names], np.uint32)


def _marked(channels: Channels, names: list[str]) -> NDArray[np.int64]:
    found = [channels.members(name) for name in names]
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def _known_bad(detector: Detector) -> NDArray[np.int64]:
    if detector.known_bad is None:
        return np.zeros(0, np.int64)
    return np.flatnonzero(detector.known_bad.at(time.time_ns()))


def _where(channels: Channels, members: NDArray[np.int64]) -> str:
    low, high = channels.position[members].min(axis=0), channels.position[members].max(axis=0)
    ids = f"channel {members[0]}" if len(members) == 1 else f"{len(members)} channels"
    spans = [
        f"{axis} {a:.4g}" if a == b else f"{axis} {a:.4g} to {b:.4g}"
        for axis, a, b in zip(channels.axes, low, high, strict=True)
    ]
    return f"{ids}, {channels.layers[int(channels.layer[members[0]])]}, {', '.join(spans)}"
