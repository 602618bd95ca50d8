"""Sparse cells: what a model sees, and whether it pages, where most cells of a shower are zero.

In units that add up, as many as there is time for: each draws other showers, trains a small model of
them, and lets it see good ones, faults and an hour of data. A classifier that is taught one of the
faults says how much of it the cells still hold.
"""

from __future__ import annotations

import resource
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from consumers.bench import sparse_sets, units_file
from consumers.bench.plan import START
from consumers.bench.resampling import pool, window
from consumers.bench.sparse_sheets import page
from consumers.bench.units_file import Task
from models.fitting import lessons
from models.fitting.certification import examiner
from models.fitting.lessons import ClassifierOptions, Teacher
from models.fitting.recipe import Recipe, prepare
from models.fitting.training import Options, Session
from models.scoring.fitness import misfits
from models.scoring.measures import separation
from models.showers.pool import Pool, clean
from models.showers.symmetries import Symmetry
from models.simulation.fault_form import parse
from monitor.detector.tree import grid
from monitor.judging.monitor import Monitor
from monitor.judging.settings import MonitorSettings
from monitor.quality.alarms import Alarm, Severity
from monitor.reference.live import LiveSettings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from consumers.bench.resampling import Pool as ScoredPool
    from consumers.bench.sparse_sets import Clean, SparseSet
    from consumers.bench.units_file import Unit
    from models.scoring.artefact import Artefact
    from models.scoring.measures import Separation
    from models.scoring.scored import Scored
    from models.showers.batch import Showers

EPOCHS, LESSONS = 10, 12
TAUGHT = "second photon 10 mm"
"""The fault that a classifier is taught, and asked about."""

