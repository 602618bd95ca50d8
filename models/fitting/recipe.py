"""Recipe: from good showers to an artefact: features, flow, classifier, reference, card."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from models.fitting import lessons, training
from models.fitting.certification import CertificationOptions, certified, kept
from models.fitting.checkpoint import TrainingError
from models.fitting.needs import Needs
from models.fitting.training import Options, Session
from models.fitting.twins import twins
from models.fitting.whole_numbers import whole
from models.flows import standards
from models.flows.caloflow import CaloFlow
from models.flows.flux import Flux
from models.flows.shapes import FluxConfig, configure
from models.scoring import artefact, condition_cells
from models.scoring.artefact import Artefact
from models.scoring.examiner import Examiner
from models.showers.pool import Pool
from models.simulation import injection
from models.simulation.fault_form import parse
from models.simulation.faults import FaultError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from models.fitting.lessons import ClassifierOptions
    from models.fitting.progress import Losses
    from models.flows.features import FeatureMap
    from models.flows.interface import Flow
    from models.showers.batch import Showers
    from models.showers.pool import Pool


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

    classifier: ClassifierOptions | None = None
    """Faults that a classifier is to know, and how it is trained; none without."""

    frozen: bool = False
    """Keep features and flow of the model that training starts from: only the rest is made."""

    def __post_init__(self) -> None:
        whole(self, "condition_cells", "draws", "group", "head")
        if not isinstance(self.model, dict):
            raise TrainingError(f"model must be a table of options, not {self.model!r}")
        if not all(map(_is_text, self.conditions)):
            raise TrainingError(f"conditions must be a list of names, not {self.conditions!r}")
        if not (0 < self.held_out < 1 and 0 < self.certify < 1 > self.held_out + self.certify):
            raise TrainingError("held_out and certify must be shares that leave some for training")
        if min(self.condition_cells, self.draws, self.group) < 1 or self.head < 0:
            raise TrainingError("condition_cells, draws and group must be >= 1, head >= 0")

    @property
    def needs(self) -> Needs:
        """Return what the showers are needed for."""
        return Needs(self.held_out, self.certify, self.condition_cells)

    @property
    def certification(self) -> CertificationOptions:
        """Return how the reference is made."""
        options = self.options
        mirrors = options.symmetry
        return CertificationOptions(self.condition_cells, self.draws, options.seed, mirrors)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


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
        among them (see `twins`) are left out of it. If not given, a share of the pool is set
        aside.
    start
        A model whose weights training begins with, say of simulated showers where real ones are
        few. The features are fitted anew: what both populations share is their standard form.
    card
        What only the caller knows (files, programs), put into the model card.
    """
    recipe.needs.check(pool.n, None if certify is None else certify.n)
    train, held_out, certify = split(pool, recipe, certify, geometry)
    torch.manual_seed(recipe.options.seed)
    if recipe.frozen:
        (feature_map, flow), losses = _kept(start, recipe, geometry), _losses_of(start)
    else:
        pools = (train, held_out, certify)
        feature_map, flow, found = _fitted(recipe, geometry, pools, session, start)
        losses = {phase: _rounded(loss) for phase, loss in found.items()}
    examine = Examiner(feature_map, flow, geometry, session.device)
    known = None
    if recipe.classifier is not None:
        teacher = _teacher(recipe.classifier, examine, geometry, recipe.options)
        known = lessons.fit(
            teacher, train, held_out, recipe.classifier, recipe.options.seed, session
        )
        examine = Examiner(feature_map, flow, geometry, session.device, known)
    score_map, table, figures = certified(recipe.certification, examine, geometry, certify)
    facts = {
        "showers": {"train": train.n, "held_out": held_out.n, "certify": certify.n},
        "seed": recipe.options.seed,
        **recipe.options.symmetry.for_card(),
        "losses": losses,
        **({} if start is None else {"started_from": start.hash}),
    }
    told = {**facts, **(card or {}), "certified": figures}
    good = kept(certify, geometry, recipe.certification)
    parts = (geometry, feature_map, flow, score_map, table, told, "", recipe.version, known, good)
    return artefact.signed(Artefact(*parts))


def _kept(start: Artefact | None, recipe: Recipe, geometry: Geometry) -> tuple[FeatureMap, Flow]:
    if start is None:
        raise TrainingError("nothing to keep: name the model to start from")
    return start.feature_map, _copied(start, recipe, geometry)


