"""Wiring: settings and artefacts become what workers and judges are made of."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from consumers import VERSION
from consumers.app import engines
from consumers.app.settings import ARTEFACT
from consumers.exactly_once.snapshots import Snapshots
from consumers.judge import state_form
from consumers.judge.models import JudgingModel, ModelMonitor
from consumers.judge.state import JudgeState
from consumers.judge.state_form import StateError, fingerprint
from consumers.kafka.log import KafkaLog
from consumers.score.scoring import ScoringModel
from consumers.wire import artefact_form, topics
from consumers.wire.record import MAX_RECORD_BYTES
from consumers.wire.user_error import UserError
from consumers.wire.window_form import WindowForm
from models.scoring.description import HASH_FILE, ArtefactError, Description
from models.scoring.fitness import misfits
from models.scoring.p_values import BINS
from models.scoring.scales import LEVELS
from models.showers import shipped
from models.showers.pool import Pool
from models.showers.symmetries import Symmetry
from models.simulation import sources
from monitor.judging.monitor import STATE_FORM
from monitor.judging.selftest import self_testing
from monitor.windows.channel_sums import Standard

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from numpy.typing import NDArray

    from consumers.app.settings import Settings
    from consumers.wire.artefact_form import Made
    from models.scoring.artefact import Artefact
    from models.scoring.description import Described
    from models.scoring.reference import ReferenceTable
    from models.scoring.scorer import Scorer
    from models.showers.batch import Showers
    from monitor.detector.tree import Detector
    from monitor.judging.monitor import Monitor
    from monitor.judging.settings import MonitorSettings

logger = logging.getLogger(__name__)

LEARNT_FROM = 12_000
"""Good showers that expectations without masked cells are learnt from: seconds of work."""


def artefact_of(settings: Settings) -> Artefact:
    """Return the artefact of the settings, or raise `UserError`."""
    import torch  # noqa: PLC0415 - takes seconds, and not every command needs it

    from models.scoring.artefact import Artefact  # noqa: PLC0415

    torch.set_num_threads(settings.threads)
    try:
        return Artefact.load(settings.artefact)
    except ArtefactError as error:
        raise UserError(str(error)) from None


def description_of(settings: Settings) -> Description:
    """Return what a judge needs of the artefact of the settings, or raise `UserError`."""
    try:
        return Description.load(settings.artefact)
    except ArtefactError as error:
        raise UserError(str(error)) from None


def expected_rate(reference: ReferenceTable) -> NDArray[np.float64]:
    """Return how often a good shower exceeds each level, per condition cell, shape (K, A)."""
    n = np.maximum(reference.n_ref, 1)[:, None]
    counted: NDArray[np.float64] = reference.count_counts / n
    return np.where(reference.n_ref[:, None] > 0, counted, np.array(LEVELS))


def form_of(artefact: Described) -> WindowForm:
    """Return the shapes of the windows that an artefact makes."""
    geometry = artefact.geometry
    shape = (artefact.reference.n_cells, len(artefact.score_names), BINS)
    return WindowForm(shape, geometry.n_cells, geometry.n_layers)


def check_fits(form: WindowForm, detector: Detector) -> None:
    """Raise `UserError` if windows of a geometry fit into no record; warn if not all regions do."""
    most, regions = form.most_rows, len(detector.regions)
    size = f"a region of {form.n_cells} cells makes windows of up to {form.row_bytes // 2} bytes"
    if most < 1:
        raise UserError(f"{size}, a record takes {MAX_RECORD_BYTES}: the geometry is too fine")
    if most < regions:
        logger.warning(
            "%s: blocks of more than %d regions a data-second are refused, there are %d",
            size, most, regions,
        )  # fmt: skip


def scorer_of(artefact: Artefact, settings: Settings, detector: Detector) -> Scorer:
    """Return what scores showers anywhere in a detector; at its borders, too, it takes seconds."""
    scorer = artefact.scorer(settings.device)
    if detector.channels is not None:
        learn_absences(scorer, artefact, settings, detector.channels.absences)
    return scorer


def learn_absences(
    scorer: Scorer, artefact: Artefact, settings: Settings, sets: Collection[tuple[int, ...]]
) -> None:
    """Let a scorer learn what to expect of showers without some sets of cells, as far as it can."""
    unknown = [cells for cells in sets if not scorer.knows(cells)]
    if not unknown:
        return
    try:
        failed = scorer.learn_all(unknown, good_showers(artefact, settings.certified))
    except ValueError as error:
        failed = [str(error)] * len(unknown)
    if failed:
        text = "showers that lack cells are not calibrated for %d of %d sets of cells: %s"
        logger.warning(text, len(failed), len(unknown), failed[0])


def model_of(artefact: Artefact, settings: Settings, detector: Detector) -> ScoringModel:
    """Return what a worker scores with, or raise `UserError` if the device has other numbers."""
    scorer = scorer_of(artefact, settings, detector)
    try:
        engines.check(artefact, scorer)
    except RuntimeError as error:
        raise UserError(f"model {artefact.hash[:12]} cannot run: {error}") from None
    engines.compile_aside(artefact, scorer, settings)
    return ScoringModel(
        scorer,
        tuple(artefact.feature_map.condition_names),
        expected_rate(artefact.reference),
        artefact.family,
        artefact.version,
        artefact.card,
        artefact.reference.lit_rate,
        Standard.of(artefact.reference),
        partial(good_showers, artefact, settings.certified),
    )


def good_showers(artefact: Artefact, certified: Path | None) -> Showers:
    """Return good showers of a model, some thousands, as the detector reads them.

    Parameters
    ----------
    certified
        File of some; which others there are says `Settings.certified`.

    Raises
    ------
    ValueError
        If they cannot be read or made.
    """
    if certified is None and artefact.good is not None:
        return artefact.good
    ours = ARTEFACT.parent.glob(f"{shipped.PB_LAR.name}-*/{HASH_FILE}")
    if certified is None and artefact.hash in {file.read_text().strip() for file in ours}:
        certified = shipped.CERTIFIED
    if certified is None:
        from models.fitting.generation import like_reference  # noqa: PLC0415 - takes torch

        made = like_reference(artefact, LEARNT_FROM, seed=1)
        # How far a model is off in energy it cannot say itself: its own have no tails.
        return replace(made, e_inc=np.full_like(made.e_inc, np.nan))
    geometry = artefact.geometry
    file = sources.open_source(certified, geometry)
    found = file.rows(0, min(file.n, LEARNT_FROM)).showers
    pool = Pool(found, np.full(found.n, file.clean))
    mirrors = Symmetry.of_card(artefact.card).images(geometry)
    return pool.draw(np.arange(pool.n), geometry, np.random.default_rng(1), mirrors)


def judging_model_of(settings: Settings, artefact: Described, detector: Detector) -> JudgingModel:
    """Return what a judge needs of a model."""
    return JudgingModel(
        artefact.hash,
        f"{artefact.family} {artefact.hash[:8]}",
        form_of(artefact),
        expected_rate(artefact.reference),
        monitor_maker(settings, artefact, detector),
        tuple(map(str, misfits(artefact))),
    )


def monitor_settings_of(settings: Settings, artefact: Described) -> MonitorSettings:
    """Return the settings of a judge's monitor."""
    return settings.monitor_settings(artefact.hash, tuple(artefact.score_names), VERSION)


