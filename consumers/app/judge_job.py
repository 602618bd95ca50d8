"""Judge job: a judge with its connections and its page, as a job of the service."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from consumers.app import needs, page_lines, speaking, wiring
from consumers.exactly_once.contents import Lister
from consumers.http.acts import Acts
from consumers.http.channels import ChannelPages
from consumers.http.gallery import Gallery
from consumers.http.knocks import Knocks
from consumers.http.page import Page
from consumers.judge.judge import Judge
from consumers.judge.relay import Relay
from consumers.judge.settings import JudgeSettings
from consumers.wire import artefact_form, control, topics
from consumers.wire.user_error import UserError
from models.flows.cell_energies import typical
from monitor.display.metrics.judge import JudgeMetrics, JudgeRole

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from consumers.app.surroundings import Surroundings
    from consumers.judge.state import JudgeState
    from consumers.kafka.log import KafkaLog
    from consumers.wire.record import Clients
    from monitor.display.standing import Standing

logger = logging.getLogger(__name__)


class JudgeJob:
    """A judge, what it is told of runs, and the page that shows what it says.

    Parameters
    ----------
    around
        What it shares with other jobs; its page is there from now on.
    on_show
        Called every so often with what is shown to people.
    """

    def __init__(
        self, around: Surroundings, on_show: Callable[[Standing, JudgeState, JudgeRole], None]
    ) -> None:
        self._around, self._on_show = around, on_show
        self._metrics = JudgeMetrics(around.exposition, around.detector, topic=topics.WINDOWS)
        self._relay, self._lister = Relay(), Lister(around.letter_sink, around.letters)
        self._gallery = Gallery(
            around.artefact.geometry,
            around.detector,
            around.settings.topic,
            partial(typical, around.artefact.feature_map),
            around.letters,
        )
        self._page = around.page = self._new_page()

    def _new_page(self) -> Page:
        around = self._around
        return Page(
            shower=self._gallery.picture,
            stuck=around.health.stuck,
            acts=self._acts(),
            knocked=Knocks(self._metrics.token_refused),
            told_open=self._lister.is_open,
            channels=None if around.detector.channels is None else ChannelPages(around.detector),
        )

    def _acts(self) -> Acts | None:
        settings, artefact = self._around.settings, self._around.artefact
        token = settings.page_token
        if token is None:
            return None
        say = partial(speaking.speak, settings)
        return Acts(token.get_secret_value(), self._around.detector, artefact.geometry, say)

    def jobs(self) -> tuple[tuple[str, Callable[[], None]], ...]:
        """Return what there is to run, by name."""
        follow = self._around.with_log
        return (
            ("judge", self.run),
            ("runs", partial(follow, self._follow_runs)),
            ("contents", partial(follow, self._list_contents)),
            ("gallery", partial(follow, self._gallery.follow)),
        )

    def run(self) -> None:
        """Judge until told to stop."""
        around = self._around
        around.begin("judge")
        regions, cells = len(around.detector.regions), around.artefact.geometry.n_cells
        if lack := needs.shortage(regions, cells, needs.memory_mib()):
            logger.warning("%s", lack)
        with around.clients("judge", topics.WINDOWS, f"{around.settings.group}-judge") as clients:
            self._put_first(clients)
            judge = Judge(
                around.catalogue.judging_model,
                around.watched(clients, "judge"),
                self._settings(),
                self._metrics,
                self._show,
                self._relay,
            )
            around.works("judge")
            judge.run(around.stopping)

    def _settings(self) -> JudgeSettings:
        settings, artefact = self._around.settings, self._around.artefact
        return JudgeSettings(
            name=settings.name,
            model=artefact.hash,
            fingerprint=wiring.fingerprint_of(settings, artefact, self._around.detector),
            snapshot_s=settings.snapshot_s,
            shadow_s=settings.shadow_s,
            skip=settings.skipped(),
            latency_s=settings.latency_s,
        )

    def _put_first(self, clients: Clients) -> None:
        """Put the model of the settings on the topic, if no other is in force there."""
        artefact = self._around.artefact
        found = list(clients.log.read_all(topics.MODELS))
        said = control.newest(found)
        if said is not None and said.primary != artefact.hash:
            logger.warning(
                "model %s is in force, not that of the settings: `calodqm model` changes it",
                said.primary[:12],
            )
        elif artefact.hash not in artefact_form.cards(found):
            try:
                artefact_form.publish(clients.sink, self._around.settings.artefact, artefact)
            except artefact_form.ModelAbsent as absent:
                raise UserError(str(absent)) from None

    def _show(self, standing: Standing, state: JudgeState, role: JudgeRole) -> None:
        self._lister.in_office = role is JudgeRole.ACTIVE
        self._around.health.beat("judge")
        self._page.show(standing, page_lines.lines(state, standing.stream), role)
        self._on_show(standing, state, role)

    def _list_contents(self, log: KafkaLog, stopping: threading.Event) -> None:
        begin = self._lister.begin(log)
        self._lister.follow(log.follow(topics.QUALITY, stopping, begin=begin))

    def _follow_runs(self, log: KafkaLog, stopping: threading.Event) -> None:
        self._relay.follow(log.follow(topics.RUNS, stopping, begin=0))
