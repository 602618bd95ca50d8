"""calodqm bench papers: the seed papers' questions, asked on the showers that ship."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from consumers.app import settings
from consumers.bench import openings
from consumers.bench.paper_sheets import page
from consumers.cli import inputs
from consumers.cli.reading import Files
from consumers.wire.user_error import UserError
from models.fitting.training import Session
from models.showers import shipped
from models.studies import papers
from models.studies.evaluation import Trial

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from models.scoring.artefact import Artefact
    from models.showers.batch import Showers

ARTEFACTS = settings.ROOT / "models" / "artefacts"
RECIPE = ARTEFACTS / "pb-lar-classifier.toml"
STRANGE = ("pi0", "mu", "eplus", "lead3")
MOST_TAUGHT = 17_500
PARTS = ("all else", "pions")
LESSONS = {"pairs 10 mm apart": papers.NEAR, "pairs 40 mm apart": papers.FAR}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm bench papers`."""
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.md", help="JSON beside it")
    parser.add_argument("--flux", type=Path, default=ARTEFACTS / "pb-lar-flux", metavar="DIR")
    parser.add_argument(
        "--caloflow", type=Path, default=ARTEFACTS / "pb-lar-caloflow", metavar="DIR"
    )
    parser.add_argument("--data", type=Path, default=shipped.PB_LAR, metavar="DIR")
    parser.add_argument("--showers", type=int, default=2000, metavar="N", help="good, at most")
    parser.add_argument(
        "--taught", type=int, default=MOST_TAUGHT, help="to teach classifiers, at most"
    )
    parser.add_argument("--generated", type=int, default=5000, help="in a generated reference")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=list(PARTS), help="figures of the rest are kept"
    )


def run(args: argparse.Namespace) -> int:
    """Score, teach, generate; write the page."""
    if min(args.showers, args.taught, args.generated) < 500:
        raise UserError("at least 500 showers, taught and generated ones")
    torch.set_num_threads(1)
    flux, caloflow = inputs.artefact(args.flux), inputs.artefact(args.caloflow)
    parts = ("gamma_test", "gamma_train", "gamma_clean", "gamma_demo", *STRANGE)
    at = {name: args.data / f"{name}.h5" for name in parts}
    files = Files.open(at.values(), flux.geometry)
    good = files.showers(at["gamma_test"])[slice(0, args.showers)]
    strange = files.named({name: at[name] for name in STRANGE})
    told = _kept(args, {"good": good.n, "seed": args.seed, "made with": _made(flux, caloflow)})
    if "all else" in args.only:
        told |= _asked(args, (flux, caloflow), files, at, good, strange)
    if "pions" in args.only:
        told["pions"] = openings.told(args.data, (flux, caloflow), good, strange["pi0"])
    _write(args.out, told)
    print(args.out)
    return 0


def _kept(args: argparse.Namespace, head: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of what is not run again, which must be of the same showers and models."""
    if set(args.only) == set(PARTS):
        return head
    try:
        there = json.loads(args.out.with_suffix(".json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{args.out.with_suffix('.json')}: no figures to keep") from None
    other = [name for name, value in head.items() if there[name] != value]
    if other:
        raise UserError(f"what is kept is of another: {', '.join(other)}; run all again")
    return {**there, **head}


def _asked(
    args: argparse.Namespace,
    models: tuple[Artefact, Artefact],
    files: Files,
    at: Mapping[str, Path],
    good: Showers,
    strange: Mapping[str, Showers],
) -> dict[str, Any]:
    """Return the figures of everything but the pions' openings."""
    flux, caloflow = models
    two = papers.pairs(flux, good, args.seed)
    told: dict[str, Any] = {}
    for made in (caloflow, flux):
        found = papers.compared(made, good, {**two, **strange})
        told[made.family] = {
            "edges_mev": found.edges_mev.tolist(),
            "scores": list(made.score_names),
            "rows": [asdict(row) for row in found.rows],
        }
    told["energies"] = _forgotten(caloflow, good, {**two, "pi0": strange["pi0"]})
    told["lessons"] = _lessons(flux, files, at, args, good, {**two, "pi0": strange["pi0"]})
    cut = {"20 mm": two["20 mm"], **strange}
    cuts = papers.quantile_cuts(flux, good, cut, args.generated, args.seed)
    told["cuts"] = [asdict(one) for one in cuts]
    return {**told, "taught": min(args.taught, MOST_TAUGHT), "generated": args.generated}


def _made(*models: Artefact) -> dict[str, str]:
    return {made.family: made.hash for made in models}


def _forgotten(
    made: Artefact, good: Showers, strange: Mapping[str, Showers]
) -> list[dict[str, Any]]:
    """Return what is seen with incident energies known, and with none."""
    known = papers.compared(made, good, strange)
    forgot = papers.compared(
        made, _unknown(good), {name: _unknown(showers) for name, showers in strange.items()}
    )
    return [
        {
            "name": a.name,
            "known": asdict(a.scores["combined"]),
            "unknown": asdict(b.scores["combined"]),
        }
        for a, b in zip(known.rows, forgot.rows, strict=True)
    ]


def _unknown(showers: Showers) -> Showers:
    return replace(showers, e_inc=np.full_like(showers.e_inc, np.nan))


def _lessons(
    flux: Artefact,
    files: Files,
    at: Mapping[str, Path],
    args: argparse.Namespace,
    good: Showers,
    strange: Mapping[str, Showers],
) -> list[dict[str, Any]]:
    """Return what classifiers of pairs see beside the flow, by what they were taught."""
    recipe = inputs.recipe(RECIPE, frozen=True)
    train = files.pool([at["gamma_train"]])[np.arange(min(args.taught, MOST_TAUGHT))]
    certify = files.pool([at["gamma_clean"], at["gamma_demo"]])
    found = []
    for lesson, fault in LESSONS.items():
        made = papers.taught(flux, recipe, (fault,), (train, certify), Session())
        scorer = made.scorer("cpu")
        first = Trial("good", good, scorer.score(good))
        for name, showers in strange.items():
            three = papers.three(made, first, Trial(name, showers, scorer.score(showers)))
            found.append(
                {"lesson": lesson, "name": name, **{k: asdict(v) for k, v in three.items()}}
            )
    return found


def _write(path: Path, told: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = json.dumps(told, indent=1, default=str)
    path.with_suffix(".json").write_text(plain + "\n", encoding="utf-8")
    path.write_text(page(json.loads(plain), path.with_suffix(".json").name), encoding="utf-8")
