"""Recipe: from good showers to an artefact: features, flow, scores, certified reference, card."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from . import artefact, caloflow, features, reference, scores, training
from .caloflow import CaloFlow
from .flux import Flux, FluxConfig
from .scales import LEVELS
from .scorer import Examiner
from .showers import Showers, concatenate
from .training import Options, Pool, TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from .artefact import Artefact
    from .flow import Flow
    from .geometry import Geometry
    from .training import Progress


@dataclass(frozen=True)
class Recipe:
    """All choices of a training; with the same data it gives the same artefact."""

    version: str = "1"
    family: str = "flux"
    options: Options = field(default_factory=Options)
    held_out: float = 0.06
    """Share of the showers that training is stopped on."""

    certify: float = 0.25
    """Share of the showers that the reference is made of; no training sees them."""

    condition_cells: int = 6
    conditions: tuple[str, ...] = ()
    """Further conditions by name."""

    model: dict[str, Any] = field(default_factory=dict)
    """Options of the family: see `FluxConfig` and `CaloFlowConfig`."""

    head: int = 24
    """Cells with most energy that get a place of their own in the autoregressive order."""

    group: int = 8
    """Cells that share a place, after those."""

    def __post_init__(self) -> None:
        if not (0 < self.held_out < 1 and 0 < self.certify < 1 > self.held_out + self.certify):
            raise TrainingError("held_out and certify must be shares that leave some for training")
        if self.condition_cells < 1 or self.head < 0 or self.group < 1:
            raise TrainingError("condition_cells and group must be >= 1, head >= 0")


def prepare(
    recipe: Recipe,
    pool: Pool,
    geometry: Geometry,
    *,
    device: torch.device,
    progress: Callable[[Progress], None],
    checkpoint: Path | None = None,
    card: dict[str, Any] | None = None,
) -> Artefact:
    """Return the artefact that a recipe makes of a pool of good showers.

    Parameters
    ----------
    card
        What only the caller knows (files, programs), put into the model card.
    """
    train, held_out, certify = split(pool, recipe)
    torch.manual_seed(recipe.options.seed)
    rng = np.random.default_rng([recipe.options.seed, 4])
    seen = train.draw(np.arange(train.n), geometry, rng, training.images(geometry, ()))
    feature_map = features.fit(seen, geometry, recipe.conditions)
    flow = new_flow(recipe, seen, geometry)
    training.fit(
        flow,
        feature_map,
        geometry,
        train,
        held_out,
        recipe.options,
        device=device,
        progress=progress,
        checkpoint=checkpoint,
    )
    made = certified(recipe, flow, feature_map, geometry, certify, device)
    facts = {
        "showers": {"train": train.n, "held_out": held_out.n, "certify": certify.n},
        "seed": recipe.options.seed,
        "flips": list(recipe.options.flips),
        **(card or {}),
    }
    return artefact.make(**{**made, "card": {**facts, **made["card"]}}, version=recipe.version)


def split(pool: Pool, recipe: Recipe) -> tuple[Pool, Pool, Pool]:
    """Return the showers to train on, to stop on and to certify with; none is in two."""
    order = np.random.default_rng([recipe.options.seed, 5]).permutation(pool.n)
    n_stop, n_certify = round(pool.n * recipe.held_out), round(pool.n * recipe.certify)
    stop, certify, train = np.split(order, [n_stop, n_stop + n_certify])
    return pool[train], pool[stop], pool[certify]


def new_flow(recipe: Recipe, showers: Showers, geometry: Geometry) -> Flow:
    """Return an untrained flow of the recipe's family."""
    n_context = 1 + len(recipe.conditions)
    if recipe.family == "caloflow":
        return CaloFlow(caloflow.configure(geometry, n_context, recipe.model))
    if recipe.family != "flux":
        raise TrainingError(f"unknown family {recipe.family!r}")
    group = _groups(showers.cells.mean(axis=0), recipe)
    return Flux(FluxConfig(geometry.n_cells, geometry.n_layers, n_context, group, **recipe.model))


def _groups(energy: NDArray[np.float32], recipe: Recipe) -> tuple[int, ...]:
    rank = np.argsort(np.argsort(-energy, kind="stable"), kind="stable")
    later = recipe.head + (rank - recipe.head) // recipe.group
    return tuple(int(g) for g in np.where(rank < recipe.head, rank, later))


def certified(
    recipe: Recipe,
    flow: Flow,
    feature_map: features.FeatureMap,
    geometry: Geometry,
    pool: Pool,
    device: torch.device,
) -> dict[str, Any]:
    """Return the parts of an artefact: the flow, scores standardised and a certified reference."""
    examine = Examiner(feature_map, flow, geometry, device)
    showers, index = population(pool, geometry, recipe.options)
    raw, latents, condition, e_rec = examine(showers)
    names = scores.names(flow.stages, residuals=flow.reconstructs)
    score_map = scores.fit(names, raw, condition)
    table = reference.build(
        reference.Population(e_rec, score_map(raw, condition), latents, showers.cells, index),
        geometry,
        recipe.condition_cells,
        "certified",
    )
    n_stages = len(flow.stages)
    figures = {
        "nll": {s: float(raw[:, i].mean()) for i, s in enumerate(flow.stages[:n_stages])},
        "latent_square": float(np.square(latents, dtype=np.float64).mean()),
        "latent_mean_abs_max": float(np.abs(table.latent_mean).max()),
        "exceedance": {
            str(level): [
                round(float(k / n), 6)
                for k, n in zip(table.count_counts[:, a], table.n_ref, strict=True)
            ]
            for a, level in enumerate(LEVELS)
        },
        "condition_edges_mev": [round(float(e), 1) for e in table.edges[1:-1]],
    }
    return {
        "geometry": geometry,
        "feature_map": feature_map,
        "flow": flow,
        "score_map": score_map,
        "reference": table,
        "card": {"certified": figures},
    }


def population(
    pool: Pool, geometry: Geometry, options: Options
) -> tuple[Showers, NDArray[np.int64]]:
    """Return every image of every shower of a pool, and which shower each is an image of."""
    rng = np.random.default_rng([options.seed, 6])
    everything = np.arange(pool.n)
    batches = [
        pool.draw(everything, geometry, rng, (image,))
        if i == 0
        else _image(pool, everything, geometry, rng, image)
        for i, image in enumerate(training.images(geometry, options.flips))
    ]
    return concatenate(batches), np.tile(everything, len(batches))


def _image(
    pool: Pool,
    index: NDArray[np.int64],
    geometry: Geometry,
    rng: np.random.Generator,
    image: NDArray[np.int64],
) -> Showers:
    flipped = replace(pool, showers=_flip(pool.showers, image))
    return flipped.draw(index, geometry, rng, (image,))


def _flip(showers: Showers, image: NDArray[np.int64]) -> Showers:
    return Showers(showers.cells[:, image], showers.e_inc, showers.conditions)
