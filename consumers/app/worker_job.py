"""Worker job: a score worker with its connections and models, as a job of the service."""

from __future__ import annotations

import math
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from consumers.app import wiring
from consumers.app.namesake import namesakes
from consumers.kafka.log import KafkaLog
from consumers.score.model_follower import ModelFollower
from consumers.score.settings import WorkerSettings
from consumers.score.worker import Worker
from consumers.wire import topics
from consumers.wire.record import Namesake, Refused, Unavailable
from monitor.display.metrics.worker import WorkerMetrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumers.app.settings import Settings
    from consumers.app.surroundings import Surroundings
    from consumers.wire.record import Clients
    from models.scoring.artefact import Artefact


class WorkerJob:
    """A score worker that begins with a model."""

    def __init__(self, around: Surroundings, artefact: Artefact) -> None:
        self._around, settings = around, around.settings
        self._metrics = WorkerMetrics(around.exposition, around.detector, topic=settings.topic)
        model = wiring.model_of(artefact, settings, around.detector)
        self._follower = ModelFollower(model, around.catalogue.model, around.letters)
        self._beat = partial(around.health.beat, "worker")

    def jobs(self) -> tuple[tuple[str, Callable[[], None]], ...]:
        """Return what there is to run, by name."""
        follow = partial(self._around.with_log, self._follower.follow)
        return ("models", follow), ("worker", self.run)

    def run(self) -> None:
        """Score until told to stop."""
        around, settings = self._around, self._around.settings
        around.begin("worker")
        before = self._windows_end() if settings.instance else 0
        self._follower.wait(around.stopping, self._beat)
        with around.clients("score", settings.topic, settings.group, settings.instance) as clients:
            worker = self._worker(clients)
            around.works("worker")
            try:
                worker.run(around.stopping)
            except Unavailable:
                self._metrics.publish_failed()
                raise
            except Namesake as error:
                others = namesakes(clients.log, before, settings.name)
                raise Refused(f"{error} is the name of another process as well{others}") from None

    def _worker(self, clients: Clients) -> Worker:
        return Worker(
            self._follower.lineup,
            self._around.detector,
            self._around.watched(clients, "worker"),
            _settings(self._around.settings),
            self._metrics,
            self._beat,
            self._follower.notices,
        )

    def _windows_end(self) -> int:
        with closing(KafkaLog(self._around.connection)) as log:
            return log.bounds(topics.WINDOWS)[1]


def _settings(given: Settings) -> WorkerSettings:
    return WorkerSettings(
        name=given.name,
        topic=given.topic,
        emit_s=given.emit_s,
        batch=given.batch,
        shed_after_s=given.overload_s if given.overload == "live" else math.inf,
        group=given.group,
        patience_s=given.session_s,
        skip=given.skipped(),
        earliest_ns=given.earliest_ns,
    )
