"""Mutability: whether a shower belongs to the population that a model generates at its conditions.

After Fanelli, Giroux and Papandreou, arXiv:2204.08609: a reference is generated dynamically and
clustered by HDBSCAN; an object that belongs to no cluster of it is an outlier. The outlier score
is GLOSH (Campello, Moulavi, Zimek and Sander, ACM TKDD 10 (2015) 5, definition 8).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import hdbscan
import numpy as np
import torch
from scipy.stats import spearmanr

from models.fitting.certification import examiner
from models.fitting.generation import generate
from models.scoring.condition_cells import inner_edges
from models.scoring.measures import auc
from models.showers.batch import concatenate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.scoring.artefact import Artefact
    from models.scoring.scorer import Examiner
    from models.showers.batch import Showers

MIN_SAMPLES = 10
"""Neighbours that a density is estimated with."""

MIN_CLUSTER = 15
"""Fewer points are no cluster."""

GENERATED, OWN, CELLS = 5000, 500, 10
"""Showers that a comparison generates, of them an object's own reference, and condition cells."""


@dataclass(frozen=True, eq=False)
class Mutability:
    """Generated showers as points, whitened; the reference that objects are held against.

    The space is that of the scores, compressed by asinh: in the cells or in all latents themselves
    distances say nothing any more, and in unwhitened features clustering is far worse.
    """

    examine: Examiner
    artefact: Artefact
    centre: NDArray[np.float64]
    """Mean of the compressed scores, shape (S,)."""

    whiten: NDArray[np.float64]
    """Makes their covariance the identity, shape (S, S)."""

    points: NDArray[np.float64]
    """Generated showers, by rising energy, shape (R, S)."""

    condition: NDArray[np.float64]
    """Their reconstructed energies, MeV, rising, shape (R,)."""

    def embed(self, showers: Showers) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return points (N, S) and reconstructed energies, MeV (N,), of showers."""
        compressed, e_rec = _compressed(self.examine, self.artefact, showers)
        points: NDArray[np.float64] = (compressed - self.centre) @ self.whiten
        return points, e_rec

    def own_reference(self, e_rec: float, n: int) -> NDArray[np.float64]:
        """Return the n generated showers that are nearest in condition, shape (n, S)."""
        place = int(np.searchsorted(self.condition, e_rec))
        start = min(max(place - n // 2, 0), len(self.points) - n)
        own: NDArray[np.float64] = self.points[start : start + n]
        return own

    def refit(self, showers: Showers, n: int = 500) -> NDArray[np.float64]:
        """Return the outlier score of each shower, in [0, 1]: HDBSCAN fitted anew with each.

        This is the method of the paper, and the yardstick of `Clustered`; tens of milliseconds a
        shower.
        """
        return self.refit_of(*self.embed(showers), n)

    def refit_of(
        self, points: NDArray[np.float64], e_rec: NDArray[np.float64], n: int
    ) -> NDArray[np.float64]:
        """Return the outlier score of each embedded shower by `refit`."""
        scores = [
            _cluster(np.vstack([distinct(self.own_reference(e, n)), point])).outlier_scores_[-1]
            for point, e in zip(points, e_rec, strict=True)
        ]
        outlier: NDArray[np.float64] = np.nan_to_num(np.array(scores), nan=1.0)
        return outlier

    def clustered(self, n_cells: int, device: torch.device | None = None) -> Clustered:
        """Return the fast form: the reference of each of `n_cells` condition cells, clustered once."""
        edges = inner_edges(self.condition, n_cells)
        cell = np.searchsorted(edges, self.condition, side="right")
        where = device or torch.device("cpu")
        cells = tuple(_Cell.fit(self.points[cell == k], where) for k in range(len(edges) + 1))
        return Clustered(self, edges, cells)


def fit(artefact: Artefact, seen: Showers, n: int, seed: int) -> Mutability:
    """Return the mutability of n showers generated at the conditions of seen ones."""
    showers = generate(artefact, seen, n, seed)
    examine = examiner(artefact)
    compressed, e_rec = _compressed(examine, artefact, showers)
    order = np.argsort(e_rec)
    centre = compressed.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(compressed.T))
    whiten = vectors / np.sqrt(np.maximum(values, 1e-9))
    points = ((compressed - centre) @ whiten)[order]
    return Mutability(examine, artefact, centre, whiten, points, e_rec[order])


def _compressed(
    examine: Examiner, artefact: Artefact, showers: Showers
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    seen = examine(showers)
    scores = artefact.score_map(seen.raw, seen.energy).astype(np.float64)
    return np.arcsinh(np.nan_to_num(scores, nan=1e6, posinf=1e6, neginf=-1e6)), seen.e_rec


def _cluster(points: NDArray[np.float64]) -> hdbscan.HDBSCAN:
    return hdbscan.HDBSCAN(
        min_cluster_size=MIN_CLUSTER,
        min_samples=MIN_SAMPLES,
        allow_single_cluster=True,
        core_dist_n_jobs=1,
    ).fit(points)


def distinct(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points without those that are there already.

    Identical ones have an infinite density, beside which all others are outliers.
    """
    once: NDArray[np.float64] = np.unique(points, axis=0)
    return once


