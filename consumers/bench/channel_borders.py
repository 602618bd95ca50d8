"""Channel borders: whether p-values and the energy hold where the patch leaves the detector."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.app import environment, wiring
from consumers.bench.channel_stream import ENERGIES_MEV
from models.scoring.measures import rate
from models.scoring.response import LAYER_CLIP
from models.scoring.scales import LEVELS
from models.simulation.whole import anywhere, simulated_pool

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from models.detector.channels import Channels
    from models.scoring.artefact import Artefact
    from models.scoring.scored import Scored
    from models.scoring.scorer import Scorer
    from models.showers.batch import Showers
    from monitor.detector.tree import Detector

SHOWERS = 8_000
"""At each number of absent cells."""

GAIN = np.float32(0.9)
"""Of the channel at the centre, that the energy is seen to move by."""


def borders(artefact: Artefact, seed: int, detector: Detector) -> dict[str, Any]:
    """Return how many good showers have p at most each level, by the cells that they lack.

    Learnt: with what is expected without those cells, as a worker scores; taken as masked: with
    what is expected of whole showers.
    """
    channels = detector.channels
    if channels is None:
        raise ValueError("the detector has no channels")
    given = environment.load({})
    plain, learnt = artefact.scorer("cpu"), wiring.scorer_of(artefact, given, detector)
    rng = np.random.default_rng([seed, 11])
    pool = simulated_pool(channels, artefact.geometry, rng.uniform(*ENERGIES_MEV, SHOWERS), rng)
    whole = anywhere(channels, artefact.geometry, pool)
    every = np.flatnonzero(channels.may_seed).astype(np.uint32)
    absent = _absent(channels, every)
    rows = []
    for n in np.unique(absent).tolist():
        showers = whole.read(rng.choice(every[absent == n], SHOWERS), rng)
        hidden = channels.patches(_found(showers.seeds)) < 0
        kept = np.flatnonzero(hidden.sum(1) == n)
        showers, mask = showers[kept], hidden[kept] if n else None
        rows.append({
            "absent": n,
            "seeds": int((absent == n).sum()),
            "showers": showers.n,
            "learnt": _shares(learnt.score(showers, hidden=mask)),
            "as_masked": _shares(plain.score(showers, hidden=mask)),
            "energy": _energy(learnt, showers, mask, channels),
        })  # fmt: skip
    return {
        "detector": detector.name,
        "channels": len(channels),
        "sets": len(channels.absences),
        "learnt_from": _learnt_from(artefact, given.certified),
        "rows": rows,
    }


def _learnt_from(artefact: Artefact, certified: Path | None) -> str:
    if certified is not None:
        return str(certified)
    return "generated showers" if artefact.good is None else "showers of its certification"


def _found(seeds: NDArray[np.uint32] | None) -> NDArray[np.uint32]:
    if seeds is None:
        raise ValueError("showers of a detector of channels have seeds")
    return seeds


def _absent(channels: Channels, seeds: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return how many cells the patch of each seed lacks."""
    parts = np.array_split(seeds, max(1, len(seeds) // 8192))  # bounded memory
    return np.concatenate([(channels.patches(some) < 0).sum(1) for some in parts])


def _shares(scored: Scored) -> dict[str, Any]:
    p = scored.p_combined[scored.valid]
    return {str(level): asdict(rate(int((p <= level).sum()), len(p))) for level in LEVELS}


def _energy(
    scorer: Scorer, showers: Showers, mask: NDArray[np.bool_] | None, channels: Channels
) -> dict[str, float]:
    """Return mean and variance of the response's latent, and how a lower gain moves it, in sigma."""
    centre = channels.patches(_found(showers.seeds)) == _found(showers.seeds)[:, None]
    low = replace(showers, cells=np.where(centre, showers.cells * GAIN, showers.cells))
    good, moved = (_response(scorer, each, mask) for each in (showers, low))
    both = np.isfinite(good) & np.isfinite(moved)
    return {
        "mean": float(good[both].mean()),
        "variance": float(good[both].var()),
        "shift": float((moved - good)[both].mean()),
    }


def _response(
    scorer: Scorer, showers: Showers, mask: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """Return the standardised response of each shower, clipped as in sums by channel, shape (N,)."""
    scored, reference = scorer.score(showers, hidden=mask), scorer.reference
    cell, at = scored.condition_cell, showers.cells.shape[1]
    off = scored.latents[:, at] - reference.latent_mean[cell, at]
    standard: NDArray[np.float64] = off / np.sqrt(reference.latent_var[cell, at])
    return np.clip(standard, -LAYER_CLIP, LAYER_CLIP)
