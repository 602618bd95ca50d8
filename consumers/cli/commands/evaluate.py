"""calodqm evaluate: measure a model on good and anomalous showers."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.cli import absent_cells, evaluation_tables, inputs, reading
from consumers.wire.user_error import UserError
from models.showers.symmetries import Symmetry

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from consumers.cli.reading import Files
    from models.detector.geometry import Geometry
    from models.scoring.artefact import Artefact
    from models.scoring.measures import Calibration
    from models.showers.batch import Showers
    from models.studies import mutability
    from models.studies.energies import Likeness
    from models.studies.evaluation import Row
    from models.studies.power import Curve
    from monitor.detector.tree import Detector

SIMULATED = 1500
"""Showers of the fast simulation that the good ones are compared with, for the plots."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm evaluate`."""
    parser.add_argument("--artefact", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--good", type=Path, required=True, metavar="FILE", help="good showers, not trained on"
    )
    parser.add_argument(
        "--anomaly",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="anomalous showers; may be given several times",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="write plots and report.html")
    parser.add_argument(
        "--images",
        action="store_true",
        help="check the calibration on every mirror image of the good showers, with fresh noise "
        "in each where they are without: intervals allow for images being alike",
    )
    parser.add_argument("--no-faults", action="store_true", help="inject no faults of its own")
    parser.add_argument(
        "--no-windows", action="store_true", help="skip how many showers together show a fault"
    )
    parser.add_argument(
        "--unknown-energy",
        action="store_true",
        help="forget the incident energies: what does it cost to reconstruct them?",
    )
    parser.add_argument(
        "--mutability",
        type=int,
        metavar="N",
        help="N objects, half of them good and half of the first --anomaly: how strange is each in "
        "the population that the model generates at its energy, by refit and by the fast form?",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=1,
        help="of the injected faults, and of how many showers show them",
    )
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    absent_cells.add_arguments(parser)
    reading.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Score, compare, print a table; write JSON and plots where asked."""
    try:
        return _run(args)
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from None


def _run(args: argparse.Namespace) -> int:
    from models.scoring import measures  # noqa: PLC0415  torch takes seconds
    from models.studies import energies, evaluation, power  # noqa: PLC0415

    artefact = inputs.artefact(args.artefact)
    detector = absent_cells.detector_with_channels(args, artefact.geometry)
    files, good, anomalies = _showers(args, artefact, detector)
    if args.unknown_energy:
        good = _forget(good)
        anomalies = {name: _forget(showers) for name, showers in anomalies.items()}
    rng = np.random.default_rng(args.seed)
    faults = {} if args.no_faults else evaluation.injected(artefact.geometry)
    scorer = absent_cells.Hiding(absent_cells.scorer_of(artefact, args.device, detector), detector)
    first, *strange = evaluation.scorings(scorer, good, anomalies, faults, rng)
    n_cells = artefact.reference.n_cells
    names = artefact.score_names
    rows = [evaluation.compare(first, trial, names, n_cells) for trial in strange]
    if args.images:
        calibrations = _of_images(artefact, files, args, detector)
    else:
        calibrations = measures.calibration(first.scored, artefact.reference.edges)
    curves = () if args.no_windows else power.curves(first, strange, rng)
    linear = energies.linearity(artefact.feature_map, good)
    evaluation_tables.show_separation(artefact, good.n, rows, curves)
    evaluation_tables.show_calibration(calibrations)
    evaluation_tables.show_energies(linear)
    if not args.no_faults:
        _print_left_out(artefact.geometry)
    agreement = None if args.mutability is None else _mutability(artefact, good, anomalies, args)
    if args.json is not None:
        facts = _facts(artefact, args, good, rows, calibrations, curves)
        facts["energies"] = _plain([asdict(row) for row in linear])
        if agreement is not None:
            facts["mutability"] = _plain(asdict(agreement))
        text = json.dumps(facts, indent=2)
        args.json.write_text(text + "\n", encoding="utf-8")
    if args.plots is not None:
        from models.studies import energy_plots, plots, report  # noqa: PLC0415

        drawn = plots.figures(
            artefact.geometry, names, [first, *strange], rows, calibrations, curves
        )
        drawn |= energy_plots.of_energies(linear, _likeness(artefact.geometry, good, rng))
        title = f"{artefact.family} {artefact.version} on {artefact.geometry.name}"
        about = {"model": artefact.hash, "good showers": f"{args.good}, {good.n}"}
        print(report.write(args.plots, drawn, title, about, rows, curves))
    return 0


def _showers(
    args: argparse.Namespace, artefact: Artefact, detector: Detector | None
) -> tuple[Files, Showers, dict[str, Showers]]:
    """Return the files, the good showers in them, and the strange ones by name."""
    strange = reading.named(args.anomaly, "--anomaly")
    paths = [args.good, *strange.values()]
    files = reading.opened(args, artefact, paths, seeds=detector is not None)
    good, anomalies = files.showers(args.good), files.named(strange)
    for path, showers in zip(paths, (good, *anomalies.values()), strict=True):
        absent_cells.tell_unused(files.opened[path])
        rows = np.arange(showers.n)
        absent_cells.check_seeds(files.opened[path], showers, rows, detector)
    return files, good, anomalies


def _print_left_out(geometry: Geometry) -> None:
    from models.studies import evaluation  # noqa: PLC0415  torch takes seconds

    if missing := evaluation.left_out(geometry):
        print(f"not injected, for {geometry.name} cannot show it: {', '.join(missing)}")


def _likeness(geometry: Geometry, good: Showers, rng: np.random.Generator) -> tuple[Likeness, ...]:
    """Return the good showers beside the fast simulation; nothing where that cannot make such."""
    from models.studies import energies  # noqa: PLC0415  torch takes seconds

    try:
        return energies.likeness(good[slice(0, SIMULATED)], geometry, rng)
    except ValueError:  # no materials, or energies too low
        return ()


def _of_images(
    artefact: Artefact, files: Files, args: argparse.Namespace, detector: Detector | None
) -> tuple[Calibration, ...]:
    """Return the calibration on every image of the good showers under the model's symmetries.

    Those whose patch leaves the detector have no image: it leaves elsewhere.
    """
    from models.fitting import certification  # noqa: PLC0415  torch takes seconds
    from models.scoring import measures  # noqa: PLC0415

    options = certification.CertificationOptions(draws=1, symmetry=Symmetry.of_card(artefact.card))
    pool = files.pool([args.good])
    pool = pool[np.flatnonzero(absent_cells.is_whole(pool.showers, detector))]
    if args.unknown_energy:
        pool = replace(pool, showers=_forget(pool.showers))
    # Another stream than that of references: the same noise would make both alike.
    rng = np.random.default_rng([args.seed, 7])
    images, shower = certification.every_image(pool, artefact.geometry, options, rng)
    scored = artefact.scorer(args.device).score(images)
    return measures.calibration(scored, artefact.reference.edges, shower)


def _mutability(
    artefact: Artefact, good: Showers, anomalies: Mapping[str, Showers], args: argparse.Namespace
) -> mutability.Agreement:
    """Compare, and print, the two forms of mutability."""
    from models.studies import mutability  # noqa: PLC0415  hdbscan takes seconds

    half = args.mutability // 2
    name, strange = next(iter(anomalies.items()), ("", None))
    if strange is None or not 0 < half <= min(good.n, strange.n):
        raise UserError("--mutability needs an --anomaly, and half of N showers of either kind")
    rng = np.random.default_rng([args.seed, 8])
    good, strange = (kind[np.sort(rng.permutation(kind.n)[:half])] for kind in (good, strange))
    found = mutability.agreement(artefact, good, strange, args.seed)
    evaluation_tables.show_mutability(found, half, name)
    return found


def _forget(showers: Showers) -> Showers:
    return replace(showers, e_inc=np.full_like(showers.e_inc, np.nan))


def _facts(
    artefact: Artefact,
    args: argparse.Namespace,
    good: Showers,
    rows: Sequence[Row],
    calibrations: Sequence[Calibration],
    curves: Sequence[Curve],
) -> dict[str, Any]:
    facts = {
        "model": {"hash": artefact.hash, "family": artefact.family, "version": artefact.version},
        "good": {"file": str(args.good), "showers": good.n},
        "seed": args.seed,
        "incident energies known": int(np.isfinite(good.e_inc).sum()),
        "calibration on": "every image" if args.images else "the showers",
        "anomalies": [{**asdict(row), "one_shower": row.one_shower} for row in rows],
        "calibration": [asdict(row) for row in calibrations],
        "windows": [{**asdict(curve), "needed": curve.needed} for curve in curves],
    }
    plain: dict[str, Any] = _plain(facts)
    return plain


def _plain(value: Any) -> Any:
    """Return JSON values: keys as text, what is not finite as null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
