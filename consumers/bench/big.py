"""Big detectors: time and memory to build, train, certify and score models of very many cells.

Cells as in the CaloChallenge's data sets 2 and 3: 45 polar layers, 6,480 and 40,500 cells, mostly
empty. The showers are drawn from a mean shape: what they cost is that of real ones, what a model of
them is worth is not asked. Each size has a process of its own, so that the largest memory is its own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from consumers.wire.user_error import UserError
from models.detector.geometry import Geometry, Layer
from models.fitting.recipe import Recipe, new_flow, prepare
from models.fitting.training import Options, Session
from models.flows import standards
from models.showers.batch import Showers
from models.showers.pool import Pool

if TYPE_CHECKING:
    import argparse

LAYERS = 45
RINGS = {6480: (16, 9), 40_500: (50, 18)}
"""Angles and radii of each layer, by the cells of all."""

DEPOSITS = 2000
"""Of a shower, at most one cell each."""

LEAST = 1000
"""Showers that the recipe takes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm bench big`."""
    parser.add_argument(
        "--cells", type=int, nargs="+", choices=sorted(RINGS), default=sorted(RINGS)
    )
    parser.add_argument("--learn", type=int, default=1200, metavar="N", help="showers of each size")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="figures, JSON")


def run(args: argparse.Namespace) -> int:
    """Measure each size in a process of its own, and write."""
    if args.learn < LEAST:
        raise UserError(f"{args.learn} showers are too few: give {LEAST} or more")
    sizes = []
    for cells in args.cells:
        words = [
            sys.executable,
            "-m",
            "consumers.bench.big",
            *map(str, (cells, args.learn, args.seed)),
        ]
        done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603  ours
        if done.returncode:
            raise UserError(f"{cells} cells: {done.stderr.strip().splitlines()[-1]}")
        sizes.append(json.loads(done.stdout))
        args.out.write_text(json.dumps({"sizes": sizes}, indent=1) + "\n", encoding="utf-8")
    return 0


def geometry(cells: int, angles: int, radii: int) -> Geometry:
    """Return polar layers, one behind the other."""
    edges = tuple(5.0 * r for r in range(radii + 1))
    layers = (
        Layer(f"l{i}", (angles, radii), (5.0, 5.0), (4.0 * i, 4.0 * (i + 1)), edges)
        for i in range(cells // (angles * radii))
    )
    return Geometry(f"big-{cells}", tuple(layers), noise_mev=0.0)


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


def measure(cells: int, rings: tuple[int, int], n: int, seed: int) -> dict[str, Any]:
    """Return seconds of CPU time of each step, and the largest memory after it, MiB."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    where = geometry(cells, *rings)
    seen = showers(where, n, rng)
    recipe = Recipe(
        version="big",
        options=Options(epochs=1, batch=64, seed=seed),
        held_out=0.1,
        certify=0.4,
        draws=1,
        condition_cells=2,
        model={"hidden": (64,), "coder_hidden": 32, "latents": 4},
        head=8,
        group=max(16, cells // 32),
    )
    told: dict[str, Any] = {"cells": cells, "showers": n, "model": dict(recipe.model), "steps": {}}

    def step(name: str, began: float) -> None:
        spent = round(time.process_time() - began, 2)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        told["steps"][name] = {"cpu_s": spent, "peak_mib": round(peak)}

    step("showers", 0.0)
    began = time.process_time()
    found = standards.fit(seen, where)
    step("features", began)
    began = time.process_time()
    flow = new_flow(recipe, seen, where, found.sparse)
    step("flow", began)
    told["weights"] = sum(w.numel() for w in flow.parameters())  # type: ignore[attr-defined]
    told["unlit cells"] = round(float((seen.cells == 0).mean()), 3)
    began = time.process_time()
    made = prepare(recipe, Pool(seen), where, Session())
    step("all of a training of one epoch", began)
    scorer = made.scorer("cpu")
    began = time.process_time()
    scorer.score(seen[slice(0, 256)])
    step("scoring 256 showers", began)
    return told


def main(argv: list[str]) -> int:
    """Measure one size and print what it gave."""
    cells, n, seed = map(int, argv)
    print(json.dumps(measure(cells, RINGS[cells], n, seed)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