def _fitted(
    recipe: Recipe,
    geometry: Geometry,
    pools: tuple[Pool, Pool, Pool],
    session: Session,
    start: Artefact | None,
) -> tuple[FeatureMap, Flow, dict[str, Losses]]:
    train, held_out, certify = pools
    rng = np.random.default_rng([recipe.options.seed, 4])
    seen = train.draw(train.some(rng), geometry, rng, ())
    feature_map = standards.fit(seen, geometry, recipe.conditions)
    drawn = certify.draw(np.arange(certify.n), geometry, rng, ())
    # Before the flow is trained, which may take hours.
    energy = feature_map.e_rec(drawn.cells)
    condition_cells.check(energy, np.arange(certify.n), recipe.condition_cells)
    if start is None:
        flow = new_flow(recipe, seen, geometry, feature_map.sparse)
    else:
        flow = _copied(start, recipe, geometry)
        if tuple(flow.config.get("sparse", ())) != feature_map.sparse:
            raise TrainingError("the model to start from is of other cells that may be unlit")
    losses = training.fit(flow, feature_map, geometry, train, held_out, recipe.options, session)
    return feature_map, flow, losses


def _losses_of(start: Artefact | None) -> dict[str, Any]:
    return {} if start is None else dict(start.card.get("losses", {}))


def _rounded(losses: Losses) -> dict[str, float]:
    """Return losses as the card has them."""
    return {name: float(f"{value:.6g}") for name, value in losses._asdict().items()}


def _teacher(
    wanted: ClassifierOptions, examine: Examiner, geometry: Geometry, options: Options
) -> lessons.Teacher:
    try:
        faults = tuple(parse(text) for text in wanted.faults)
        for fault in faults:
            injection.struck(fault, geometry)
    except FaultError as error:
        raise TrainingError(str(error)) from None
    return lessons.Teacher(geometry, examine.view, faults, options.symmetry.images(geometry))


def split(
    pool: Pool, recipe: Recipe, certify: Pool | None, geometry: Geometry
) -> tuple[Pool, Pool, Pool]:
    """Return the showers to train on, to stop on and to certify with; none is in two."""
    if certify is not None:
        pool = pool[np.flatnonzero(~twins(pool.showers, certify.showers, geometry))]
    order = np.random.default_rng([recipe.options.seed, 5]).permutation(pool.n)
    n_stop = round(pool.n * recipe.held_out)
    n_certify = round(pool.n * recipe.certify) if certify is None else 0
    stop, aside, train = np.split(order, [n_stop, n_stop + n_certify])
    return pool[train], pool[stop], pool[aside] if certify is None else certify


def new_flow(
    recipe: Recipe, showers: Showers, geometry: Geometry, sparse: tuple[int, ...] = ()
) -> Flow:
    """Return an untrained flow of the recipe's family; TrainingError if its options are unknown.

    Parameters
    ----------
    sparse
        Layers and cells that may be unlit; see `FeatureMap.sparse`.
    """
    n_context = 1 + len(recipe.conditions)
    unlit: dict[str, Any] = {"sparse": sparse} if sparse else {}
    try:
        if recipe.family == "caloflow":
            return CaloFlow(configure(geometry, n_context, {**recipe.model, **unlit}))
        if recipe.family == "flux":
            group = _groups(showers.cells.mean(axis=0), recipe)
            shape = (geometry.n_cells, geometry.n_layers, n_context, group)
            return Flux(FluxConfig(*shape, **{**recipe.model, **unlit}))
    except (TypeError, ValueError) as error:
        raise TrainingError(f"model options of {recipe.family}: {error}") from None
    raise TrainingError(f"unknown family {recipe.family!r}: flux or caloflow")


def _copied(start: Artefact, recipe: Recipe, geometry: Geometry) -> Flow:
    """Return a flow with the weights of another model, which must be of this form."""
    both = (start.geometry, geometry)
    shapes = [[layer.shape for layer in g.layers] for g in both]
    noise = [(g.noise_mev, g.least_count_mev) for g in both]
    if shapes[0] != shapes[1] or start.feature_map.condition_names != recipe.conditions:
        raise TrainingError("the model to start from is of other cells or conditions")
    # Features that are fitted anew bring other noise into standard form; those that are kept do not.
    if recipe.frozen and noise[0] != noise[1]:
        raise TrainingError(
            f"the model to keep is of noise and least count {noise[0]} MeV, not {noise[1]}"
        )
    if start.family != recipe.family:
        raise TrainingError(f"the model to start from is a {start.family}, not a {recipe.family}")
    return deepcopy(start.flow)


def _groups(energy: NDArray[np.float32], recipe: Recipe) -> tuple[int, ...]:
    rank = np.argsort(np.argsort(-energy, kind="stable"), kind="stable")
    later = recipe.head + (rank - recipe.head) // recipe.group
    return tuple(int(g) for g in np.where(rank < recipe.head, rank, later))
