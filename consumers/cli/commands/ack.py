"""calodqm ack: acknowledge an alarm: cause, mask, until when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.app import environment, speaking
from consumers.cli import taking
from consumers.exactly_once import contents
from consumers.wire.user_error import UserError
from monitor.quality.alarms import State

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from consumers.wire.contents_form import AlarmEntry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm ack`."""
    parser.add_argument("alarm", metavar="ALARM", help="its id, or the first characters of it")
    parser.add_argument(
        "--mask",
        action="append",
        default=[],
        metavar=taking.WHAT,
        help=f"{taking.FORMS}; may be given more than once",
    )
    taking.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Send the acknowledgement to the judge."""
    given = environment.from_arguments(args)
    masks = taking.masks(given, args.mask)
    with speaking.opened_log(given) as log:
        alarm = _find(args.alarm, contents.read(log).alarms)
    taking.say(given, args, alarm.alarm, masks)
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
