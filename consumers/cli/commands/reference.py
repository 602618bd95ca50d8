"""calodqm reference: the one in force: show, freeze, reset; or make a new one for a model."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consumers.app import detector_files, environment, settings, speaking, wiring
from consumers.cli import inputs, options, reading
from consumers.wire.user_error import UserError
from models.showers.symmetries import Symmetry
from monitor.quality.reference_acts import TIMED, Order, ReferenceAct

if TYPE_CHECKING:
    import argparse

    from models.scoring.artefact import Artefact

ORDERS = {
    Order.FREEZE: "the live reference takes in nothing more",
    Order.THAW: "it goes on",
    Order.RESET: "it begins anew",
    Order.ROLLBACK: "it forgets what it took in since a time",
    Order.ANCHOR: "what has come since a time is good from now on, for these conditions",
    Order.CONDITIONS: "say which conditions hold from a run on: each has a live reference of its own",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm reference`."""
    parts = parser.add_subparsers(dest="what", required=True, metavar="WHAT")

    def part(name: str, text: str) -> argparse.ArgumentParser:
        return parts.add_parser(name, help=text, description=text, allow_abbrev=False)

    show = part("show", "the certified one and the one in force")
    show.add_argument("--json", action="store_true", help="show it as JSON")
    environment.add_arguments(show, "bootstrap", "prefix", "detector", "artefact")
    for order, text in ORDERS.items():
        command = part(order.value, text)
        if order is Order.ROLLBACK:
            command.add_argument("--since", metavar="TIME", help="nothing after it is believed")
        if order is Order.ANCHOR:
            command.add_argument("--since", metavar="TIME", help="all after it is good")
        if order is Order.CONDITIONS:
            command.add_argument("key", help="run period, beam mode, high voltage: in your words")
            command.add_argument(
                "--run",
                dest="first_run",
                type=int,
                required=True,
                metavar="N",
                help="the first that has them",
            )
        options.add_who(command)
        environment.add_arguments(command, "bootstrap", "prefix")
    _add_certify(part("certify", "give a model a reference of other good showers; no training"))
    _add_generate(part("generate", "give a model a reference that it draws itself"))


def _add_certify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "showers",
        nargs="+",
        type=Path,
        metavar="SHOWERS",
        help="files of good showers that training did not see; those without noise "
        "(noise_mev = 0) get it in every draw",
    )
    _add_model(parser)
    options.add_despite(parser)
    parser.add_argument("--draws", type=int, default=2, help="of noise, for each image; default: 2")
    parser.add_argument("--test", type=Path, metavar="FILE", help="good showers, for the card")
    parser.add_argument(
        "--anomaly", action="append", default=[], metavar="NAME=FILE", help="for the card"
    )


def _add_generate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--conditions",
        type=Path,
        required=True,
        metavar="FILE",
        help="showers at whose energies it is drawn; they need not be good ones",
    )
    _add_model(parser)
    parser.add_argument("--showers", type=int, default=20_000, help="drawn; default: 20000")
    parser.add_argument("--seed", type=int, default=1)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--artefact", type=Path, required=True, metavar="DIR", help="the model")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="artefact to write")
    parser.add_argument("--condition-cells", type=int, help="default: as many as it has")
    reading.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Show the reference in force, send an order to the judge, or make a new artefact."""
    if args.what == "certify":
        return _certify(args)
    if args.what == "generate":
        return _generate(args)
    wanted = environment.from_arguments(args)
    if args.what == "show":
        return _show(wanted, as_json=args.json)
    text = getattr(args, "since", None)
    since = None if text is None else options.time_ns(text)
    try:
        act = ReferenceAct(
            Order(args.what),
            args.who,
            time.time_ns(),
            since,
            run=getattr(args, "first_run", None),
            key=getattr(args, "key", ""),
        )
    except ValueError as error:
        timed = Order(args.what) in TIMED
        raise UserError(f"{error}: --since TIME" if timed else str(error)) from None
    speaking.speak(wanted, act)
    print(f"{args.what}: sent to the judge")
    return 0


def _certify(args: argparse.Namespace) -> int:
    from models.fitting import acceptance, certification  # noqa: PLC0415  torch takes seconds

    made = inputs.artefact(args.artefact)
    if args.anomaly and args.test is None:
        raise UserError("--anomaly is for the card: it needs --test FILE of good showers")
    named = reading.named(args.anomaly, "--anomaly")
    tests = [*([] if args.test is None else [args.test]), *named.values()]
    files = reading.opened(args, made, [*args.showers, *tests])
    pool = files.pool(args.showers)
    test = None if args.test is None else files.showers(args.test)
    strange = files.named(named)
    card = {"certified_with": [path.name for path in args.showers]}
    try:
        how = certification.CertificationOptions(
            condition_cells=_condition_cells(args, made),
            draws=args.draws,
            seed=made.card.get("seed", 1),
            symmetry=Symmetry.of_card(made.card),
        )
        new = certification.recertified(made, pool, how, card)
        new = acceptance.accepted(new, args.despite)
        if test is not None:
            of_test = {"device": "auto", "out": args.out, "despite": args.despite}
            new = inputs.examined(new, test, strange, **of_test)
    except UserError:
        raise
    except ValueError as error:
        raise UserError(str(error)) from None
    return _saved(new, args.out)


def _generate(args: argparse.Namespace) -> int:
    from models.fitting.generation import with_generated_reference  # noqa: PLC0415  torch takes seconds

    made = inputs.artefact(args.artefact)
    seen = reading.opened(args, made, [args.conditions]).showers(args.conditions)
    try:
        new = with_generated_reference(
            made, seen, args.showers, args.seed, _condition_cells(args, made)
        )
    except ValueError as error:
        raise UserError(str(error)) from None
    return _saved(new, args.out)


def _condition_cells(args: argparse.Namespace, made: Artefact) -> int:
    return int(args.condition_cells or made.reference.n_cells)


def _saved(new: Artefact, out: Path) -> int:
    new.save(out)
    reference = new.reference
    print(f"{out}: hash {new.hash[:12]}, {reference.origin} from {reference.showers} showers")
    return 0


def _show(wanted: settings.Settings, *, as_json: bool) -> int:
    artefact, detector = wiring.artefact_of(wanted), detector_files.detector_of(wanted)
    with speaking.opened_log(wanted) as log:
        state = wiring.newest_state(wanted, artefact, detector, log)
    told: dict[str, Any] = {"certified": _certified(artefact)}
    if state is not None:
        standing = state.monitor.standing()
        told["in force"] = asdict(standing.reference)
        told["distance"] = standing.reference_distance
        told["awaited"] = standing.reference_awaited or None
    if as_json:
        print(json.dumps(told, indent=2))
        return 0
    for name, values in told.items():
        if values is None:
            continue
        shown = values if isinstance(values, dict) else {"": values}
        words = ", ".join(f"{key} {value}".strip() for key, value in shown.items())
        print(f"{name}: {words}")
    if state is None:
        print("in force: no judge has left a snapshot yet")
    return 0


def _certified(artefact: Artefact) -> dict[str, Any]:
    reference = artefact.reference
    return {
        "id": reference.id,
        "origin": reference.origin,
        "showers": reference.showers,
        "model": artefact.hash,
    }
