"""calodqm model: announce a model, compare it in shadow, switch to it, retire it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from consumers.app import detector_files, environment, settings, speaking, wiring
from consumers.cli import options
from consumers.exactly_once import quality_log
from consumers.kafka.sink import KafkaSink
from consumers.wire import artefact_form, control, topics
from consumers.wire.artefact_form import ModelAbsent
from consumers.wire.user_error import UserError
from models.scoring.fitness import misfits
from monitor.quality.model_acts import ModelAct, ModelOrder

if TYPE_CHECKING:
    import argparse

    from consumers.wire.artefact_form import Card
    from consumers.wire.control import Control

ANSWER_S = 20.0
"""The judge answers within a second, and within a few when it has to load a model."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm model`."""
    parser.add_argument("what", choices=["status", *(order.value for order in ModelOrder)])
    parser.add_argument(
        "model",
        nargs="?",
        metavar="DIR|HASH",
        help="announce: folder of the artefact; switch, retire: the first digits of its hash",
    )
    parser.add_argument("--json", action="store_true", help="status as JSON")
    options.add_who(parser)
    environment.add_arguments(parser, "bootstrap", "prefix", "artefact")


def run(args: argparse.Namespace) -> int:
    """Show the models, or order a change; 1 if the judge refuses."""
    given = environment.from_arguments(args)
    if (args.model is None) == (args.what != "status"):
        raise UserError("status takes no model, the others take one: DIR or HASH")
    if args.what == "status":
        return _status(given, as_json=args.json)
    order = ModelOrder(args.what)
    if order is ModelOrder.ANNOUNCE:
        model = _put(given, Path(args.model))
    else:
        model = _named(given, args.model)
    return _order(given, ModelAct(order, model, args.who, time.time_ns()))


def _put(given: settings.Settings, folder: Path) -> str:
    """Put an artefact on the models topic and return its hash."""
    artefact = wiring.artefact_of(given.model_copy(update={"artefact": folder}))
    if found := misfits(artefact):
        raise UserError(f"{folder}: it does not fit: {'; '.join(map(str, found))}")
    try:
        artefact_form.check_geometry(artefact, detector_files.geometry_of(given))
        with speaking.broker_errors(given):
            sink = KafkaSink(given.connection())
            try:
                card = artefact_form.publish(sink, folder, artefact)
            finally:
                sink.close()
    except ModelAbsent as absent:
        raise UserError(str(absent)) from None
    print(f"{card.bytes / 1e6:.1f} MB on {topics.MODELS} as {card.hash}")
    return card.hash


def _named(given: settings.Settings, text: str) -> str:
    cards, _ = _read(given)
    found = [model for model in cards if model.startswith(text.lower())]
    if len(found) == 1 and text:
        return found[0]
    listed = ", ".join(model[:12] for model in cards) or "none"
    problem = "no model begins with" if not found else f"{len(found)} models begin with"
    raise UserError(f"{problem} {text!r}; there are: {listed}")


def _order(given: settings.Settings, act: ModelAct) -> int:
    with speaking.opened_log(given) as log:
        _, since = log.bounds(topics.QUALITY)
    speaking.speak(given, act)
    answer = _answer(given, act, since)
    if answer is None:
        print(f"{act.order.value} {act.model[:12]}: sent; no judge has answered yet")
        return 1
    if answer.refused:
        print(f"{act.order.value} {act.model[:12]}: refused: {answer.refused}")
        return 1
    print(f"{act.order.value} {act.model[:12]}: done")
    return 0


def _answer(given: settings.Settings, act: ModelAct, since: int) -> ModelAct | None:
    """Wait for what the judge says of an order, from an offset of the quality topic on."""
    deadline = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline:
        with speaking.opened_log(given) as log:
            said = quality_log.read(log.read_all(topics.QUALITY, since))
        for record in said:
            if isinstance(record, ModelAct) and record.time_ns == act.time_ns:
                return record
        time.sleep(0.3)
    return None


def _read(given: settings.Settings) -> tuple[dict[str, Card], Control | None]:
    with speaking.opened_log(given) as log:
        found = list(log.read_all(topics.MODELS))
    return artefact_form.cards(found), control.newest(found)


def _status(given: settings.Settings, *, as_json: bool) -> int:
    cards, said = _read(given)
    roles = {} if said is None else {said.primary: "in force", said.shadow: "in shadow"}
    models = [
        {
            "hash": card.hash,
            "role": roles.get(card.hash, ""),
            "family": card.family,
            "version": card.version,
            "geometry": card.geometry,
            "bytes": card.bytes,
        }
        for card in cards.values()
    ]
    comparison = said.comparison if said is not None and said.shadow else None
    if as_json:
        print(json.dumps({"models": models, "comparison": comparison}, indent=2))
        return 0
    _tell(models, comparison)
    return 0


def _tell(models: list[dict[str, Any]], comparison: dict[str, Any] | None) -> None:
    console = Console()
    table = Table(box=None)
    for name in ("model", "role", "family", "version"):
        table.add_column(name)
    for model in models:
        table.add_row(model["hash"][:12], model["role"], model["family"], model["version"])
    console.print(table if models else "no model has been announced, and no judge has begun")
    if comparison:
        _tell_comparison(console, comparison)


def _tell_comparison(console: Console, comparison: dict[str, Any]) -> None:
    console.print(
        f"\n{comparison['showers']:,} showers by both; correlation of log p "
        f"{_shown(comparison['correlation'])}; {comparison['seconds']} data-seconds, "
        f"{comparison['missed_seconds']} missed; {_shown(comparison['coverage'])} of the ranges"
    )
    table = Table(box=None)
    for name in (
        "p at most",
        "both",
        "in force alone",
        "shadow alone",
        "seen / expected",
        "shadow",
    ):
        table.add_column(name, justify="right")
    for level, row in comparison["levels"].items():
        counts = [f"{row[name]:,}" for name in ("both", "primary alone", "shadow alone")]
        ratios = [_shown(row[f"{role} seen over expected"]) for role in ("primary", "shadow")]
        table.add_row(level, *counts, *ratios)
    console.print(table)
    alarms = comparison["alarms"]
    console.print(f"alarms of both: {alarms['both']}")
    for role in ("primary", "shadow"):
        for alarm in alarms[f"{role} alone"]:
            console.print(f"{role} alone: {alarm['severity']}: {alarm['summary']}")
    reason = comparison["not_ready"]
    console.print(f"not yet: {reason}" if reason else "it may take over: `calodqm model switch`")


def _shown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
