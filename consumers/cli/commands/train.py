"""calodqm train: fit a model to showers of a good run or a simulation."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from consumers.cli import inputs, options, reading
from consumers.cli.reading import Files
from consumers.wire.user_error import UserError
from models.detector import files as geometries
from models.detector.geometry import GeometryError
from models.simulation.sources import SIMULATED

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from models.detector.geometry import Geometry
    from models.fitting.progress import Progress as Told
    from models.fitting.recipe import Recipe
    from models.fitting.training import Session
    from models.scoring.artefact import Artefact


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm train`."""
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA", help="files of good showers")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="artefact to write")
    parser.add_argument(
        "--certify",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="good showers for the reference; default: a share of DATA that is not trained on",
    )
    parser.add_argument(
        "--test", type=Path, metavar="FILE", help="good showers, met by nothing: for the model card"
    )
    parser.add_argument(
        "--anomaly",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="strange showers, for the model card; may be given several times",
    )
    parser.add_argument(
        "--start",
        type=Path,
        metavar="DIR",
        help="artefact whose weights training begins with, e.g. one of simulated showers",
    )
    parser.add_argument(
        "--frozen",
        action="store_true",
        help="keep features and flow of --start: make only classifier, reference and card",
    )
    options.add_despite(parser)
    parser.add_argument("--geometry", type=Path, metavar="FILE", help="default: the shipped Pb/LAr")
    parser.add_argument("--family", choices=["flux", "caloflow"], help="default: flux")
    parser.add_argument("--config", type=Path, metavar="FILE", help="a recipe, TOML")
    parser.add_argument("--epochs", type=int, help="at most, in each phase")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument(
        "--mixed", action="store_true", help="matrix products in bfloat16; on a GPU only"
    )
    parser.add_argument("--threads", type=int, help="CPU threads; default: all")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted training")
    reading.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Train, certify, save; print where the artefact is and what it is worth."""
    _check(args)
    if args.threads is not None:
        import torch  # noqa: PLC0415  takes seconds

        torch.set_num_threads(args.threads)
    geometry = _geometry(args.geometry)
    over = {"epochs": args.epochs, "seed": args.seed}
    recipe = inputs.recipe(args.config, family=args.family, frozen=args.frozen or None, **over)
    start = None if args.start is None else inputs.artefact(args.start)
    strange = reading.named(args.anomaly, "--anomaly")
    tests = [*([] if args.test is None else [args.test]), *strange.values()]
    paths = [*args.data, *args.certify, *tests]
    files = Files.open(paths, geometry, reading.said(args, recipe.conditions))
    files.check_memory(paths)
    _check_numbers(recipe, files, args)
    test = None if args.test is None else files.showers(args.test)
    anomalies = files.named(strange)
    args.out.mkdir(parents=True, exist_ok=True)
    if not args.resume:
        _drop(args.out)

    def trained(session: Session) -> Artefact:
        from models.fitting import recipe as recipes  # noqa: PLC0415
        from models.fitting.acceptance import accepted  # noqa: PLC0415

        made = recipes.prepare(
            recipe,
            files.pool(args.data),
            geometry,
            session,
            certify=files.pool(args.certify) if args.certify else None,
            start=start,
            card={"files": [_told(path) for path in (*args.data, *args.certify)]},
        )
        made = accepted(made, args.despite)
        if test is None:
            return made
        of_test = {"device": args.device, "out": args.out, "despite": args.despite}
        return inputs.examined(made, test, anomalies, **of_test)

    made = _shown(trained, args)
    made.save(args.out)
    _drop(args.out)
    print(f"{args.out}: {made.family} {made.version}, hash {made.hash[:12]}")
    return 0


def _shown(trained: Callable[[Session], Artefact], args: argparse.Namespace) -> Artefact:
    """Return what is trained, with its progress shown, and faults said in a line."""
    from models.fitting.acceptance import Unfit  # noqa: PLC0415
    from models.fitting.checkpoint import TrainingError  # noqa: PLC0415
    from models.fitting.training import Session  # noqa: PLC0415
    from models.scoring.scorer import pick_device  # noqa: PLC0415

    checkpoint = args.out / "checkpoint.safetensors"
    bar, progress = _progress()
    try:
        with bar:
            return trained(Session(pick_device(args.device), progress, checkpoint, args.mixed))
    except Unfit as error:
        kept = f"; with --resume it need not be trained again: {checkpoint}"
        raise UserError(f"{error}{kept}") from None
    except UserError:
        raise
    except (TrainingError, ValueError) as error:
        raise UserError(str(error)) from None


def _told(path: Path) -> str:
    """Return what a card says of a file: its name, or all that was asked of the fast simulation."""
    return str(path) if str(path).startswith(SIMULATED) else path.name


def _drop(folder: Path) -> None:
    """Remove the checkpoints of a training that is over, or begins anew."""
    for left in folder.glob("checkpoint*.safetensors"):
        left.unlink()


def _check(args: argparse.Namespace) -> None:
    if args.threads is not None and args.threads < 1:
        raise UserError(f"--threads {args.threads}: give 1 or more")
    if args.anomaly and args.test is None:
        raise UserError("--anomaly is for the card: it needs --test FILE of good showers")


def _check_numbers(recipe: Recipe, files: Files, args: argparse.Namespace) -> None:
    try:
        recipe.needs.check(files.n(args.data), files.n(args.certify) if args.certify else None)
    except ValueError as error:
        raise UserError(str(error)) from None


def _progress() -> tuple[Progress, Callable[[Told], None]]:
    """Return a bar, and what moves it; in a log file each epoch is a line."""
    console = Console(file=sys.stderr, width=None if sys.stderr.isatty() else 132)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[loss]}"))
    bar = Progress(*columns, TimeElapsedColumn(), console=console)
    tasks: dict[str, TaskID] = {}

    def progress(state: Told) -> None:
        if state.phase not in tasks:
            tasks[state.phase] = bar.add_task(state.phase, total=state.epochs, loss="")
        loss = f"train {state.train:.4f}  held out {state.held_out:.4f}  best {state.best:.4f}"
        bar.update(tasks[state.phase], completed=state.epoch, loss=loss)
        if not console.is_terminal:
            at = f"{time.strftime('%H:%M:%S')} {state.phase} {state.epoch}/{state.epochs}"
            console.print(f"{at}  {loss}")

    return bar, progress


def _geometry(path: Path | None) -> Geometry:
    try:
        return geometries.load(path or geometries.SHIPPED / "pb-lar-504.json")
    except GeometryError as error:
        raise UserError(str(error)) from None
