"""calodqm mask: leave regions, cells or channels out, with no alarm to answer."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from consumers.app import environment
from consumers.cli import taking
from monitor.quality.acknowledgements import Masked

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from monitor.quality.acknowledgements import Mask


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm mask`."""
    parser.add_argument("place", nargs="+", metavar=taking.WHAT, help=taking.FORMS)
    taking.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Send each mask to the judge, under a name of its own."""
    given = environment.from_arguments(args)
    named = {text: taking.masks(given, [text]) for text in args.place}
    for text, masks in named.items():
        taking.say(given, args, name(masks), masks)
        print(f"{'no longer masked' if args.lift else 'masked'}: {text}")
    return 0


def name(masks: Iterable[Mask]) -> str:
    """Return what a mask is called where alarms have their ids: the same for the same mask.

    So it can be taken back by saying it again, in whatever words.
    """
    return f"mask-{hashlib.sha256(repr(Masked.of(masks)).encode()).hexdigest()[:12]}"
