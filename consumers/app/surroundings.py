"""Surroundings: what the jobs of a process share: broker, health, metrics, models, page."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from consumers import VERSION
from consumers.app import wiring
from consumers.app.connected import Connected
from consumers.app.watched import WatchedSink, WatchedSource
from consumers.http.health import Health
from consumers.kafka.log import FOLLOWED_MS, KafkaLog
from consumers.kafka.sink import KafkaSink
from consumers.wire import topics
from consumers.wire.letters import DeadLetters
from consumers.wire.record import Clients
from monitor.display.metrics.denials import Denials
from monitor.display.metrics.exposition import Exposition

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumers.app.settings import Settings
    from consumers.http.page import Page
    from models.scoring.description import Described
    from monitor.detector.tree import Detector


@dataclass
class Surroundings:
    """What every job of a process is given."""

    settings: Settings
    artefact: Described
    """The model to begin with; a judge needs its description alone."""

    detector: Detector
    stopping: threading.Event = field(default_factory=threading.Event)
    health: Health = field(default_factory=Health)
    page: Page | None = None
    """Where there is a judge."""

    def __post_init__(self) -> None:
        self.health.patience_s = self.settings.session_s
        self.connection = self.settings.connection("service")
        self.exposition = Exposition(VERSION)
        self.exposition.expect(topics.READ)
        self._sink: KafkaSink | None = None
        self.letters = DeadLetters(self.letter_sink, self.exposition.undigested)
        self.catalogue = wiring.Catalogue(self.settings, self.artefact, self.detector)
        self._denials = Denials(self.exposition)

    def clients(self, role: str, topic: str, group: str, instance: str | None = None) -> Connected:
        """Return the connections of one run of a job."""
        connection = self.settings.connection(role)
        return Connected(connection, topic, group, self.settings.session_s, instance)

    def watched(self, clients: Clients, job: str) -> Clients:
        """Return clients whose reads and writes are seen by the health of the process."""
        source = WatchedSource(clients.source, self.health, job)
        return Clients(source, WatchedSink(clients.sink, self.health, job), clients.log)

    def letter_sink(self) -> KafkaSink:
        """Return what sends the dead letters of those who only read; made with the first of them."""
        if self._sink is None:
            self._sink = KafkaSink(self.connection)
        return self._sink

    def with_log(self, follow: Callable[[KafkaLog, threading.Event], None]) -> None:
        """Follow topics, with a log of one's own, until told to stop."""
        with closing(KafkaLog(self.connection, held_ms=FOLLOWED_MS)) as log:
            follow(log, self.stopping)

    def begin(self, job: str) -> None:
        """Say that a job lives and waits for the broker: that must not get it restarted."""
        self.health.beat(job)
        self.health.ready(job, yes=False)

    def works(self, job: str) -> None:
        """Say that a job does its work."""
        self.health.ready(job, yes=True)
        self.denied(job, "")

    def denied(self, job: str, why: str) -> None:
        """Say on health, page and metrics that a job is denied, or that it is not any more."""
        self._denials.note(job, why)
        self.health.denied(job, why)
        if self.page is not None:
            self.page.trouble("broker", "; ".join(self._denials.reasons()))

    def close(self) -> None:
        """Close what all jobs shared."""
        if self._sink is not None:
            self._sink.close()
