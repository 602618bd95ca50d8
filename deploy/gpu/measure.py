"""Take every figure of a GPU in one call: `python deploy/gpu/measure.py --out figures.json`.

Whether the card says what the CPU says, and how many showers a second it scores: from showers in
memory to p-values (end to end), and from features on the card to raw scores (resident), at batches
from 256 to 65,536; eagerly, as a CUDA graph, and compiled. Where there is no card it runs to its end
on the CPU and says so. With its defaults it takes less than eight minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from consumers.app import settings
from models.scoring.artefact import Artefact
from models.scoring.examiner import Examiner
from models.showers import readers, shipped

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from models.flows.interface import Features
    from models.scoring.scored import Scored
    from models.scoring.scorer import Scorer
    from models.showers.batch import Showers

BATCHES = (256, 1024, 4096, 16_384, 65_536)
AGREE = {"scores": 1e-3, "p": 1e-3}
"""How far a card may be from the CPU: of scores, in their deviations, and of p-values, nine showers
in ten thousand aside, for which a rounding crosses the edge of a bin."""

SIDE = 8192
"""Of the square matrices whose product is the peak of a card."""


def main(argv: list[str] | None = None) -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artefact", type=Path, default=settings.ARTEFACT, metavar="DIR")
    parser.add_argument("--data", type=Path, default=shipped.DEMO, metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="figures, JSON")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES, metavar="N")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each figure")
    parser.add_argument("--side", type=int, default=SIDE, help="of the matrices for the peak")
    args = parser.parse_args(argv)
    card = torch.cuda.is_available()
    if not card:
        print("no card here: the same on the CPU, which says nothing about a GPU", file=sys.stderr)
    where = torch.device("cuda" if card else "cpu")
    artefact = Artefact.load(args.artefact)
    pool = readers.read(args.data, artefact.geometry)
    agreed = agreement(artefact, pool, where)
    peak = peaks(where, args.side, args.seconds)
    kept = [resident(artefact, pool, n, args.seconds, where) for n in args.batches]
    for one in kept:
        operations = one["eager_per_s"] * one["flops_a_shower"]
        one["share_of_peak"] = operations / 1e12 / peak["float32"]
    told: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if card else "cpu: no card here",
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "model": artefact.hash,
        "threads": torch.get_num_threads(),
        "agreement": agreed,
        "peak_tflops": peak,
        "end_to_end": [
            end_to_end(artefact.scorer(where.type), repeated(pool, n), args.seconds, where)
            for n in args.batches
        ],
        "resident": kept,
    }
    args.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return 0 if agreed["agrees"] else 1


def repeated(pool: Showers, n: int) -> Showers:
    """Return n showers: those of the pool, over and over."""
    return pool[np.arange(n) % pool.n]


def agreement(artefact: Artefact, pool: Showers, where: torch.device) -> dict[str, Any]:
    """Return how far device and CPU are from one another, and the device from itself."""
    cpu, card = artefact.scorer("cpu"), artefact.scorer(where.type)
    ours, theirs = cpu.score(pool), card.score(pool)
    valid = ours.valid & theirs.valid
    apart = np.abs(ours.scores[valid] - theirs.scores[valid]).max(axis=1)
    p_apart = np.abs(ours.p[valid] - theirs.p[valid]).max(axis=1)
    largest = {"scores": apart, "p": p_apart}
    order = np.random.default_rng(1).permutation(pool.n)
    again = [card.score(pool[order[i : i + 333]]) for i in range(0, pool.n, 333)]
    back = np.argsort(order)
    return {
        "showers": pool.n,
        "valid_differ": int((ours.valid != theirs.valid).sum()),
        "largest": {name: float(one.max()) for name, one in largest.items()},
        "at_0.9991": {name: float(np.quantile(one, 0.9991)) for name, one in largest.items()},
        "same_bits_in_other_batches": _same(theirs, again, back),
        "agrees": bool(
            (ours.valid == theirs.valid).all()
            and all(np.quantile(largest[name], 0.9991) <= AGREE[name] for name in AGREE)
        ),
    }


def _same(whole: Scored, parts: list[Scored], back: np.ndarray[Any, Any]) -> bool:
    columns = ("scores", "p", "latents")
    together = {c: np.concatenate([getattr(p, c) for p in parts])[back] for c in columns}
    return all(np.array_equal(getattr(whole, c), together[c], equal_nan=True) for c in columns)


def peaks(where: torch.device, side: int, seconds: float) -> dict[str, float]:
    """Return what square products reach, in 10¹² operations a second, by how numbers are held."""
    found = {}
    for name, dtype, tf32 in (
        ("float32", torch.float32, False),
        ("tf32", torch.float32, True),
        ("bfloat16", torch.bfloat16, False),
    ):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        a, b = (torch.randn(side, side, device=where, dtype=dtype) for _ in range(2))
        found[name] = 2 * side**3 * rate(partial(torch.matmul, a, b), seconds / 2, where) / 1e12
    torch.backends.cuda.matmul.allow_tf32 = False
    return found


def end_to_end(
    scorer: Scorer, showers: Showers, seconds: float, where: torch.device
) -> dict[str, Any]:
    """Return showers a second from energies in memory to scores and p-values there."""
    _forget_peak(where)
    calls = rate(lambda: scorer.score(showers), seconds, where)
    return {"batch": showers.n, "per_s": calls * showers.n, "memory_mib": _peak_mib(where)}


def resident(
    artefact: Artefact, pool: Showers, n: int, seconds: float, where: torch.device
) -> dict[str, Any]:
    """Return showers a second from features on the device to raw scores on it."""
    examine = Examiner(artefact.feature_map, artefact.flow, artefact.geometry, where)
    showers = repeated(pool, n)
    features, _ = examine.feature_map(showers)
    there = features.to(where)
    lit = examine.raw_scores.lit(showers.cells, np.full(n, 0.5)).to(where)

    def program(seen: Features) -> Tensor:
        draws = None if seen.sparse is None else seen.sparse.draws
        return examine.raw_scores(examine.evaluate(seen), lit, draws)

    _forget_peak(where)
    told: dict[str, Any] = {
        "batch": n,
        "flops_a_shower": flops(examine, there),
        "eager_per_s": n * rate(lambda: program(there), seconds, where),
        "memory_mib": _peak_mib(where),
    }
    for name, make in (("graph", graphed), ("compiled", compiled)):
        try:
            call = make(program, there, where)
            told[f"{name}_per_s"] = n * rate(call, seconds, where)
        except Exception as error:  # noqa: BLE001  what cannot be compiled is told, and is no end
            told[f"{name}_per_s"], told[f"{name}_not"] = None, str(error).strip()[:300]
    artefact.flow.to("cpu")  # type: ignore[attr-defined]  # every flow is a module
    return told


def graphed(
    program: Callable[[Features], Tensor], there: Features, where: torch.device
) -> Callable[[], object]:
    """Return the program as a CUDA graph over the memory that the features lie in."""
    if where.type != "cuda":
        raise ValueError("no card here")
    beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(3):
            program(there)
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        program(there)
    return graph.replay


def compiled(
    program: Callable[[Features], Tensor], there: Features, where: torch.device
) -> Callable[[], object]:
    """Return the program compiled for features of this shape."""
    if where.type != "cuda":
        raise ValueError("no card here")
    faster = torch.compile(program, dynamic=False)
    expected, found = program(there).clone(), faster(there)
    if not torch.allclose(expected, found, rtol=1e-3, atol=1e-2):
        raise ValueError(f"off by up to {float((expected - found).abs().max()):g}")
    return lambda: faster(there)


def flops(examine: Examiner, there: Features) -> int:
    """Return the operations of the dense products of the flow for one shower."""
    from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415  takes a second

    with FlopCounterMode(display=False) as counter:
        examine.evaluate(there)
    return int(counter.get_total_flops()) // len(there.cells)


def rate(call: Callable[[], object], seconds: float, where: torch.device) -> float:
    """Return the calls a second, the device's work waited for; at least two are made."""
    call()
    _wait(where)
    began, calls = time.perf_counter(), 0
    while calls < 2 or time.perf_counter() - began < seconds:
        call()
        calls += 1
        if calls % 8 == 0:
            _wait(where)
    _wait(where)
    return calls / (time.perf_counter() - began)


def _wait(where: torch.device) -> None:
    if where.type == "cuda":
        torch.cuda.synchronize()


def _forget_peak(where: torch.device) -> None:
    if where.type == "cuda":
        torch.cuda.reset_peak_memory_stats()


def _peak_mib(where: torch.device) -> float | None:
    return torch.cuda.max_memory_allocated() / 2**20 if where.type == "cuda" else None


if __name__ == "__main__":
    sys.exit(main())
