"""Certification: showers that somebody vouches for become the reference of a model."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from models.fitting.checkpoint import TrainingError
from models.fitting.whole_numbers import whole
from models.flows.outside import outside
from models.scoring import artefact, condition_cells, measures, scores
from models.scoring.condition_cells import inner_edges
from models.scoring.examiner import Examiner, Seen
from models.scoring.population import Population, build
from models.scoring.scales import LEVELS
from models.scoring.scorer import Scorer
from models.scoring.sums import Sums
from models.showers import compact
from models.showers.batch import Showers, concatenate
from models.showers.symmetries import Symmetry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from models.scoring.artefact import Artefact
    from models.scoring.reference import ReferenceTable
    from models.scoring.scored import Scored
    from models.showers.pool import Pool


OUTSIDE_MOST = 0.5
"""Showers to certify of which more than this share is outside of what the model knows are of
another detector or beam."""

AT_ONCE = 2048
"""Showers whose cells and latents are held at a time."""

FINER = 3
"""Parts of a condition cell in which the calibration is looked at."""

CHECKED = 6000
"""Showers that it is looked at with, at most."""


@dataclass(frozen=True, slots=True)
class CertificationOptions:
    """How a reference is made of the showers that somebody vouches for."""

    condition_cells: int = 6
    draws: int = 2
    """Times that noise is drawn for each image of a clean shower."""

    seed: int = 1
    symmetry: Symmetry = Symmetry()  # noqa: RUF009  it is frozen
    """Mirrors that the set-up is symmetric under: every shower is taken in every one."""

    def __post_init__(self) -> None:
        whole(self, "condition_cells", "draws", "seed")
        if min(self.condition_cells, self.draws) < 1 or self.seed < 0:
            raise TrainingError("condition_cells and draws must be >= 1 and the seed >= 0")


def examiner(made: Artefact) -> Examiner:
    """Return the part of a model's scoring that needs no reference, on the CPU."""
    cpu = torch.device("cpu")
    return Examiner(made.feature_map, made.flow, made.geometry, cpu, made.classifier)


def certified(
    options: CertificationOptions, examine: Examiner, geometry: Geometry, pool: Pool
) -> tuple[scores.ScoreMap, ReferenceTable, dict[str, Any]]:
    """Return the scores, standardised on good showers, their reference, and what the card says."""
    e_rec, known, rows = _energies(options, examine, geometry, pool)
    condition_cells.check(e_rec, rows, options.condition_cells)
    inner = inner_edges(e_rec[known], options.condition_cells)
    seen, index, sums, square = _summed(options, examine, geometry, pool, inner)
    score_map = scores.fit(examine.score_names, seen.raw, seen.energy)
    people = Population(
        e_rec=seen.e_rec,
        scores=score_map(seen.raw, seen.energy),
        latents=seen.latents,
        cells=np.zeros((0, geometry.n_cells), np.float32),
        shower=index,
        weights=score_map.both_weights,
        conditions=seen.conditions,
        response=seen.response,
    )
    table = build(people, geometry, sums.n_cells, "certified", sums=sums)
    figures = {
        "nll": {
            stage: round(float(seen.raw[:, i].mean(dtype=np.float64)), 3)
            for i, stage in enumerate(examine.stages)
        },
        # 1 for a model that fits: the cheapest guard against a wrong preprocessing.
        "latent_square": round(square, 4),
        "condition_edges_mev": [round(float(e), 1) for e in table.edges[1:-1]],
        "effective_showers": table.n_ref.tolist(),
        "exceedance": {
            str(level): (table.count_counts[:, a] / table.n_ref).round(5).tolist()
            for a, level in enumerate(LEVELS)
        },
        "by_energy": _by_energy(Scorer(examine, score_map, table, geometry), pool, options),
    }
    return score_map, table, figures


