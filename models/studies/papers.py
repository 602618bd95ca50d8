"""Papers: the questions of the two seed papers, asked of a model on other showers.

Krause, Nachman, Pang, Shih and Zhu, arXiv:2312.11618: how well does the density of good showers see
two photons, against energy and opening angle, and beside a supervised classifier? Fanelli, Giroux
and Papandreou, arXiv:2204.08609: how well do quantile cuts on a reference that is generated at an
object's conditions keep good showers and reject others?
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from models.fitting import recipe as recipes
from models.fitting.generation import generate
from models.fitting.lessons import ClassifierOptions
from models.scoring.classifier import NAME
from models.scoring.measures import Rate, rate, separation
from models.simulation import injection
from models.simulation.fault_form import parse
from models.studies import evaluation, mutability
from models.studies.evaluation import Trial, compare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.fitting.recipe import Recipe
    from models.fitting.training import Session
    from models.scoring.artefact import Artefact
    from models.scoring.measures import Separation
    from models.showers.batch import Showers
    from models.showers.pool import Pool
    from models.studies.evaluation import Row

SEPARATIONS_MM = (5, 10, 20, 40, 80)
"""Distances of two photons at the front face."""

QUANTILES = (0.5, 0.8, 0.9, 0.95, 0.99)
"""Of the generated reference, at which objects are cut."""

NEAR, FAR = "second:mm=10,x=0.5", "second:mm=40,x=0.5"
"""What classifiers are taught: a pair that is hardly resolved, and one that is."""


def pairs(artefact: Artefact, good: Showers, seed: int) -> dict[str, Showers]:
    """Return good showers turned into two photons of half the energy, by their distance."""
    rng = np.random.default_rng(seed)
    region = np.zeros(good.n, np.uint16)
    return {
        f"{mm} mm": injection.apply(
            parse(f"second:mm={mm},x=0.5"), good, region, artefact.geometry, rng
        )
        for mm in SEPARATIONS_MM
    }


@dataclass(frozen=True)
class Compared:
    """What scores see of each kind of strange shower; the good ones are the same for all."""

    rows: tuple[Row, ...]
    edges_mev: NDArray[np.float64]
    """Of the condition cells that `Row.bins` are of."""


def compared(artefact: Artefact, good: Showers, strange: Mapping[str, Showers]) -> Compared:
    """Return how a model sees strange showers, in all and by energy."""
    rng = np.random.default_rng(0)
    scorer = artefact.scorer("cpu")
    first, *others = evaluation.scorings(scorer, good, strange, {}, rng)
    n_cells = artefact.reference.n_cells
    rows = tuple(compare(first, trial, artefact.score_names, n_cells) for trial in others)
    return Compared(rows, artefact.reference.edges)


def taught(
    artefact: Artefact,
    recipe: Recipe,
    faults: tuple[str, ...],
    pools: tuple[Pool, Pool],
    session: Session,
) -> Artefact:
    """Return a model with a classifier that is taught some faults beside its own scores.

    Parameters
    ----------
    pools
        Showers to teach with, and for the reference.
    """
    train, certify = pools
    options = ClassifierOptions(faults, epochs=12, patience=4)
    wanted = replace(recipe, frozen=True, classifier=options)
    return recipes.prepare(
        wanted, train, artefact.geometry, session, certify=certify, start=artefact
    )


def three(made: Artefact, good: Trial, strange: Trial) -> dict[str, Separation]:
    """Return what the classifier sees, what the flow sees without it, and what both see."""
    names = made.score_names
    alone = names.index(NAME)
    row = compare(good, strange, names, made.reference.n_cells)
    rest = [i for i in range(len(names)) if i != alone]
    weights = made.score_map.weights[rest]
    p = [_harmonic(trial.scored.p[:, rest], weights) for trial in (good, strange)]
    ok = [trial.scored.valid for trial in (good, strange)]
    return {
        "supervised": row.scores[NAME],
        "unsupervised": separation(p[0][ok[0]], p[1][ok[1]]),
        "both": row.scores["combined"],
    }


def _harmonic(p: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = weights.sum() / (weights / p).sum(axis=1)
    return mean


@dataclass(frozen=True, slots=True)
class Cut:
    """One quantile cut on the generated reference."""

    quantile: float
    kept: Rate
    """Good showers within the cut: the quantile itself, if the model generates what is good."""

    rejected: Mapping[str, Rate]
    """Strange showers beyond it."""


def quantile_cuts(
    artefact: Artefact, good: Showers, strange: Mapping[str, Showers], n: int, seed: int
) -> tuple[Cut, ...]:
    """Return what cuts at quantiles of a generated reference keep and reject.

    An object's outlier score in the clusters of n generated showers is held against the scores of
    the `mutability.OWN` generated showers, of n others, that are nearest to it in energy.
    """
    fitted = mutability.fit(artefact, good, n, seed)
    clustered = fitted.clustered(mutability.CELLS)
    points, energy = fitted.embed(generate(artefact, good, n, seed + 1))
    order = np.argsort(energy)
    energy, reference = energy[order], clustered.outlier_of(points, energy)[order]

    def levels(showers: Showers) -> NDArray[np.float64]:
        """Return the share of its own reference that each shower is stranger than, (N,)."""
        where, at = fitted.embed(showers)
        outlier = clustered.outlier_of(where, at)
        own = min(mutability.OWN, n)
        start = np.clip(np.searchsorted(energy, at) - own // 2, 0, n - own)
        below = [
            np.mean(reference[s : s + own] < one) for s, one in zip(start, outlier, strict=True)
        ]
        return np.array(below)

    kept = levels(good)
    others = {name: levels(showers) for name, showers in strange.items()}
    return tuple(
        Cut(
            q,
            rate(int((kept <= q).sum()), len(kept)),
            {name: rate(int((found > q).sum()), len(found)) for name, found in others.items()},
        )
        for q in QUANTILES
    )