HOUR = 3600
LIMIT_S = 120
"""A dead cell that is not paged by then is not found."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm bench sparse`."""
    parser.add_argument(
        "--only", nargs="+", choices=list(sparse_sets.sets()), default=None, metavar="SET",
        help=f"of {'; '.join(sparse_sets.sets())}",
    )  # fmt: skip
    units_file.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Make units of the set that there are fewest of, until time is over."""
    torch.set_num_threads(1)
    every = sparse_sets.sets()
    order = list(every)

    def following(done: list[Unit]) -> Task:
        made = Counter(unit["part"] for unit in done)
        part = min(args.only or order, key=lambda name: made[name])
        seed = 1 + made[part]
        said = {"part": part, "seed": seed}
        return Task(f"{part} #{seed}", said, lambda: measure(every[part], seed))

    def tables(done: list[Unit]) -> str:
        return page(sorted(done, key=lambda unit: order.index(unit["part"])))

    units_file.fill(args, following, tables)
    return 0


def measure(wanted: SparseSet, seed: int) -> dict[str, Any]:
    """Return what came of one set."""
    geometry, rng = wanted.geometry, np.random.default_rng([seed, 31])
    showers = wanted.make(geometry, rng)
    began = time.process_time()
    made = prepare(
        _recipe(seed),
        clean(showers.learnt),
        geometry,
        Session(),
        certify=clean(showers.certified),
    )
    trained = time.process_time() - began
    good = sparse_sets.read_out(showers.good, geometry, rng)
    scorer = made.scorer("cpu")
    began = time.process_time()
    scored = scorer.score(good)
    each_us = (time.process_time() - began) / good.n * 1e6
    told: dict[str, Any] = {
        "cells": geometry.n_cells,
        "zero": round(float((good.cells == 0).mean()), 4),
        "train_s": round(trained, 1),
        "score_us": round(each_us),
        "misfits": [str(one) for one in misfits(made)],
        "fit": _fit(made, scored),
    }
    strange = dict(sparse_sets.faulty(showers, geometry, good, rng))
    pions = sparse_sets.pi0(geometry)
    if pions is not None:
        strange["pi0"] = pions
    seen = {name: scorer.score(some) for name, some in strange.items()}
    told["power"] = {
        name: _figures(separation(_p(scored), _p(some))) for name, some in seen.items()
    }
    if TAUGHT in strange:
        told["taught"] = _taught(made, showers, good, strange, seed)
    pools = [
        pool(some, said, geometry, made.reference.n_cells)
        for some, said in ((good, scored), (strange["dead core cell"], seen["dead core cell"]))
    ]
    told["hour"] = _hour(wanted, made, pools[0], pools[1], HOUR, rng)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**told, "artefact": made.hash, "peak_mib": round(peak)}


def _recipe(seed: int) -> Recipe:
    return Recipe(
        version="sparse",
        options=Options(epochs=EPOCHS, seed=seed, flips=("x", "y")),
        condition_cells=5,
        draws=1,
        model={"hidden": (128,), "latents": 8, "coder_hidden": 48},
    )


def _p(scored: Scored) -> Any:
    return scored.p_combined[scored.valid]


def _figures(found: Separation) -> dict[str, Any]:
    cut = found.tpr[1e-2]
    return {"auc": round(found.auc, 4), "k": cut.k, "n": cut.n}


def _fit(made: Artefact, scored: Scored) -> dict[str, Any]:
    """Return how well a model fits showers that it has not met."""
    ok = scored.valid
    z = scored.latents[ok, : made.geometry.n_cells].astype(np.float64)
    square = np.square(z).mean(axis=0)
    losses = {
        phase: round(loss["held_out"] - loss["train"], 3)
        for phase, loss in made.card["losses"].items()
    }
    return {
        "good": int(ok.sum()),
        "unknown": int((~ok).sum()),
        "beyond": {str(a): int((scored.p_combined[ok] <= a).sum()) for a in (0.1, 0.01)},
        "square": round(float(square.mean()), 4),
        "largest_square": round(float(square.max()), 3),
        "held_out_above": losses,
    }


def _taught(
    made: Artefact, showers: Clean, good: Showers, strange: Mapping[str, Showers], seed: int
) -> dict[str, Any]:
    """Return what a classifier sees of the fault that it is taught: a bound from below of all.

    The fault is injected into clean showers, which are read out afterwards, as those are that it is
    asked about.
    """
    geometry, examine = made.geometry, examiner(made)
    rng = np.random.default_rng([seed, 32])
    silent = sparse_sets.quiet(geometry)

    def see(some: Showers) -> Any:
        return examine.view(sparse_sets.read_out(some, geometry, rng))

    fault = f"second:mm={sparse_sets.SECOND_MM[0]}"
    images = Symmetry.of_card(made.card).images(geometry)
    teacher = Teacher(silent, see, (parse(fault),), images)
    options = ClassifierOptions((fault,), epochs=LESSONS, patience=4)
    learnt, held_out = _apart(showers.learnt)
    known = lessons.fit(teacher, learnt, held_out, options, seed, Session())

    def odds(some: Showers) -> Any:
        with torch.no_grad():
            return known(*examine.view(some)).numpy().astype(np.float64)

    few = good[slice(0, sparse_sets.STRUCK * 2)]
    names = [f"second photon {mm} mm" for mm in sparse_sets.SECOND_MM]
    calm = -odds(few)
    return {name: _figures(separation(calm, -odds(strange[name]))) for name in names}


def _apart(learnt: Showers) -> tuple[Pool, Pool]:
    rows, held_out = np.arange(learnt.n), learnt.n // 10
    return clean(learnt[rows[held_out:]]), clean(learnt[rows[:held_out]])


def _hour(
    wanted: SparseSet,
    made: Artefact,
    good: ScoredPool,
    dead: ScoredPool,
    seconds: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Return the alarms of an hour of good data, and how soon a dead cell is paged after it."""
    settings = MonitorSettings(live=LiveSettings(enabled=False))
    judge = Monitor(grid("calo", 2, wanted.regions // 2), made.geometry, made.reference, settings)
    even = np.full(wanted.regions, wanted.rate / wanted.regions)
    alarms: dict[str, Alarm] = {}
    for t in range(seconds):
        said = judge.observe(window(rng, START + t, [(good, even)]))
        alarms |= {one.id: one for one in said if isinstance(one, Alarm)}
    pages = sum(alarm.severity is Severity.PAGE for alarm in alarms.values())
    told = {
        "seconds": seconds,
        "showers_per_s": wanted.rate,
        "regions": wanted.regions,
        "pages": pages,
        "warnings": len(alarms) - pages,
        "said": [alarm.text for alarm in alarms.values()],
    }
    struck = np.zeros(wanted.regions)
    struck[1], even[1] = even[1], 0.0
    for t in range(LIMIT_S):
        said = judge.observe(window(rng, START + seconds + t, [(good, even), (dead, struck)]))
        found = [one for one in said if isinstance(one, Alarm) and one.id not in alarms]
        if any(one.severity is Severity.PAGE for one in found):
            return {**told, "dead_after_s": t + 1, "dead": found[0].text}
    return {**told, "dead_after_s": None}
