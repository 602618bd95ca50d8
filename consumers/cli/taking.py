"""Taking in hand: what the commands that write acknowledgements share."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from consumers.app import detector_files, environment, speaking
from consumers.cli import options
from consumers.wire.user_error import UserError
from monitor.quality.acknowledgements import Acknowledgement, MaskError, parse_masks

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from consumers.app.settings import Settings
    from monitor.quality.acknowledgements import Mask

WHAT = "REGION|CELLS|CHANNELS"
FORMS = "A3, or A3:middle[5,6];middle[5,7], or channels and groups by name, EB-12/34"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that every such command has."""
    parser.add_argument("--cause", required=True, metavar="TEXT", help="what it is, in words")
    parser.add_argument("--until", metavar="TIME", help="data time at which it ends, ISO 8601")
    parser.add_argument("--lift", action="store_true", help="take it back")
    options.add_who(parser)
    environment.add_arguments(parser, "bootstrap", "prefix", "detector", "artefact")


def masks(given: Settings, texts: Iterable[str]) -> tuple[Mask, ...]:
    """Return what people write as masks, or raise `UserError`."""
    detector, geometry = detector_files.detector_of(given), detector_files.geometry_of(given)
    try:
        return tuple(mask for text in texts for mask in parse_masks(text, detector, geometry))
    except MaskError as error:
        raise UserError(str(error)) from None


def say(given: Settings, args: argparse.Namespace, alarm: str, masked: tuple[Mask, ...]) -> None:
    """Send an acknowledgement to the judge, or raise `UserError`."""
    try:
        act = Acknowledgement(
            alarm=alarm,
            who=args.who,
            cause=args.cause,
            time_ns=time.time_ns(),
            masks=masked,
            until_ns=None if args.until is None else options.time_ns(args.until),
            lifted=args.lift,
        )
    except ValueError as error:
        raise UserError(str(error)) from None
    speaking.speak(given, act)
