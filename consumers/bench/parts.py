"""Parts of what a shower costs, without a broker: the scorer beside its products, tally and judge.

CPU time of one thread. What is compared is measured turn and turn about; medians of five are told.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from consumers.app import engines, environment, wiring
from consumers.cli.commands.demo import SOURCE
from models.scoring.examiner import SCORED_AT_ONCE
from models.showers import readers
from models.showers.pool import clean
from monitor.detector.tree import grid
from monitor.judging.selftest import self_testing
from monitor.judging.settings import MonitorSettings
from monitor.windows.tally import tally
from monitor.windows.window import WindowKey

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from models.flows.interface import Flow
    from models.scoring.artefact import Artefact
    from models.scoring.scorer import Scorer
    from models.showers.batch import Showers
    from monitor.windows.window import Window

REPEATS = 5
SHOWERS = 4096
REGIONS = (16, 4096)
"""Among which the showers of a tally are."""

SECTORS, REGIONS_A_SECTOR = 8, 8
"""Of the detector that is judged."""

RATE_HZ = 1000
WARM_S, JUDGED_S = 12, 60
"""Data time that the judge has seen before it is measured, and while it is, s."""

START_S = 1_700_000_000
"""Data time of the beginning, s since 1970 UTC."""

_PRODUCTS = ("mm", "matmul", "linear", "einsum")
_MULTIPLY = (torch.ops.aten.matmul, torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.addmm_)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm bench parts`."""
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="figures, JSON")


def run(args: argparse.Namespace) -> int:
    """Measure and write."""
    artefact = wiring.artefact_of(environment.from_arguments(args))
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    told = {"cores": os.cpu_count(), "load": round(load, 1), **measured(artefact)}
    args.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return 0


def measured(
    artefact: Artefact, showers: int = SHOWERS, seconds: tuple[int, int] = (WARM_S, JUDGED_S)
) -> dict[str, Any]:
    """Return µs of a shower in the scorer and the tally, and ms of a data-second in the judge."""
    draws, scorer = _Draws(artefact), artefact.scorer("cpu")
    drawn = draws.showers(showers)
    scored = scorer.score(drawn)
    work: dict[str, Callable[[], object]] = {
        "whole_products": whole_products(artefact.flow, showers),
        "products": products(scorer, drawn),
        "scorer": lambda: scorer.score(drawn),
    }
    if (other := _compiled(artefact)) is not None:
        work["compiled_scorer"] = lambda: other.score(drawn)
    for n in REGIONS:
        region = draws.rng.integers(n, size=showers)
        work[f"tally_{n}"] = lambda region=region: tally(  # type: ignore[misc]
            WindowKey(1, 1, START_S), drawn, scored, region,
            geometry=artefact.geometry, shape=scorer.shape,
        )  # fmt: skip
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(REPEATS):
        for name, do in work.items():
            times[name].append(_cpu_s(do))
    us = {name: round(1e6 * statistics.median(found) / showers, 2) for name, found in times.items()}
    return {
        "showers": showers,
        "us": us,
        **{
            f"{one}_over_{of}": round(us[one] / us[of], 2)
            for one in ("scorer", "compiled_scorer")
            for of in ("whole_products", "products")
            if one in us
        },
        "judged_regions": SECTORS * REGIONS_A_SECTOR,
        "judged_hz": RATE_HZ,
        "judge_ms": round(judge_ms(artefact, draws.windows(scorer, sum(seconds)), seconds[0]), 2),
    }


def _compiled(artefact: Artefact) -> Scorer | None:
    """Return a scorer with a compiled program; None where there can be none."""
    scorer = artefact.scorer("cpu")
    try:
        scorer.examine.compiled = engines.compiled(artefact, scorer.examine)
    except (OSError, RuntimeError, ValueError):
        return None
    return scorer


def whole_products(flow: Flow, showers: int) -> Callable[[], None]:
    """Return what multiplies the matrices of a flow, zeros of masked layers too, as it scores."""
    layers = [layer for layer in flow.modules() if isinstance(layer, nn.Linear)]  # type: ignore[attr-defined]
    at_once = SCORED_AT_ONCE["cpu"]
    made = [
        (torch.randn(one.out_features, one.in_features), torch.randn(one.in_features, at_once))
        for _ in range(0, showers, at_once)
        for one in layers
    ]
    return _multiplied(made)


def products(scorer: Scorer, showers: Showers) -> Callable[[], None]:
    """Return what multiplies matrices of the shapes that scoring some showers multiplies, alone."""
    noted = _Noted()
    with noted:
        scorer.score(showers)
    return _multiplied([(torch.randn(a), torch.randn(b)) for a, b in noted.shapes])


def _multiplied(made: list[tuple[Tensor, Tensor]]) -> Callable[[], None]:
    out = [torch.empty(a.shape[0], b.shape[1]) for a, b in made]

    def multiply() -> None:
        for (a, b), there in zip(made, out, strict=True):
            torch.mm(a, b, out=there)

    return multiply


def judge_ms(artefact: Artefact, windows: Iterator[Window], warm: int) -> float:
    """Return ms of CPU time that a data-second costs the judge, itself tested, on the mean.

    Parameters
    ----------
    warm
        Windows that come before those that are measured.
    """
    settings = MonitorSettings(model=artefact.hash, score_names=artefact.score_names)
    detector = grid("bench", SECTORS, REGIONS_A_SECTOR)
    monitor = self_testing(detector, artefact.geometry, artefact.reference, settings)
    times = [_cpu_s(lambda window=window: monitor.observe(window)) for window in windows]  # type: ignore[misc]
    return 1e3 * statistics.fmean(times[warm:])


class _Draws:
    """Good showers, drawn as the detector reads them."""

    def __init__(self, artefact: Artefact) -> None:
        self.rng = np.random.default_rng(1)
        self._geometry = artefact.geometry
        self._pool = clean(readers.read(SOURCE, artefact.geometry))

    def showers(self, n: int) -> Showers:
        """Return n showers."""
        index = self.rng.integers(self._pool.n, size=n)
        return self._pool.draw(index, self._geometry, self.rng, ())

    def windows(self, scorer: Scorer, seconds: int) -> Iterator[Window]:
        """Yield the windows of good data in all regions."""
        regions = SECTORS * REGIONS_A_SECTOR
        for second in range(seconds):
            drawn = self.showers(RATE_HZ)
            region = self.rng.integers(regions, size=RATE_HZ)
            yield tally(
                WindowKey(1, 1, START_S + second), drawn, scorer.score(drawn), region,
                geometry=self._geometry, shape=scorer.shape,
            )  # fmt: skip


class _Noted(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the shapes of all products of matrices."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if func.overloadpacket not in _MULTIPLY and any(word in name for word in _PRODUCTS):
            raise NotImplementedError(f"{name}: a product of matrices that is not counted")
        if func.overloadpacket in _MULTIPLY:
            a, b = args[-2:]
            self.shapes.append((tuple(a.shape), tuple(b.shape)))
        return func(*args, **(kwargs or {}))


def _cpu_s(do: Callable[[], object]) -> float:
    began = time.thread_time()
    do()
    return time.thread_time() - began
