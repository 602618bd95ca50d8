"""Program: the service, assembled of its jobs, with its HTTP server."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from consumers.app import detector_files, wiring
from consumers.app.ending import stop_on_signals
from consumers.app.judge_job import JudgeJob
from consumers.app.known_bad_file import KnownBadFile
from consumers.app.retry import keep_running
from consumers.app.surroundings import Surroundings
from consumers.app.threads import Threads
from consumers.app.worker_job import WorkerJob
from consumers.http.server import Server
from consumers.kafka.admin import ensure_topics
from consumers.wire.record import Refused
from consumers.wire.user_error import UserError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from consumers.app.settings import Settings
    from consumers.judge.state import JudgeState
    from models.scoring.artefact import Artefact
    from models.scoring.description import Described
    from monitor.detector.tree import Detector
    from monitor.display.metrics.judge import JudgeRole
    from monitor.display.standing import Standing

logger = logging.getLogger(__name__)


class Program:
    """Jobs in threads, with their HTTP server.

    Parameters
    ----------
    settings
        What an operator may set.
    artefact
        The model to begin with; a judge needs its description alone.
    detector
        What is watched.
    """

    def __init__(self, settings: Settings, artefact: Described, detector: Detector) -> None:
        self.settings, self.detector = settings, detector
        self._around = Surroundings(settings, artefact, detector)
        self.stopping = self._around.stopping
        self._threads = Threads(self.stopping, settings.refused_s, self._around.denied)
        self._follow_known_bad()

    # What there is to do

    def _follow_known_bad(self) -> None:
        path, channels, said = (
            self.settings.known_bad,
            self.detector.channels,
            self.detector.known_bad,
        )
        if path is not None and channels is not None and said is not None:
            file = KnownBadFile(path, channels, said)
            self._threads.add("known bad", partial(file.follow, self.stopping))

    def add_worker(self, artefact: Artefact) -> None:
        """Add a score worker that begins with a model."""
        for name, job in WorkerJob(self._around, artefact).jobs():
            self._threads.add(name, job)

    def add_judge(
        self, on_show: Callable[[Standing, JudgeState, JudgeRole], None] = lambda *_: None
    ) -> None:
        """Add a judge with its page; what is shown to people is shown to `on_show` too."""
        for name, job in JudgeJob(self._around, on_show).jobs():
            self._threads.add(name, job)

    # Doing it

    def _prepare(self) -> None:
        """Wait for the broker and create the topics that are missing."""
        settings, health = self.settings, self._around.health
        health.ready("topics", yes=False)

        def create() -> None:
            made = ensure_topics(
                self._around.connection,
                partitions=settings.partitions,
                replication=settings.replication,
                showers=settings.topic,
            )
            logger.info("created topics: %s", made)
            raise _Done

        try:
            keep_running(create, "topics", self.stopping)
        except _Done:
            health.ready("topics", yes=True)
            self._threads.ready()

    def serve(self) -> Server:
        """Start the HTTP server."""
        settings, around = self.settings, self._around
        host, port = settings.http_host, settings.http_port
        try:
            server = Server(around.exposition, around.health, around.page, host=host, port=port)
        except OSError as error:
            raise UserError(
                f"cannot listen on {host}:{port}: {error}; choose another with --http-port"
            ) from None
        server.start()
        return server

    def start(self) -> list[threading.Thread]:
        """Start every job in a thread of its own, once the topics are there."""
        return self._threads.start("topics", self._prepare)

    def finish(self, threads: list[threading.Thread]) -> None:
        """Wait for the end of the jobs; raise what one of them crashed with."""
        if self._threads.finish(threads):
            self._around.close()
        for error in self._threads.errors:
            if isinstance(error, Refused):
                raise UserError(f"broker {self.settings.bootstrap} refuses us: {error}")
            raise error


class _Done(Exception):  # noqa: N818 - a signal to ourselves, not an error
    pass


def serve(settings: Settings, *, worker: bool, judge: bool) -> int:
    """Run the service until a signal comes; return its exit code."""
    detector = detector_files.detector_of(settings)
    if worker:
        artefact = wiring.artefact_of(settings)
        detector_files.check_patches(detector, artefact.geometry)
        wiring.check_fits(wiring.form_of(artefact), detector)
        program = Program(settings, artefact, detector)
        program.add_worker(artefact)
    else:  # without torch, which takes seconds and 670 MiB
        told = wiring.description_of(settings)
        detector_files.check_patches(detector, told.geometry)
        wiring.check_fits(wiring.form_of(told), detector)
        program = Program(settings, told, detector)
    stop_on_signals(program.stopping)
    if judge:
        program.add_judge()
    server = program.serve()
    logger.info("on %s", server.url)
    try:
        program.finish(program.start())
    finally:
        server.stop()
    return 0
