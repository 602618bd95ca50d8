"""Recipe: from good showers to an artefact: features, flow, scores, certified reference, card."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from . import artefact, evaluation, features, reference, scores, training
from .caloflow import CaloFlow, configure
from .flux import Flux, FluxConfig
from .scales import LEVELS
from .scorer import Examiner
from .showers import Showers, concatenate
from .training import Options, Pool, Session, TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .artefact import Artefact
    from .flow import Flow
    from .geometry import Geometry


@dataclass(frozen=True)
class Recipe:
    """All choices of a training; with the same data it gives the same artefact."""

    version: str = "1"
    family: str = "flux"
    options: Options = field(default_factory=Options)
    held_out: float = 0.06
    """Share of the showers that training is stopped on."""

    certify: float = 0.25
    """Share of the showers that the reference is made of, if none are given for it; no training
    sees them."""

    draws: int = 2
    """Times that noise is drawn for each image of a clean shower of the reference."""

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
        if min(self.condition_cells, self.draws, self.group) < 1 or self.head < 0:
            raise TrainingError("condition_cells, draws and group must be >= 1, head >= 0")


def prepare(
    recipe: Recipe,
    pool: Pool,
    geometry: Geometry,
    session: Session,
    *,
    certify: Pool | None = None,
    start: Artefact | None = None,
    card: dict[str, Any] | None = None,
) -> Artefact:
    """Return the artefact that a recipe makes of a pool of good showers.

    Parameters
    ----------
    certify
        Good showers for the reference, which training must not see: those of the pool that are
        among them (the same incident energy, to the bit) are left out of it. If not given, a
        share of the pool is set aside.
    start
        A model whose weights training begins with, say of simulated showers where real ones are
        few. The features are fitted anew: what both populations share is their standard form.
    card
        What only the caller knows (files, programs), put into the model card.
    """
    train, held_out, certify = split(pool, recipe, certify)
    torch.manual_seed(recipe.options.seed)
    rng = np.random.default_rng([recipe.options.seed, 4])
    seen = train.draw(np.arange(train.n), geometry, rng, training.images(geometry, ()))
    feature_map = features.fit(seen, geometry, recipe.conditions)
    flow = new_flow(recipe, seen, geometry) if start is None else _copied(start, recipe, geometry)
    training.fit(flow, feature_map, geometry, train, held_out, recipe.options, session)
    examine = Examiner(feature_map, flow, geometry, session.device)
    score_map, table, figures = certified(recipe, examine, geometry, certify)
    facts = {
        "showers": {"train": train.n, "held_out": held_out.n, "certify": certify.n},
        "seed": recipe.options.seed,
        "flips": list(recipe.options.flips),
        **({} if start is None else {"started_from": start.hash}),
    }
    return artefact.make(
        geometry=geometry,
        feature_map=feature_map,
        flow=flow,
        score_map=score_map,
        reference=table,
        card={**facts, **(card or {}), "certified": figures},
        version=recipe.version,
    )


def examined(
    made: Artefact, good: Showers, strange: Mapping[str, Showers], device: str
) -> Artefact:
    """Return the artefact with a card that says what it is worth on showers it never met."""
    scorer = made.scorer(device)
    scored = scorer.score(good)
    names = (*made.score_names, "combined")
    p_good = np.column_stack([scored.p, scored.p_combined])
    figures: dict[str, Any] = {
        "showers": good.n,
        "nll": {name.removeprefix("nll_"): value for name, value in _mean_nll(made, good).items()},
        "latent_square": round(float(np.square(scored.latents, dtype=np.float64).mean()), 4),
        "exceedance": {
            str(row.cell): {
                str(level): round(found.value, 5) for level, found in row.achieved.items()
            }
            for row in evaluation.calibration(scored, made.reference.edges)
        },
    }
    for name, showers in strange.items():
        other = scorer.score(showers)
        p = np.column_stack([other.p, other.p_combined])
        found = [evaluation.separation(p_good[:, i], p[:, i]) for i in range(len(names))]
        figures[name] = {
            "showers": showers.n,
            "auc": {n: round(f.auc, 4) for n, f in zip(names, found, strict=True)},
            "tpr_at_fpr_0.01": {
                n: round(f.tpr[1e-2].value, 4) for n, f in zip(names, found, strict=True)
            },
        }
    return artefact.make(
        geometry=made.geometry,
        feature_map=made.feature_map,
        flow=made.flow,
        score_map=made.score_map,
        reference=made.reference,
        card={**made.card, "held_out": figures},
        version=made.version,
    )


def _mean_nll(made: Artefact, good: Showers) -> dict[str, float]:
    examine = Examiner(made.feature_map, made.flow, made.geometry, torch.device("cpu"))
    means = examine(good).raw[:, : len(made.flow.stages)].mean(axis=0, dtype=np.float64)
    return dict(zip(examine.score_names, means.round(3).tolist(), strict=False))


def split(pool: Pool, recipe: Recipe, certify: Pool | None) -> tuple[Pool, Pool, Pool]:
    """Return the showers to train on, to stop on and to certify with; none is in two."""
    if certify is not None:
        twins = np.isin(pool.showers.e_inc, certify.showers.e_inc)
        pool = pool[np.flatnonzero(~twins | np.isnan(pool.showers.e_inc))]
    order = np.random.default_rng([recipe.options.seed, 5]).permutation(pool.n)
    n_stop = round(pool.n * recipe.held_out)
    n_certify = round(pool.n * recipe.certify) if certify is None else 0
    stop, aside, train = np.split(order, [n_stop, n_stop + n_certify])
    return pool[train], pool[stop], pool[aside] if certify is None else certify


def new_flow(recipe: Recipe, showers: Showers, geometry: Geometry) -> Flow:
    """Return an untrained flow of the recipe's family; TrainingError if its options are unknown."""
    n_context = 1 + len(recipe.conditions)
    try:
        if recipe.family == "caloflow":
            return CaloFlow(configure(geometry, n_context, recipe.model))
        if recipe.family == "flux":
            group = _groups(showers.cells.mean(axis=0), recipe)
            shape = (geometry.n_cells, geometry.n_layers, n_context, group)
            return Flux(FluxConfig(*shape, **recipe.model))
    except (TypeError, ValueError) as error:
        raise TrainingError(f"model options of {recipe.family}: {error}") from None
    raise TrainingError(f"unknown family {recipe.family!r}: flux or caloflow")


