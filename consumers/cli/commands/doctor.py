"""calodqm doctor: what is wrong here, and the mend."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from consumers.app import environment
from consumers.cli import machine, on_topics

if TYPE_CHECKING:
    import argparse

    from consumers.cli.finding import Finding

PARTS = {"score": ("score",), "judge": ("judge",), "run": ("score", "judge")}
"""Parts of the service that may have users of their own, and what those are there for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm doctor`."""
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("--no-broker", action="store_true", help="look at this machine only")
    parser.add_argument(
        "--part", choices=tuple(PARTS), default="run", help="whose rights on the topics to look at"
    )
    environment.add_arguments(
        parser, "bootstrap", "prefix", "artefact", "detector", "topic", "device"
    )


def run(args: argparse.Namespace) -> int:
    """Look at everything that has to be right; 1 if something is not."""
    given = environment.from_arguments(args)
    found = machine.findings(given, args.part)
    if "judge" in PARTS[args.part]:
        found += machine.judgement(given)
    if not args.no_broker:
        page = () if given.page_token is None or args.part == "score" else ("page",)
        found += on_topics.findings(given, (*PARTS[args.part], *page))
    if args.json:
        names = ("what", "well", "text", "mend")
        print(json.dumps([{n: getattr(f, n) for n in names} for f in found], indent=2))
    else:
        for finding in found:
            _say(finding, Console(highlight=False, soft_wrap=True))
    return 0 if all(finding.well for finding in found) else 1


def _say(finding: Finding, console: Console) -> None:
    """Print a finding: a line of its own, never cut, in letters that the output takes."""
    well, not_well = ("✓", "✗") if console.encoding.startswith("utf") else ("ok", "NO")
    mark, style = (well, "green") if finding.well else (not_well, "bold red")
    console.print(Text(f"{mark:2} ", style), Text(f"{finding.what}: {finding.text}"), sep="")
    if not finding.well and finding.mend:
        console.print(Text(f"   mend: {finding.mend}", "yellow"))
