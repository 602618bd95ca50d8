"""Rivals of the scorer: what a user would otherwise score single showers with, on the same ones.

- *zuko by hand*: the same trained flow by zuko's own `log_prob`, in batches of a torch DataLoader.
- *HalfSpaceTrees* of river: trees of random cuts, one shower at a time, of cells between 0 and 1.
- *ECOD* of PyOD: tails of the empirical distribution of each cell.

The last two learn from the showers that the flow was trained on, and see cells that are standardised.
alibi-detect's online MMD cannot be installed beside NumPy 2 (its newest release asks for less).
"""

from __future__ import annotations

import importlib.util
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from consumers.app import settings
from consumers.cli import inputs
from consumers.wire.user_error import UserError
from models.scoring.measures import separation
from models.showers import readers, shipped
from models.simulation import injection
from models.studies import evaluation

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

    from models.scoring.artefact import Artefact
    from models.showers.batch import Showers

BATCH = 4096
BY_HAND = 256
FAULTS = (
    "dead core cell",
    "gain +5 %",
    "gain +10 %",
    "second photon 10 mm",
    "second photon 20 mm",
    "noise × 2 in a layer",
)
"""Of those that every evaluation injects."""

NOT_HERE = {
    "alibi-detect online MMD": "asks for NumPy below 2, which nothing here runs with: not measured"
}


class Rival(Protocol):
    """A way to score showers."""

    def score(self, showers: Showers) -> NDArray[np.float64]:
        """Return how strange each shower is, shape (N,): the larger, the stranger."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm bench rivals`."""
    parser.add_argument("--data", type=Path, default=shipped.PB_LAR, metavar="DIR")
    parser.add_argument("--good", type=int, default=2000, metavar="N", help="showers of each kind")
    parser.add_argument("--learn", type=int, default=4000, metavar="N", help="that rivals learn of")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="figures, JSON")


def run(args: argparse.Namespace) -> int:
    """Measure and write."""
    torch.set_num_threads(1)
    missing = [name for name in ("river", "pyod") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"{' and '.join(missing)} are missing: pip install 'calodqm[rivals]'")
    artefact = inputs.artefact(settings.ARTEFACT)
    learnt, good = (
        readers.read(args.data / f"{name}.h5", artefact.geometry)[slice(0, n)]
        for name, n in (("gamma_train", args.learn), ("gamma_test", args.good))
    )
    told = measure(rivals(artefact, learnt, args.seed), good, artefact, args.seed)
    facts = {
        "model": artefact.hash,
        "good showers": good.n,
        "learnt from": learnt.n,
        "seed": args.seed,
        "not here": NOT_HERE,
    }
    args.out.write_text(json.dumps(facts | {"rivals": told}, indent=1) + "\n", encoding="utf-8")
    return 0


def rivals(artefact: Artefact, learnt: Showers, seed: int) -> dict[str, Rival]:
    """Return all of them by name, ours first."""
    standard = Standard.of(learnt)
    return {
        "calodqm": _Ours(artefact),
        "zuko and a DataLoader": _ByHand(artefact),
        "river HalfSpaceTrees": _Trees(standard, learnt, seed),
        "PyOD ECOD": _Tails(standard, learnt),
    }


def measure(
    rivals: dict[str, Rival], good: Showers, artefact: Artefact, seed: int
) -> dict[str, dict[str, Any]]:
    """Return how fast each scores, by its CPU time, and how well it tells faults from good showers.

    The rivals take turns over the same showers, so that what else the machine does meets all alike.
    """
    rng, region = np.random.default_rng(seed), np.zeros(good.n, np.uint16)
    wanted = evaluation.injected(artefact.geometry)
    sets = {"good": good} | {
        name: injection.apply(wanted[name], good, region, artefact.geometry, rng)
        for name in FAULTS
        if name in wanted
    }
    scores: dict[str, dict[str, NDArray[np.float64]]] = {name: {} for name in rivals}
    spent: dict[str, list[float]] = {name: [] for name in rivals}
    for kind, showers in sets.items():
        for name, rival in rivals.items():
            began = time.process_time()
            scores[name][kind] = rival.score(showers)
            spent[name].append(time.process_time() - began)
    return {
        name: {
            "showers_per_cpu_s": round(good.n / float(np.median(spent[name])), 1),
            "detection": {kind: _found(of["good"], of[kind]) for kind in sets if kind != "good"},
        }
        for name, of in scores.items()
    }


def _found(good: NDArray[np.float64], strange: NDArray[np.float64]) -> dict[str, float]:
    found = separation(-good, -strange)
    return {"auc": round(found.auc, 4), "tpr at 0.01": round(found.tpr[0.01].value, 4)}


@dataclass(frozen=True, eq=False)
class Standard:
    """Cells of mean 0 and deviation 1."""

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    @classmethod
    def of(cls, learnt: Showers) -> Standard:
        """Return what makes these standard."""
        return cls(learnt.cells.mean(axis=0), np.maximum(learnt.cells.std(axis=0), 1e-6))

    def __call__(self, showers: Showers) -> NDArray[np.float64]:
        """Return cells in standard form, shape (N, V)."""
        return ((showers.cells - self.mean) / self.scale).astype(np.float64)


class _Ours:
    """All of it: scores, p-values, latents; what cannot be scored is strangest."""

    def __init__(self, artefact: Artefact) -> None:
        self._scorer = artefact.scorer("cpu")

    def score(self, showers: Showers) -> NDArray[np.float64]:
        starts = range(0, showers.n, BATCH)
        p = [self._scorer.score(showers[slice(i, i + BATCH)]).p_combined for i in starts]
        return -np.nan_to_num(np.concatenate(p), nan=0.0)


class _ByHand:
    def __init__(self, artefact: Artefact) -> None:
        self._flow, self._map = artefact.flow, artefact.feature_map

    @torch.inference_mode()
    def score(self, showers: Showers) -> NDArray[np.float64]:
        rows: Any = torch.utils.data.DataLoader(range(showers.n), batch_size=BY_HAND)  # type: ignore[arg-type]
        found = [
            -self._flow.log_prob(self._map(showers[index.numpy()])[0]).sum(1) for index in rows
        ]
        return torch.cat(found).double().numpy()


class _Trees:
    """Cells between 0 and 1, as the trees want them; learnt from good showers, then only asked."""

    def __init__(self, standard: Standard, learnt: Showers, seed: int) -> None:
        from river.anomaly import HalfSpaceTrees  # noqa: PLC0415  an extra

        self._standard = standard
        self._trees = HalfSpaceTrees(n_trees=25, height=8, window_size=250, seed=seed)
        for cells in self._unit(learnt):
            self._trees.learn_one(cells)

    def _unit(self, showers: Showers) -> list[dict[int, float]]:
        share = 1 / (1 + np.exp(-np.clip(self._standard(showers), -30, 30)))
        return [dict(enumerate(row)) for row in share.tolist()]

    def score(self, showers: Showers) -> NDArray[np.float64]:
        return np.array([self._trees.score_one(cells) for cells in self._unit(showers)])


class _Tails:
    def __init__(self, standard: Standard, learnt: Showers) -> None:
        from pyod.models.ecod import ECOD  # noqa: PLC0415  an extra

        self._standard = standard
        self._tails = ECOD(n_jobs=1)
        self._tails.fit(standard(learnt))

    def score(self, showers: Showers) -> NDArray[np.float64]:
        return np.asarray(self._tails.decision_function(self._standard(showers)), np.float64)
