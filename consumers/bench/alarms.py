"""Benchmark of the alarms: false pages, delays, places and kinds, rivals, contamination."""

from __future__ import annotations

import hashlib
import json
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from consumers.app.settings import ARTEFACT, ROOT
from consumers.bench import faults, good, handover, learning, pools
from consumers.bench import plan as plans
from consumers.bench.sheets import sheets
from consumers.wire.user_error import UserError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from consumers.bench.plan import Plan, Tell

PARTS: dict[str, Callable[[Plan, Tell], dict[str, Any]]] = {
    "resampled": good.resampled,
    "delays": faults.delays,
    "contamination": learning.contamination,
    "handover": handover.handover,
    "false-pages": good.false_pages,
    "spread": good.spread_pages,
    "latents": good.latents,
}
"""In the order in which they are begun: the longest one first."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm bench alarms`."""
    parser.add_argument("--only", nargs="+", choices=PARTS, default=[*PARTS], metavar="PART",
                        help=f"of {', '.join(PARTS)}")  # fmt: skip
    parser.add_argument("--days", type=int, default=1000, help="of good data to simulate")
    parser.add_argument(
        "--region-days", type=float, default=1000.0, help="of one region's latents to simulate"
    )
    parser.add_argument(
        "--hours", type=float, default=24.0, help="of good data to resample from real showers"
    )
    parser.add_argument("--trials", type=int, default=40, help="of each fault")
    parser.add_argument("--learnt-trials", type=int, default=10, metavar="TRIALS",
                        help="of each fault and contamination")  # fmt: skip
    parser.add_argument("--handovers", type=int, default=1, metavar="TRIALS",
                        help="of each fault, from one judge to another")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes; each runs whole parts")
    parser.add_argument("--artefact", type=Path, default=ARTEFACT, metavar="DIR")
    parser.add_argument("--showers", type=Path, nargs="+", default=plans.SHOWERS,
                        metavar="FILE", help="good showers that are in no reference")  # fmt: skip
    parser.add_argument("--out", type=Path, default=None, metavar="JSON",
                        help="figures of parts that are not run again are kept, with what made "
                        "them; tables go beside it, as .md")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> int:
    """Simulate, write the figures, tell them."""
    least = min(args.days, args.trials, args.learnt_trials, args.handovers, args.jobs)
    if least < 1 or not (args.hours > 0 and args.region_days > 0):
        raise UserError("at least one day, trial and job, and a little more than no hours")
    args.showers = tuple(args.showers)
    plan = plans.Plan(**{f.name: getattr(args, f.name) for f in fields(plans.Plan)})
    made_by = _made_by(plan)
    figures = _kept(args.out)
    for part, told in _run_all(args.only, plan, args.jobs):
        figures |= {part: {"made": told.pop("made") | made_by, **told}}
        if args.out is not None:
            _write(args.out, figures)
        if args.json:
            print(json.dumps({part: figures[part]}))
        else:
            for sheet in sheets(part, told):
                Console().print(sheet.table())
    for line in _older(figures, args.only, made_by):
        Console(stderr=True).print(line, style="yellow")
    return 0


def _run_all(only: list[str], plan: Plan, jobs: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield parts and their figures, in the order in which they are done."""
    parts = [part for part in PARTS if part in only]
    if jobs == 1:
        for part in parts:
            yield part, _run_part(part, plan)
        return
    from concurrent.futures import as_completed  # noqa: PLC0415

    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        running = {pool.submit(_run_part, part, plan): part for part in parts}
        for done in as_completed(running):
            yield running[done], done.result()


def _run_part(part: str, plan: Plan) -> dict[str, Any]:
    """Return the figures of a part, and when and at what cost they were made."""
    console = Console(stderr=True)
    begun, cpu = datetime.now(UTC), time.process_time()

    def tell(line: str) -> None:
        console.print(f"{part}: {line}", style="bright_black", highlight=False)

    tell("...")
    told = PARTS[part](plan, tell)
    made = {
        "begun": begun.isoformat(timespec="seconds"),
        "minutes": (datetime.now(UTC) - begun).total_seconds() / 60,
        "cpu_minutes": (time.process_time() - cpu) / 60,
    }
    return {"made": made, **told}


def _made_by(plan: Plan) -> dict[str, Any]:
    """Return what figures depend on: seed, model, showers, and the code that is imported."""
    digest = hashlib.sha256()
    files = [file for name in ("models", "monitor") for file in sorted((ROOT / name).rglob("*.py"))]
    mine = (faults, good, handover, learning, plans, pools)
    for file in (*files, *(Path(str(module.__file__)) for module in mine)):
        digest.update(file.read_bytes())
    for path in plan.showers:
        if not path.exists():
            raise UserError(f"{path}: no such file")
    return {
        "code": digest.hexdigest(),
        "commit": plans.commit(),
        "artefact": pools.load(plan.artefact).hash,
        "showers": {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in plan.showers},
        "seed": plan.seed,
    }


def _kept(path: Path | None) -> dict[str, Any]:
    """Return figures that are there already, of parts that still are."""
    if path is None or not path.exists():
        return {}
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return {part: told for part, told in kept.items() if part in PARTS and "made" in told}


def _older(figures: dict[str, Any], only: list[str], made_by: dict[str, Any]) -> Iterator[str]:
    """Yield a line for every part that is kept and was made by something else."""
    for part, told in figures.items():
        differs = [key for key, value in made_by.items() if told["made"].get(key) != value]
        if part not in only and differs:
            begun = told["made"].get("begun", "?")
            yield f"{part}: kept from {begun}, made with other {', '.join(differs)}"


def _write(path: Path, figures: dict[str, Any]) -> None:
    """Write figures, and the tables beside them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(page(figures), encoding="utf-8")


def page(figures: dict[str, Any]) -> str:
    """Return the page of all figures, each with what made it."""
    blocks = [
        "# Figures of the alarms",
        (
            "Made by `calodqm bench alarms --out deploy/figures/alarms.json`; "
            "the same figures as [JSON](alarms.json). Delays are in data time."
        ),
    ]
    for part in (
        "false-pages",
        "spread",
        "latents",
        "resampled",
        "delays",
        "contamination",
        "handover",
    ):
        if part not in figures:
            continue
        made = figures[part]["made"]
        blocks.append(f"## {part}")
        blocks += [sheet.markdown() for sheet in sheets(part, figures[part])]
        blocks.append(
            f"*{made['begun']}, {made['cpu_minutes']:.0f} min CPU; commit {made['commit']}, code "
            f"{made['code'][:12]}, artefact {made['artefact'][:12]}, showers {', '.join(made['showers'])}, "
            f"seed {made['seed']}.*"
        )
    return "\n\n".join(blocks) + "\n"
