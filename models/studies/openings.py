"""Openings: how well pions are told from photons, by how far apart their photons are.

Beside the flows a classifier that is taught pions: what a good one sees is in the cells, and what
the flows miss of it could be had.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch

from models.fitting import lessons
from models.fitting.certification import examiner
from models.fitting.lessons import ClassifierOptions, Lesson
from models.scoring.measures import Rate, auc, rate
from models.showers.batch import concatenate
from models.showers.pool import digitise
from models.showers.symmetries import Symmetry
from models.simulation.pions import decays, pions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from models.fitting.training import Session
    from models.scoring.artefact import Artefact
    from models.scoring.classifier import Classifier
    from models.scoring.examiner import Examiner
    from models.showers.batch import Showers
    from models.showers.pool import Pool
    from models.showers.symmetries import Image

FPR = 1e-2
OPENINGS_MM = (0, 25, 35, 50, 100, 200, np.inf)
"""Edges of the distances at the front face."""

ENERGIES_MEV = (0, 3e3, 6e3, 1e4, 1.5e4, np.inf)
"""Edges of the energies, where nobody knows the distance."""


@dataclass(frozen=True, slots=True, eq=False)
class PionTeacher(lessons.Teacher):
    """Teaches photons and, of the same energies, pions that are made of them."""

    def lesson(self, pool: Pool, rng: np.random.Generator) -> Lesson:
        """Return every photon of a pool of clean ones, and as many pions."""
        good = pool.draw(rng.permutation(pool.n), self.geometry, rng, self.images)
        strange = read(made_of(pool.showers, pool.showers.e_inc, self.geometry, rng)[1],
                       self.geometry, rng)  # fmt: skip
        features, latents = self.see(concatenate([good, strange]))
        return Lesson(features, latents, (torch.arange(2 * good.n) >= good.n).to(latents))


def made_of(
    photons: Showers, e_inc: NDArray[np.floating], geometry: Geometry, rng: np.random.Generator
) -> tuple[NDArray[np.float64], Showers]:
    """Return pions of some energies, made of clean photons, and how far apart theirs are, mm."""
    found = decays(e_inc, rng)
    return found.opening_mm, pions(found, photons, geometry, rng)


def read(clean: Showers, geometry: Geometry, rng: np.random.Generator) -> Showers:
    """Return showers as the detector reads them."""
    return type(clean)(digitise(clean.cells, geometry, rng), clean.e_inc)


def taught(
    made: Artefact, learnt: Pool, held_out: Pool, options: ClassifierOptions, session: Session
) -> Judge:
    """Return what a classifier beside a model says after it was taught pions."""
    examine = examiner(made)
    images: tuple[Image, ...] = Symmetry.of_card(made.card).images(made.geometry)
    teacher = PionTeacher(made.geometry, examine.view, (), images)
    return Judge(examine, lessons.fit(teacher, learnt, held_out, options, 1, session))


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """Tells pions from photons; smaller is more like a pion."""

    examine: Examiner
    known: Classifier

    def __call__(self, showers: Showers) -> NDArray[np.float64]:
        """Return minus the log odds of each shower, shape (N,)."""
        with torch.no_grad():
            odds = self.known(*self.examine.view(showers))
        less: NDArray[np.float64] = -odds.cpu().numpy().astype(np.float64)
        return less


@dataclass(frozen=True, slots=True)
class Opened:
    """What one score sees in each bin, the cut taken from all good showers."""

    auc: float
    whole: Rate
    bins: tuple[Rate, ...]


def opened(
    good: NDArray[np.float64],
    strange: NDArray[np.float64],
    where: NDArray[np.floating],
    edges: tuple[float, ...],
) -> Opened:
    """Return how many strange showers pass a cut that one good one in a hundred does.

    Parameters
    ----------
    where
        What the bins are of, shape (N,), for each strange shower.
    """
    allowed = int(FPR * len(good) + 1e-9)
    passed = strange < np.sort(good)[allowed]
    bins = []
    for low, high in pairwise(edges):
        mine = (where >= low) & (where < high)
        bins.append(rate(int(passed[mine].sum()), int(mine.sum())))
    return Opened(auc(good, strange), rate(int(passed.sum()), len(passed)), tuple(bins))


def by_score(
    good: Mapping[str, NDArray[np.float64]],
    strange: Mapping[str, NDArray[np.float64]],
    where: NDArray[np.floating],
    edges: tuple[float, ...],
) -> dict[str, Opened]:
    """Return the same for several scores by name."""
    return {name: opened(good[name], strange[name], where, edges) for name in good}