def monitor_maker(
    settings: Settings, artefact: Described, detector: Detector
) -> Callable[[], Monitor]:
    """Return what makes monitors that have seen nothing."""
    given = monitor_settings_of(settings, artefact)
    return partial(self_testing, detector, artefact.geometry, artefact.reference, given)


def fingerprint_of(settings: Settings, artefact: Described, detector: Detector) -> str:
    """Return the digest of all that a judge's state depends on, beside the log and the models."""
    given = replace(
        monitor_settings_of(settings, artefact),
        model="",
        score_names=(),
        software="",
    )
    channels = () if detector.channels is None else (detector.channels.digest,)
    outer = (dict(detector.outer),) if detector.outer else ()
    return fingerprint(artefact.geometry.to_json(), detector, given, STATE_FORM, *channels, *outer)


@dataclass
class Catalogue:
    """The artefacts that can be had: the one of the settings, and those on the models topic."""

    settings: Settings
    own: Described
    detector: Detector

    def description(self, model: str) -> Described:
        """Return what a judge needs of an artefact, by its hash, or raise `ModelAbsent`."""
        return self.own if model == self.own.hash else self._gathered(model, Description.of_files)

    def artefact(self, model: str) -> Artefact:
        """Return an artefact by its hash, or raise `ModelAbsent`."""
        from models.scoring.artefact import Artefact  # noqa: PLC0415 - takes seconds

        if isinstance(self.own, Artefact) and model == self.own.hash:
            return self.own
        return self._gathered(model, Artefact.of_files)

    def _gathered(self, model: str, made: Callable[..., Made]) -> Made:
        log = KafkaLog(self.settings.connection())
        try:
            found = log.read_all(topics.MODELS)
            return artefact_form.gather(found, model, self.own.geometry, made)
        finally:
            log.close()

    def model(self, model: str) -> ScoringModel:
        """Return what a worker scores with, or raise `ModelAbsent`."""
        artefact = self.artefact(model)
        try:
            return model_of(artefact, self.settings, self.detector)
        except UserError as error:
            raise artefact_form.ModelAbsent(str(error)) from None
        except RuntimeError as error:  # torch's word for a device whose memory is full, too
            raise artefact_form.ModelAbsent(f"model {model[:12]} cannot run: {error}") from None

    def judging_model(self, model: str) -> JudgingModel:
        """Return what a judge needs of a model, or raise `ModelAbsent`."""
        return judging_model_of(self.settings, self.description(model), self.detector)


def newest_state(
    settings: Settings, artefact: Described, detector: Detector, log: KafkaLog
) -> JudgeState | None:
    """Return what a judge knew at its newest snapshot, None if there is none of this kind."""
    snapshots = Snapshots(log)
    manifest = snapshots.newest()
    if manifest.fingerprint != fingerprint_of(settings, artefact, detector):
        return None
    arrays = snapshots.state(manifest)
    if arrays is None:
        return None
    catalogue = Catalogue(settings, artefact, detector)
    try:
        state = JudgeState(ModelMonitor.new(catalogue.judging_model(manifest.models[1])))
    except artefact_form.ModelAbsent as absent:
        raise UserError(str(absent)) from None
    try:
        state_form.restore(state, arrays, manifest)
    except StateError as error:
        logger.warning("%s", error)
        return None
    return state
