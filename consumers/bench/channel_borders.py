"""Channel borders: whether p-values hold where the patch leaves the detector."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.app import environment, wiring
from consumers.bench.channel_stream import ENERGIES_MEV
from models.scoring.measures import rate
from models.scoring.scales import LEVELS
from models.simulation.whole import anywhere, simulated_pool

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.channels import Channels
    from models.scoring.artefact import Artefact
    from models.scoring.scored import Scored
    from monitor.detector.tree import Detector

SHOWERS = 8_000
"""At each number of absent cells."""


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
        })  # fmt: skip
    return {
        "detector": detector.name,
        "channels": len(channels),
        "sets": len(channels.absences),
        "learnt_from": "generated showers" if given.certified is None else str(given.certified),
        "rows": rows,
    }


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
