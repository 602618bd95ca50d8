"""What a classifier of named faults adds to the scores of the flow, and what it knows of others.

One classifier is trained with all faults of a recipe, and one more for each kind of fault, without
that kind. Each is a model of its own, with its own reference: the flow's scores alone, the
classifier alone and the calibrated combination of all are compared on the same good showers.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from consumers.app import settings
from consumers.cli import inputs
from consumers.cli.reading import Files
from consumers.wire.user_error import UserError
from models.fitting import recipe
from models.fitting.training import Session
from models.scoring.classifier import NAME
from models.scoring.scorer import pick_device
from models.showers import shipped
from models.simulation import fault_form
from models.studies import evaluation

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from models.fitting.lessons import ClassifierOptions
    from models.fitting.recipe import Recipe
    from models.scoring.artefact import Artefact
    from models.scoring.measures import Separation
    from models.studies.evaluation import Trial

SHOWERS = shipped.PB_LAR
LEARNT, CERTIFIED = ("gamma_train",), ("gamma_clean", "gamma_demo")
GOOD, STRANGE = ("gamma_test",), ("pi0", "mu")
RECIPE = settings.ROOT / "models" / "artefacts" / "pb-lar-classifier.toml"

UNKNOWN = {
    "gain -5 %": "gain:x=-0.05",
    "high voltage at 0.9": "trip:x=0.9",
    "pedestal +1σ in a layer": "pedestal:x=1",
    "pile-up of 5 photons": "pile-up:x=5,mev=5",
    "two core cells swapped": "swap:cells=353+354",
}
"""Faults that no classifier is trained on."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm bench classifier`."""
    parser.add_argument(
        "--recipe", type=Path, default=RECIPE, metavar="FILE", help="with a [classifier], TOML"
    )
    parser.add_argument(
        "--start", type=Path, default=settings.ARTEFACT, metavar="DIR", help="model without one"
    )
    parser.add_argument("--data", type=Path, default=SHOWERS, metavar="DIR", help="of the showers")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="figures, JSON")


def run(args: argparse.Namespace) -> int:
    """Train, compare, write."""
    torch.set_num_threads(1)
    start = inputs.artefact(args.start)
    wanted = inputs.recipe(args.recipe, frozen=True)
    if wanted.classifier is None:
        raise UserError(f"{args.recipe}: no [classifier]")
    folder, geometry = args.data, start.geometry
    at = {name: folder / f"{name}.h5" for name in (*LEARNT, *CERTIFIED, *GOOD, *STRANGE)}
    files = Files.open(at.values(), geometry)
    train, certify = (files.pool([at[name] for name in names]) for names in (LEARNT, CERTIFIED))
    good = files.showers(at[GOOD[0]])
    strange = files.named({name: at[name] for name in STRANGE})
    injected = evaluation.injected(geometry) | {n: fault_form.parse(f) for n, f in UNKNOWN.items()}

    def measure(made: Artefact, names: Mapping[str, str]) -> dict[str, Any]:
        rng = np.random.default_rng(1)
        return _told(made, evaluation.scorings(made.scorer(), good, strange, injected, rng), names)

    told = measure(start, {"flow": "combined"})
    for lesson, some in _lessons(wanted, wanted.classifier):
        print(f"{lesson} ...", flush=True)
        session = Session(pick_device("auto"))
        made = recipe.prepare(some, train, geometry, session, certify=certify, start=start)
        told |= measure(made, {f"classifier, {lesson}": NAME, f"both, {lesson}": "combined"})
        text = json.dumps({"model": start.hash, "good showers": good.n, "scores": told}, indent=2)
        args.out.write_text(text + "\n", encoding="utf-8")
    return 0


def _lessons(wanted: Recipe, shown: ClassifierOptions) -> Iterator[tuple[str, Recipe]]:
    """Yield the recipe with all faults, then without each kind of fault."""
    yield "with all", wanted
    for kind in dict.fromkeys(fault_form.parse(text).kind for text in shown.faults):
        rest = tuple(text for text in shown.faults if fault_form.parse(text).kind is not kind)
        yield f"without {kind}", replace(wanted, classifier=replace(shown, faults=rest))


def _told(
    made: Artefact, scorings: Iterator[Trial], names: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Return what scores, by the name that they are told under, separate, by anomaly."""
    good = next(scorings)
    told: dict[str, dict[str, Any]] = {name: {} for name in names}
    for scoring in scorings:
        row = evaluation.compare(good, scoring, made.score_names, made.reference.n_cells)
        for name, score in names.items():
            told[name][scoring.name] = _figures(row.scores[score])
    return told


def _figures(found: Separation) -> dict[str, Any]:
    rates = {
        f"tpr at {level:g}": [round(x, 4) for x in (r.value, r.low, r.high)]
        for level, r in found.tpr.items()
    }
    return {"auc": round(found.auc, 4), **rates}