def _energies(
    options: CertificationOptions, examine: Examiner, geometry: Geometry, pool: Pool
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Return the energies of all images, which of them the model knows, and of which shower each is.

    They say where condition cells end, before anything else is known of the showers.
    """
    of_map = examine.feature_map
    e_rec, known, rows = [], [], []
    for showers, index in image_batches(pool, geometry, options, _rng(options)):
        rows.append(index)
        e_rec.append(of_map.e_rec(showers.cells))
        known.append(~outside(of_map, showers.e_inc, showers.conditions, e_rec[-1]))
    inside = np.concatenate(known)
    share = 1 - float(inside.mean())
    if share > OUTSIDE_MOST:
        raise TrainingError(
            f"{share:.0%} of the showers lie outside of the energies and conditions that the model "
            "was trained on: train it on such showers"
        )
    return np.concatenate(e_rec), inside, np.concatenate(rows)


def _summed(
    options: CertificationOptions,
    examine: Examiner,
    geometry: Geometry,
    pool: Pool,
    inner: NDArray[np.float64],
) -> tuple[Seen, NDArray[np.int64], Sums, float]:
    """Return what is seen of all images, which rows they are, and of their latents sums and square.

    What the model knows nothing of is never scored, so it is no part of what scores are measured by.
    """
    sums = Sums.empty(inner, geometry, examine.n_latents)
    parts, rows, square, n = [], [], 0.0, 0
    for showers, index in image_batches(pool, geometry, options, _rng(options)):
        seen = examine(showers)
        known = ~seen.outside
        latents = seen.latents[known]
        sums.add(seen.e_rec[known], latents, showers.cells[known])
        square += float(np.square(latents, dtype=np.float64).sum())
        n += latents.size
        kept = seen._replace(latents=seen.latents[:, :0])
        parts.append([column[known] for column in kept])
        rows.append(index[known])
    whole = Seen(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    return whole, np.concatenate(rows), sums, square / max(n, 1)


def _rng(options: CertificationOptions) -> np.random.Generator:
    return np.random.default_rng([options.seed, 6])


def _by_energy(scorer: Scorer, pool: Pool, options: CertificationOptions) -> list[dict[str, Any]]:
    """Return how often p is at most 0.1, in `FINER` parts of each condition cell.

    The parts are narrower than what the tables are made for: a cell whose showers change with the
    energy is right as a whole and wrong at both ends.
    """
    rng = np.random.default_rng([options.seed, 8])
    some = np.sort(rng.permutation(pool.n)[:CHECKED])
    chosen = pool.draw(some, scorer.geometry, rng, Symmetry().images(scorer.geometry))
    scored = scorer.score(chosen)
    e_rec = scorer.e_rec(chosen)
    parts = []
    for cell in range(scorer.reference.n_cells):
        mine = np.flatnonzero(scored.valid & (scored.condition_cell == cell))
        for rows in np.array_split(mine[np.argsort(e_rec[mine])], FINER):
            if len(rows):
                ends = [round(float(e_rec[row]), 1) for row in rows[[0, -1]]]
                rate = round(float(np.mean(scored.p_combined[rows] <= LEVELS[0])), 5)
                parts.append({"mev": ends, "showers": len(rows), "exceedance": rate})
    return parts


def kept(pool: Pool, geometry: Geometry, options: CertificationOptions) -> Showers | None:
    """Return some showers of a pool as the detector reads them, for an artefact to keep."""
    n = min(pool.n, compact.most(geometry.n_cells))
    if n < compact.least(options.condition_cells):
        return None
    rng = np.random.default_rng([options.seed, 9])
    some = np.sort(rng.permutation(pool.n)[:n])
    return pool.draw(some, geometry, rng, options.symmetry.images(geometry))


def recertified(
    made: Artefact, pool: Pool, options: CertificationOptions, card: Mapping[str, Any]
) -> Artefact:
    """Return the same model with a reference of other good showers; its weights stay as they are.

    Parameters
    ----------
    pool
        Good showers that training did not see. The scores are standardised on them too.
    card
        What only the caller knows, put into the model card.
    """
    examine = examiner(made)
    score_map, table, figures = certified(options, examine, made.geometry, pool)
    dropped = {"held_out", "generated", "despite"}
    facts = {name: value for name, value in made.card.items() if name not in dropped}
    facts["showers"] = {**facts.get("showers", {}), "certify": pool.n}
    card = {**facts, **card, "certified": figures}
    good = kept(pool, made.geometry, options)
    return artefact.signed(
        replace(made, score_map=score_map, reference=table, card=card, good=good)
    )


def examined(
    made: Artefact, good: Showers, strange: Mapping[str, Showers], device: str
) -> Artefact:
    """Return the artefact with a card that says what it is worth on showers it never met."""
    scorer = made.scorer(device)
    scored = scorer.score(good)
    names = (*made.score_names, "combined")
    p_good, known = _p(scored), scored.latents[scored.valid]
    figures: dict[str, Any] = {
        "showers": good.n,
        "nll": {name.removeprefix("nll_"): value for name, value in _mean_nll(made, good).items()},
        "latent_square": round(float(np.square(known, dtype=np.float64).mean()), 4),
        "exceedance": {
            str(row.cell): {
                str(level): None if math.isnan(found.value) else round(found.value, 5)
                for level, found in row.achieved.items()
            }
            for row in measures.calibration(scored, made.reference.edges)
        },
    }
    for name, showers in strange.items():
        other = scorer.score(showers)
        p = _p(other)
        found = [measures.separation(p_good[:, i], p[:, i]) for i in range(len(names))]
        figures[name] = {
            "showers": showers.n,
            "auc": {n: round(f.auc, 4) for n, f in zip(names, found, strict=True)},
            "tpr_at_fpr_0.01": {
                n: round(f.tpr[1e-2].value, 4) for n, f in zip(names, found, strict=True)
            },
        }
    return artefact.signed(replace(made, card={**made.card, "held_out": figures}))


def _p(scored: Scored) -> NDArray[np.float64]:
    """Return the p-values of the showers that could be scored, the combined one last, (n, S + 1)."""
    return np.column_stack([scored.p, scored.p_combined])[scored.valid]


def _mean_nll(made: Artefact, good: Showers) -> dict[str, float]:
    examine = examiner(made)
    means = examine(good).raw[:, : len(made.flow.stages)].mean(axis=0, dtype=np.float64)
    return dict(zip(examine.score_names, means.round(3).tolist(), strict=False))


def every_image(
    pool: Pool, geometry: Geometry, options: CertificationOptions, rng: np.random.Generator
) -> tuple[Showers, NDArray[np.int64]]:
    """Return every image of every shower of a pool, and which shower each row is an image of."""
    batches = list(image_batches(pool, geometry, options, rng))
    return concatenate([part for part, _ in batches]), np.concatenate([rows for _, rows in batches])


def image_batches(
    pool: Pool, geometry: Geometry, options: CertificationOptions, rng: np.random.Generator
) -> Iterator[tuple[Showers, NDArray[np.int64]]]:
    """Yield the same, `AT_ONCE` showers at a time."""
    everything = np.arange(pool.n)
    clean = np.flatnonzero(pool.clean) if len(pool.clean) else everything[:0]
    for image in options.symmetry.images(geometry):
        for draw in range(options.draws):
            index = everything if draw == 0 else clean
            for start in range(0, len(index), AT_ONCE):
                rows = index[start : start + AT_ONCE]
                some = pool[rows]
                mirrored = replace(some, showers=image(some.showers))
                yield mirrored.draw(np.arange(some.n), geometry, rng, (image,)), rows
