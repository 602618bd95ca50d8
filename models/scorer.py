"""Scorer: showers in, scores and p-values out; deterministic, whatever the batch and the worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from .features import keys, uniform
from .flow import Features
from .reference import BINS, bins, harmonic_mean
from .scored import Scored
from .scores import RawScores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .features import FeatureMap
    from .flow import Evidence, Flow
    from .geometry import Geometry
    from .reference import ReferenceTable
    from .scores import ScoreMap
    from .showers import Showers

CHUNK = 128
"""Showers evaluated at a time: what they need stays in the cache of a core."""


class Examiner:
    """What scoring needs before there is a reference: features, flow and raw scores."""

    def __init__(
        self, feature_map: FeatureMap, flow: Flow, geometry: Geometry, device: torch.device
    ) -> None:
        self.feature_map = feature_map
        self.device = device
        self.raw_scores = RawScores(geometry)
        self.evaluate = flow.compiled()
        self.n_latents = geometry.n_cells + geometry.n_layers

    def __call__(
        self, showers: Showers
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
        """Return raw scores (N, S), latents (N, D), condition (N,) and energies in MeV (N,)."""
        parts = [
            self._chunk(showers[slice(start, start + CHUNK)])
            for start in range(0, showers.n, CHUNK)
        ]
        raw, latents, condition, e_rec = (
            np.concatenate(column) for column in zip(*parts, strict=True)
        )
        return raw, latents, condition, e_rec

    def _chunk(
        self, showers: Showers
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
        features, e_rec = self.feature_map(showers)
        condition = features.context[:, 0].numpy()
        evidence: Evidence = self.evaluate(Features(*(part.to(self.device) for part in features)))
        tie = uniform(keys(showers), 2)[:, 1]
        raw = self.raw_scores(evidence, showers.cells, tie)
        return raw, evidence.latents.cpu().numpy(), condition, e_rec


class Scorer:
    """Scores batches of showers with one artefact."""

    def __init__(
        self,
        examiner: Examiner,
        score_map: ScoreMap,
        reference: ReferenceTable,
        geometry: Geometry,
        *,
        family: str,
        hash: str,  # noqa: A002  the artefact's own word
    ) -> None:
        self._examine = examiner
        self._score_map = score_map
        self.reference = reference
        self.geometry = geometry
        self.family = family
        self.hash = hash
        self.score_names = score_map.names

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return K condition cells, S scores, H bins: the shape of a window's score histogram."""
        return self.reference.n_cells, len(self.score_names), BINS

    def score(self, showers: Showers) -> Scored:
        """Return scores, p-values and latents of a batch of N >= 0 showers."""
        if showers.cells.shape[1] != self.geometry.n_cells:
            raise ValueError(
                f"{showers.cells.shape[1]} cells a shower; the model has {self.geometry.n_cells}"
            )
        if showers.n == 0:
            return self._empty()
        raw, latents, condition, e_rec = self._examine(showers)
        scores = self._score_map(raw, condition)
        valid = np.isfinite(scores).all(axis=1) & np.isfinite(latents).all(axis=1)
        cell = self.reference.condition_cell(e_rec)
        position = self.reference.position(np.where(valid[:, None], scores, 0.0), cell)
        p = self.reference.p_values(position, cell)
        combined = -np.log(harmonic_mean(p))[:, None]
        last = self.reference.n_scores
        p_combined = self.reference.p_values(
            self.reference.position(combined, cell, last), cell, last
        )[:, 0]
        if not valid.all():
            for array in (scores, latents, p):
                array[~valid] = np.nan
            p_combined[~valid] = np.nan
        return Scored(scores, p, p_combined, latents, cell, valid)

    def score_bins(self, scored: Scored) -> NDArray[np.int64]:
        """Return the bin of each score in the reference's histogram, shape (N, S); 0 if unscored."""
        scores = np.where(scored.valid[:, None], scored.scores, 0.0)
        return bins(self.reference.position(scores, scored.condition_cell))

    def _empty(self) -> Scored:
        s, d = len(self.score_names), self._examine.n_latents
        return Scored(
            np.zeros((0, s), np.float32),
            np.zeros((0, s)),
            np.zeros(0),
            np.zeros((0, d), np.float32),
            np.zeros(0, np.int64),
            np.zeros(0, np.bool_),
        )


def pick_device(name: str) -> torch.device:
    """Return the device of "auto", "cpu" or "cuda"; auto takes a GPU if there is one.

    Raises
    ------
    ValueError
        If the name is unknown, or a GPU is asked for where there is none.
    """
    if name not in {"auto", "cpu", "cuda"}:
        raise ValueError(f"unknown device {name!r}: auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("no CUDA device here: use --device auto or cpu")
    use_gpu = name == "cuda" or (name == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if use_gpu else "cpu")