def _copied(start: Artefact, recipe: Recipe, geometry: Geometry) -> Flow:
    """Return a flow with the weights of another model, which must be of this form."""
    shapes = [[layer.shape for layer in g.layers] for g in (start.geometry, geometry)]
    if shapes[0] != shapes[1] or start.feature_map.condition_names != recipe.conditions:
        raise TrainingError("the model to start from is of other cells or conditions")
    if start.family != recipe.family:
        raise TrainingError(f"the model to start from is a {start.family}, not a {recipe.family}")
    return deepcopy(start.flow)


def _groups(energy: NDArray[np.float32], recipe: Recipe) -> tuple[int, ...]:
    rank = np.argsort(np.argsort(-energy, kind="stable"), kind="stable")
    later = recipe.head + (rank - recipe.head) // recipe.group
    return tuple(int(g) for g in np.where(rank < recipe.head, rank, later))


def certified(
    recipe: Recipe, examine: Examiner, geometry: Geometry, pool: Pool
) -> tuple[scores.ScoreMap, reference.ReferenceTable, dict[str, Any]]:
    """Return the scores, standardised on good showers, their reference, and what the card says."""
    showers, index = population(pool, geometry, recipe)
    seen = examine(showers)
    score_map = scores.fit(examine.score_names, seen.raw, seen.condition)
    people = reference.Population(
        e_rec=seen.e_rec,
        scores=score_map(seen.raw, seen.condition),
        latents=seen.latents,
        cells=showers.cells,
        shower=index,
        weights=score_map.weights,
    )
    table = reference.build(people, geometry, recipe.condition_cells, "certified")
    figures = {
        "nll": {
            stage: round(float(seen.raw[:, i].mean(dtype=np.float64)), 3)
            for i, stage in enumerate(examine.stages)
        },
        # 1 for a model that fits: the cheapest guard against a wrong preprocessing.
        "latent_square": round(float(np.square(seen.latents, dtype=np.float64).mean()), 4),
        "condition_edges_mev": [round(float(e), 1) for e in table.edges[1:-1]],
        "effective_showers": table.n_ref.tolist(),
        "exceedance": {
            str(level): (table.count_counts[:, a] / table.n_ref).round(5).tolist()
            for a, level in enumerate(LEVELS)
        },
    }
    return score_map, table, figures


def population(pool: Pool, geometry: Geometry, recipe: Recipe) -> tuple[Showers, NDArray[np.int64]]:
    """Return every image of every shower of a pool, and which shower each row is an image of."""
    rng = np.random.default_rng([recipe.options.seed, 6])
    everything = np.arange(pool.n)
    clean = np.flatnonzero(pool.clean) if len(pool.clean) else everything[:0]
    batches, rows = [], []
    for image in training.images(geometry, recipe.options.flips):
        mirrored = replace(pool, showers=_mirrored(pool.showers, image))
        for draw in range(recipe.draws):
            index = everything if draw == 0 else clean
            batches.append(mirrored.draw(index, geometry, rng, (image,)))
            rows.append(index)
    return concatenate(batches), np.concatenate(rows)


def _mirrored(showers: Showers, image: NDArray[np.int64]) -> Showers:
    return Showers(showers.cells[:, image], showers.e_inc, showers.conditions)
