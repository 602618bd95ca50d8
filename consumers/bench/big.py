"""Big detectors: time and memory to train, certify, apply and evaluate models of very many cells.

Cells as in the CaloChallenge's data sets 2 and 3: 45 polar layers, 6,480 and 40,500 cells, mostly
empty; and 504 in 28 layers, a third of them empty. The showers are drawn from a mean shape: what they
cost is that of real ones, what a model of them is worth is not asked. Every step is a command of its
own, in a process of its own: its largest memory is its own, and all that it loads is in its time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from consumers.cli import inputs
from consumers.wire.user_error import UserError
from models.detector.geometry import Geometry, Layer
from models.scoring.fitness import Unfitness
from models.showers.batch import Showers

if TYPE_CHECKING:
    import argparse

RINGS = {504: (28, 6, 3), 6480: (45, 16, 9), 40_500: (45, 50, 18)}
"""Layers, angles and radii of each, by the cells of all."""

DEPOSITS = 2000
"""Of a shower, at most one cell each."""

LEAST = 1000
"""Showers that the recipe takes."""

CERTIFIED, SCORED = 400, 256
RECIPE = """
version = "big"
held_out = 0.1
certify = 0.4
draws = 1
condition_cells = 2
head = 8
group = {group}

[options]
epochs = 1
batch = 64
seed = {seed}

[model]
hidden = [64]
coder_hidden = 32
latents = 4
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm bench big`."""
    parser.add_argument(
        "--cells", type=int, nargs="+", choices=sorted(RINGS), default=sorted(RINGS)
    )
    parser.add_argument("--learn", type=int, default=1200, metavar="N", help="showers of each size")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="figures, JSON")


def run(args: argparse.Namespace) -> int:
    """Measure each size, and write."""
    if args.learn < LEAST:
        raise UserError(f"{args.learn} showers are too few: give {LEAST} or more")
    sizes = []
    for cells in args.cells:
        with TemporaryDirectory() as folder:
            sizes.append(measure(Path(folder), RINGS[cells], args.learn, args.seed))
        args.out.write_text(json.dumps({"sizes": sizes}, indent=1) + "\n", encoding="utf-8")
    return 0


def geometry(layers: int, angles: int, radii: int) -> Geometry:
    """Return polar layers, one behind the other."""
    edges = tuple(5.0 * r for r in range(radii + 1))
    placed = (
        Layer(f"l{i}", (angles, radii), (5.0, 5.0), (4.0 * i, 4.0 * (i + 1)), edges)
        for i in range(layers)
    )
    return Geometry(f"big-{layers * angles * radii}", tuple(placed), noise_mev=0.0)


def showers(geometry: Geometry, n: int, rng: np.random.Generator) -> Showers:
    """Return showers of 1 to 1,000 GeV: deposits drawn from a shape of depth and radius."""
    where = geometry.centres
    depth, radius = where[:, 2] / where[:, 2].max(), np.hypot(where[:, 0], where[:, 1])
    shape = depth**2 * np.exp(-8 * depth) * np.exp(-radius / 10)
    shape /= shape.sum()
    e_inc = np.exp(rng.uniform(np.log(1e3), np.log(1e6), n))
    cells = np.zeros((n, geometry.n_cells), np.float32)
    for row, energy in enumerate(e_inc):
        deposits = int(rng.integers(DEPOSITS // 4, DEPOSITS))
        hit = rng.choice(geometry.n_cells, deposits, p=shape)
        weight = rng.gamma(0.5, size=deposits)
        cells[row] = np.bincount(hit, energy * weight / weight.sum(), geometry.n_cells)
    return Showers(cells, e_inc.astype(np.float32))


def measure(folder: Path, rings: tuple[int, int, int], n: int, seed: int) -> dict[str, Any]:
    """Return time and memory of each command.

    Parameters
    ----------
    folder
        Where showers and models are put.
    """
    where, rng = geometry(*rings), np.random.default_rng(seed)
    seen = showers(where, n, rng)
    (folder / "cells.json").write_text(where.to_json(), encoding="utf-8")
    recipe = RECIPE.format(group=max(16, where.n_cells // 32), seed=seed)
    (folder / "recipe.toml").write_text(recipe, encoding="utf-8")
    _write(folder / "learn.parquet", seen)
    _write(folder / "certify.parquet", showers(where, CERTIFIED, rng))
    _write(folder / "score.parquet", showers(where, SCORED, rng))
    unfit = ["--despite", ",".join(Unfitness)]
    commands = {
        f"train: {n:,} showers, one epoch": [
            "train", "learn.parquet", "--geometry", "cells.json", "--config", "recipe.toml",
            "--out", "model", "--threads", "1", *unfit,
        ],
        f"reference certify: {CERTIFIED}": [
            "reference", "certify", "certify.parquet", "--artefact", "model", "--out", "other",
            *unfit,
        ],
        f"apply: {SCORED}": ["apply", "score.parquet", "--artefact", "model", "--out", "p.parquet"],
        f"evaluate: {SCORED}, and its faults": [
            "evaluate", "--artefact", "model", "--good", "score.parquet", "--no-windows",
        ],
    }  # fmt: skip
    steps = {name: _timed(words, folder) for name, words in commands.items()}
    made = inputs.artefact(folder / "model")
    return {
        "cells": where.n_cells,
        "showers": n,
        "weights": sum(w.numel() for w in made.flow.parameters()),  # type: ignore[attr-defined]
        "unlit cells": round(float((seen.cells == 0).mean()), 3),
        "steps": steps,
    }


def _write(path: Path, seen: Showers) -> None:
    cells = pa.FixedSizeListArray.from_arrays(pa.array(seen.cells.ravel()), seen.cells.shape[1])
    table = pa.table({"showers": cells, "incident_energies": pa.array(seen.e_inc)})
    parquet.write_table(table, path, row_group_size=256)


def _timed(words: list[str], folder: Path) -> dict[str, Any]:
    """Return seconds and the largest memory of a command that runs on one thread."""
    once = {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    began = time.monotonic()
    with (folder / "said").open("w+", encoding="utf-8") as said:
        process = subprocess.Popen(  # noqa: S603  ours
            [sys.executable, "-m", "consumers", *words],
            cwd=folder, env={**os.environ, **once}, stdout=said, stderr=said,
        )  # fmt: skip
        # Unlike `wait`, it tells what this one process took.
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            lines = [line for line in said.read().splitlines() if line.strip()]
            told = (
                lines[-1] if lines and process.returncode > 0 else f"ended by {process.returncode}"
            )
            raise UserError(f"{words[0]}: {told}")
    return {
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "wall_s": round(time.monotonic() - began, 1),
        "peak_mib": round(used.ru_maxrss / 1024),
    }
