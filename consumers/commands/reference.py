"""calodqm reference: show, freeze, thaw, reset or roll back the reference."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from consumers import settings, tools, wiring
from consumers.failure import UserError
from monitor.references import Order, ReferenceAct

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm reference`."""
    parser.add_argument("what", choices=["show", *(order.value for order in Order)])
    parser.add_argument("--since", metavar="TIME", help="of a rollback: nothing after is believed")
    parser.add_argument("--json", action="store_true", help="show it as JSON")
    tools.add_who(parser)
    settings.add_arguments(parser, "bootstrap", "detector", "artefact")


def run(args: argparse.Namespace) -> int:
    """Show the reference in force, or send an order to the judge."""
    given = settings.from_arguments(args)
    if args.what == "show":
        return _show(given, as_json=args.json)
    since = None if args.since is None else tools.time_ns(args.since)
    try:
        act = ReferenceAct(Order(args.what), args.who, time.time_ns(), since)
    except ValueError as error:
        raise UserError(f"{error}: --since TIME") from None
    tools.speak(given, act)
    print(f"{args.what}: sent to the judge")
    return 0


def _show(given: settings.Settings, *, as_json: bool) -> int:
    artefact, detector = wiring.artefact_of(given), wiring.detector_of(given)
    with tools.opened_log(given) as log:
        bench = wiring.newest_bench(given, artefact, detector, log)
    told: dict[str, Any] = {"certified": _certified(artefact)}
    if bench is not None:
        standing = bench.monitor.standing()
        told["in force"] = asdict(standing.reference)
        told["distance"] = standing.reference_distance
    if as_json:
        print(json.dumps(told, indent=2))
        return 0
    for name, values in told.items():
        shown = values if isinstance(values, dict) else {"": values}
        words = ", ".join(f"{key} {value}".strip() for key, value in shown.items())
        print(f"{name}: {words}")
    if bench is None:
        print("in force: no judge has left a snapshot yet")
    return 0


def _certified(artefact: Any) -> dict[str, Any]:
    reference = artefact.reference
    return {
        "id": reference.id,
        "origin": reference.origin,
        "showers": reference.showers,
        "model": artefact.hash,
    }
