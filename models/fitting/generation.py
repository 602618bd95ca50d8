"""Generation: showers drawn from a model at the conditions of the showers that are seen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from models.fitting.certification import examiner
from models.flows.cell_energies import inverse
from models.flows.polynomials import basis
from models.scoring.artefact import signed
from models.scoring.population import Population, build
from models.showers.batch import Showers, concatenate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.scoring.artefact import Artefact
    from models.scoring.reference import ReferenceTable

BATCH = 512
"""Showers generated at a time."""


def generate(artefact: Artefact, seen: Showers, n: int, seed: int) -> Showers:
    """Return n generated showers, digitised, at conditions drawn from those of seen showers.

    Parameters
    ----------
    seen
        At least one shower; the conditions are drawn from theirs with replacement.
    seed
        The same seed gives the same showers.
    """
    if seen.n == 0:
        raise ValueError("no showers to take conditions from")
    if artefact.feature_map.condition_names:
        raise ValueError("generated references are for models of the energy alone")
    rng = np.random.default_rng(seed)
    rows = rng.integers(seen.n, size=n)
    features, _ = artefact.feature_map(seen)
    conditions = features.conditions[torch.from_numpy(rows)]
    generator = torch.Generator().manual_seed(seed)
    return concatenate(list(_batches(artefact, conditions, generator)))


def like_reference(artefact: Artefact, n: int, seed: int) -> Showers:
    """Return n generated showers, digitised, at energies as those of the reference.

    They are even in the log energy within each of its condition cells, which hold equally many.

    Raises
    ------
    ValueError
        If the model has further conditions: of these the reference says nothing.
    """
    feature_map, edges = artefact.feature_map, artefact.reference.edges
    if feature_map.condition_names:
        raise ValueError("showers can be generated at energies alone")
    inner = (np.log(edges[1:-1]) - feature_map.scale[0, 0]) / feature_map.scale[1, 0]
    low, high = feature_map.limits[:, 0]
    ends = np.clip([low, *inner, high], low, high)
    share = np.random.default_rng(seed).uniform(0, len(ends) - 1, n)
    at = np.interp(share, np.arange(len(ends)), ends).astype(np.float32)
    generator = torch.Generator().manual_seed(seed)
    return concatenate(list(_batches(artefact, torch.from_numpy(at[:, None]), generator)))


def anywhere(artefact: Artefact, n: int, seed: int) -> Showers:
    """Return n generated showers, at energies and conditions anywhere in those of training."""
    of, rng = artefact.feature_map, np.random.default_rng(seed)
    low, high = of.limits
    at = rng.uniform(low, high, (n, of.n_context)).astype(np.float32)
    generator = torch.Generator().manual_seed(seed)
    made = concatenate(list(_batches(artefact, torch.from_numpy(at), generator)))
    others = (at * of.scale[1] + of.scale[0])[:, 1:].astype(np.float32).T
    return replace(made, conditions=dict(zip(of.condition_names, others, strict=True)))


def _batches(
    artefact: Artefact, conditions: torch.Tensor, generator: torch.Generator
) -> Iterator[Showers]:
    feature_map, step = artefact.feature_map, artefact.geometry.least_count_mev
    for part in torch.split(conditions, BATCH):
        drawn = artefact.flow.sample(part, generator, feature_map.floor(part))
        cells = inverse(feature_map, drawn.cells, part)
        if drawn.sparse is not None:
            cells[(drawn.sparse.draws[:, -cells.shape[1] :] < 1).numpy()] = 0
        if step > 0:
            cells = (np.rint(cells / step) * step).astype(np.float32)
        if not feature_map.knows_response:
            yield Showers(cells, np.full(len(cells), np.nan, np.float32))
            continue
        e_rec = feature_map.e_rec(cells)
        # The response is N(0, 1) by construction: this incident energy gives the one drawn.
        at = basis(part[:, 0].numpy())
        mean, log_scale = at @ feature_map.layer_mean[:, 0], at @ feature_map.layer_log_scale[:, 0]
        response = mean + drawn.layers[:, 0].numpy() * np.exp(log_scale)
        yield Showers(cells, (e_rec / np.exp(response)).astype(np.float32))


def generated_reference(
    artefact: Artefact, seen: Showers, n: int, seed: int, n_cells: int
) -> ReferenceTable:
    """Return the reference that a model generates itself at the conditions of seen showers.

    For a cold start without certified data of these conditions. It knows as much of good showers
    as the model does: where the model is wrong, so is every expectation.

    Parameters
    ----------
    n_cells
        Condition cells of the reference.
    """
    showers = generate(artefact, seen, n, seed)
    drawn = examiner(artefact)(showers)
    people = Population(
        e_rec=drawn.e_rec,
        scores=artefact.score_map(drawn.raw, drawn.energy),
        latents=drawn.latents,
        cells=showers.cells,
        shower=np.arange(showers.n),
        weights=artefact.score_map.both_weights,
        conditions=drawn.conditions,
        response=drawn.response,
    )
    return build(people, artefact.geometry, n_cells, "generated")


def with_generated_reference(
    artefact: Artefact, seen: Showers, n: int, seed: int, n_cells: int
) -> Artefact:
    """Return the same model with the reference that it generates; see `generated_reference`."""
    table = generated_reference(artefact, seen, n, seed, n_cells)
    dropped = {"certified", "certified_with", "held_out", "despite"}
    facts = {name: value for name, value in artefact.card.items() if name not in dropped}
    card = {**facts, "generated": {"showers": n, "seed": seed, "conditions_of": seen.n}}
    return signed(replace(artefact, reference=table, card=card))