@dataclass(frozen=True, slots=True)
class _Cell:
    """The cluster tree of one reference, as arrays that points are dropped into."""

    points: torch.Tensor
    """Shape (R, S)."""

    core: torch.Tensor
    """Distance to the MIN_SAMPLES-th neighbour beside itself, as HDBSCAN takes it; shape (R,)."""

    parent: torch.Tensor
    """Cluster from which each point falls out, shape (R,)."""

    above: torch.Tensor
    """Parent of each cluster, its own if it is the root, shape (clusters,)."""

    birth: torch.Tensor
    """Density 1/distance at which each cluster splits off, shape (clusters,)."""

    death: torch.Tensor
    """Largest density at which the cluster or one below it still holds a point, (clusters,)."""

    @classmethod
    def fit(cls, points: NDArray[np.float64], device: torch.device) -> _Cell:
        points = distinct(points)
        tree = _cluster(points).condensed_tree_.to_numpy()
        n = len(points)
        is_point = tree["child"] < n
        n_clusters = int(tree["parent"].max()) - n + 1
        parent = np.zeros(n, np.int64)
        parent[tree["child"][is_point]] = tree["parent"][is_point] - n
        above, birth, death = (
            np.zeros(n_clusters, np.int64),
            np.zeros(n_clusters),
            np.zeros(n_clusters),
        )
        inner = tree[~is_point]
        above[inner["child"] - n] = inner["parent"] - n
        birth[inner["child"] - n] = inner["lambda_val"]
        np.maximum.at(death, tree["parent"] - n, tree["lambda_val"])
        for cluster in range(n_clusters - 1, 0, -1):  # children are numbered after their parents
            death[above[cluster]] = max(death[above[cluster]], death[cluster])
        x = torch.from_numpy(points).to(device)
        core = torch.cdist(x, x).topk(MIN_SAMPLES + 1, largest=False).values[:, -1]
        arrays = (torch.from_numpy(a).to(device) for a in (parent, above, birth, death))
        return cls(x, core, *arrays)

    @torch.inference_mode()
    def outlier(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return GLOSH of points as if each alone had been clustered with the reference, (N,)."""
        x = torch.from_numpy(points).to(self.points.device)
        distance = torch.cdist(x, self.points)
        own = distance.topk(MIN_SAMPLES, largest=False).values[:, -1:]
        reach = torch.maximum(torch.maximum(distance, own), self.core)
        nearest = reach.min(dim=1)
        density = 1 / nearest.values.clamp(min=1e-12)
        cluster = self.parent[nearest.indices]
        while bool((self.birth[cluster] > density).any()):
            cluster = torch.where(self.birth[cluster] > density, self.above[cluster], cluster)
        outlier: NDArray[np.float64] = (1 - density / self.death[cluster]).clamp(0, 1).cpu().numpy()
        return outlier


@dataclass(frozen=True, eq=False)
class Clustered:
    """The fast form: one nearest neighbour in mutual reachability instead of a refit.

    A point joins the tree where its nearest neighbour in mutual reachability is. That it would
    itself change the tree is neglected.
    """

    mutability: Mutability
    edges: NDArray[np.float64]
    """Inner edges of the condition cells, MeV."""

    cells: tuple[_Cell, ...]

    def outlier(self, showers: Showers) -> NDArray[np.float64]:
        """Return the outlier score of each shower, in [0, 1]."""
        points, e_rec = self.mutability.embed(showers)
        return self.outlier_of(points, e_rec)

    def outlier_of(
        self, points: NDArray[np.float64], e_rec: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the outlier score of embedded showers."""
        cell = np.searchsorted(self.edges, e_rec, side="right")
        scores = np.zeros(len(points))
        for k in np.unique(cell):
            scores[cell == k] = self.cells[k].outlier(points[cell == k])
        return scores


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the fast form says beside the refit of the paper, on the same objects."""

    objects: int
    rank_correlation: float
    """Spearman's, of the outlier scores."""

    auc_refit: float
    auc_fast: float
    refit_us: float
    """Cost an object, µs, without the scores that both start from."""

    fast_us: float


def agreement(artefact: Artefact, good: Showers, strange: Showers, seed: int) -> Agreement:
    """Return how well the two forms agree on good and strange showers."""
    fitted = fit(artefact, good, GENERATED, seed)
    fast = fitted.clustered(CELLS)
    objects = concatenate([good, strange])
    points, e_rec = fitted.embed(objects)
    began = time.perf_counter()
    by_refit = fitted.refit_of(points, e_rec, OWN)
    halfway = time.perf_counter()
    by_tree = fast.outlier_of(points, e_rec)
    ended = time.perf_counter()
    return Agreement(
        objects=objects.n,
        rank_correlation=float(spearmanr(by_refit, by_tree).statistic),
        auc_refit=auc(-by_refit[: good.n], -by_refit[good.n :]),
        auc_fast=auc(-by_tree[: good.n], -by_tree[good.n :]),
        refit_us=(halfway - began) / objects.n * 1e6,
        fast_us=(ended - halfway) / objects.n * 1e6,
    )
