"""calodqm ack: acknowledge an alarm: cause, mask, until when."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from consumers.app import detector_files, settings, speaking
from consumers.cli import options
from consumers.exactly_once import contents
from consumers.wire.user_error import UserError
from monitor.quality.acknowledgements import Acknowledgement, MaskError, parse_masks
from monitor.quality.alarms import State

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from consumers.wire.contents_form import AlarmEntry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm ack`."""
    parser.add_argument("alarm", metavar="ALARM", help="its id, or the first characters of it")
    parser.add_argument("--cause", required=True, metavar="TEXT", help="what it is, in words")
    parser.add_argument(
        "--mask",
        action="append",
        default=[],
        metavar="REGION|CELLS|CHANNELS",
        help="A3, or A3:middle[5,6];middle[5,7], or channels and groups by name, EB-12/34; may be "
        "given more than once",
    )
    parser.add_argument("--until", metavar="TIME", help="data time at which it ends, ISO 8601")
    parser.add_argument("--lift", action="store_true", help="take an acknowledgement back")
    options.add_who(parser)
    settings.add_arguments(parser, "bootstrap", "prefix", "detector", "artefact")


def run(args: argparse.Namespace) -> int:
    """Send the acknowledgement to the judge."""
    given = settings.from_arguments(args)
    detector, geometry = detector_files.detector_of(given), detector_files.geometry_of(given)
    with speaking.opened_log(given) as log:
        alarm = _find(args.alarm, contents.read(log).alarms)
    try:
        act = Acknowledgement(
            alarm=alarm.alarm,
            who=args.who,
            cause=args.cause,
            time_ns=time.time_ns(),
            masks=tuple(
                mask for text in args.mask for mask in parse_masks(text, detector, geometry)
            ),
            until_ns=None if args.until is None else options.time_ns(args.until),
            lifted=args.lift,
        )
    except (MaskError, ValueError) as error:
        raise UserError(str(error)) from None
    speaking.speak(given, act)
    print(f"{'lifted' if args.lift else 'acknowledged'} {alarm.alarm}: {alarm.summary}")
    return 0


def _find(text: str, newest: Mapping[str, AlarmEntry]) -> AlarmEntry:
    found = [alarm for id_, alarm in newest.items() if id_.startswith(text)]
    exact = [alarm for alarm in found if alarm.alarm == text]
    if len(exact or found) == 1:
        return (exact or found)[0]
    still = [id_ for id_, alarm in newest.items() if alarm.state is not State.CLEARED]
    listed = ", ".join(still[-5:]) or "none"
    problem = "no alarm begins with" if not found else f"{len(found)} alarms begin with"
    raise UserError(f"{problem} {text!r}; open: {listed}")
