"""Program: the jobs of the service in threads, with their HTTP server."""

from __future__ import annotations

import atexit
import logging
import math
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from consumers import VERSION
from consumers.app import detector_files, page_lines, speaking, wiring
from consumers.app.connected import Connected
from consumers.app.ending import STOP_S, leave, stop_on_signals
from consumers.app.known_bad_file import KnownBadFile
from consumers.app.namesake import namesakes
from consumers.app.retry import keep_running
from consumers.app.watched import WatchedSink, WatchedSource
from consumers.exactly_once.contents import Lister
from consumers.http.acts import Acts
from consumers.http.channels import ChannelPages
from consumers.http.gallery import Gallery
from consumers.http.health import Health
from consumers.http.knocks import Knocks
from consumers.http.page import Page
from consumers.http.server import Server
from consumers.judge.judge import Judge
from consumers.judge.relay import Relay
from consumers.judge.settings import JudgeSettings
from consumers.kafka.admin import ensure_topics
from consumers.kafka.log import KafkaLog
from consumers.kafka.sink import KafkaSink
from consumers.score.model_follower import ModelFollower
from consumers.score.settings import WorkerSettings
from consumers.score.worker import Worker
from consumers.wire import artefact_form, control, topics
from consumers.wire.letters import DeadLetters
from consumers.wire.record import Clients, Namesake, Refused, Unavailable
from consumers.wire.user_error import UserError
from models.flows.cell_energies import typical
from monitor.display.metrics.denials import Denials
from monitor.display.metrics.exposition import Exposition
from monitor.display.metrics.judge import JudgeMetrics, JudgeRole
from monitor.display.metrics.worker import WorkerMetrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumers.app.settings import Settings
    from consumers.judge.state import JudgeState
    from models.scoring.artefact import Artefact
    from models.scoring.description import Described
    from monitor.detector.tree import Detector
    from monitor.display.standing import Standing

logger = logging.getLogger(__name__)


@dataclass
class Program:
    """Jobs in threads, with their HTTP server; all stop together, and one crash stops all."""

    settings: Settings
    artefact: Described
    """The model to begin with; a judge needs its description alone."""

    detector: Detector
    stopping: threading.Event = field(default_factory=threading.Event)
    health: Health = field(default_factory=Health)
    on_show: Callable[[Standing, JudgeState, JudgeRole], None] = lambda *_: None

    def __post_init__(self) -> None:
        geometry = self.artefact.geometry
        self.health.patience_s = self.settings.session_s
        self._connection = self.settings.connection("service")
        self._exposition = Exposition(VERSION)
        self._exposition.expect(topics.READ)
        self._sink: KafkaSink | None = None
        self._letters = DeadLetters(self._letter_sink, self._exposition.undigested)
        self._catalogue = wiring.Catalogue(self.settings, self.artefact, self.detector)
        self._jobs: list[tuple[str, Callable[[], None]]] = []
        self._follow_known_bad()
        self._gallery = Gallery(
            geometry,
            self.detector,
            self.settings.topic,
            partial(typical, self.artefact.feature_map),
            self._letters,
        )
        self._page: Page | None = None
        self._denials = Denials(self._exposition)
        self._ready = threading.Event()
        self._errors: list[BaseException] = []

    # What there is to do

    def _follow_known_bad(self) -> None:
        path, channels, said = (
            self.settings.known_bad,
            self.detector.channels,
            self.detector.known_bad,
        )
        if path is not None and channels is not None and said is not None:
            file = KnownBadFile(path, channels, said)
            self._jobs.append(("known bad", partial(file.follow, self.stopping)))

    def add_worker(self, artefact: Artefact) -> None:
        """Add a score worker that begins with a model."""
        settings = self.settings
        metrics = WorkerMetrics(self._exposition, self.detector, topic=settings.topic)
        follower = ModelFollower(
            wiring.model_of(artefact, settings, self.detector), self._catalogue.model, self._letters
        )
        worker_settings = WorkerSettings(
            name=settings.name,
            topic=settings.topic,
            emit_s=settings.emit_s,
            batch=settings.batch,
            shed_after_s=settings.overload_s if settings.overload == "live" else math.inf,
            group=settings.group,
            patience_s=settings.session_s,
            skip=settings.skipped(),
            earliest_ns=settings.earliest_ns,
        )

        def job() -> None:
            self._begin("worker")
            before = self._windows_end() if settings.instance else 0
            beat = partial(self.health.beat, "worker")
            follower.wait(self.stopping, beat)
            with self._clients(
                "score", settings.topic, settings.group, settings.instance
            ) as clients:
                worker = Worker(
                    follower.lineup,
                    self.detector,
                    self._watched(clients, "worker"),
                    worker_settings,
                    metrics,
                    beat,
                    follower.notices,
                )
                self._works("worker")
                try:
                    worker.run(self.stopping)
                except Unavailable:
                    metrics.publish_failed()
                    raise
                except Namesake as error:
                    others = namesakes(clients.log, before, settings.name)
                    raise Refused(
                        f"{error} is the name of another process as well{others}"
                    ) from None

        self._jobs.append(("models", partial(self._with_log, follower.follow)))
        self._jobs.append(("worker", job))

    def add_judge(self) -> None:
        """Add a judge with its page."""
        settings, artefact = self.settings, self.artefact
        metrics = JudgeMetrics(self._exposition, self.detector, topic=topics.WINDOWS)
        judge_settings = JudgeSettings(
            name=settings.name,
            model=artefact.hash,
            fingerprint=wiring.fingerprint_of(settings, artefact, self.detector),
            snapshot_s=settings.snapshot_s,
            shadow_s=settings.shadow_s,
            skip=settings.skipped(),
            latency_s=settings.latency_s,
        )
        relay, lister = Relay(), Lister(self._letter_sink, self._letters)
        knocks = Knocks(metrics.token_refused)
        self._page = Page(
            shower=self._gallery.picture,
            stuck=self.health.stuck,
            acts=self._acts(),
            knocked=knocks,
            told_open=lister.is_open,
            channels=None if self.detector.channels is None else ChannelPages(self.detector),
        )

        def job() -> None:
            self._begin("judge")
            with self._clients("judge", topics.WINDOWS, f"{settings.group}-judge") as clients:
                self._put_first(clients)
                watched = self._watched(clients, "judge")
                judge = Judge(
                    self._catalogue.judging_model, watched, judge_settings, metrics, show, relay
                )
                self._works("judge")
                judge.run(self.stopping)

        def show(standing: Standing, state: JudgeState, role: JudgeRole) -> None:
            lister.in_office = role is JudgeRole.ACTIVE
            self._show(standing, state, role)

        def list_contents(log: KafkaLog, stopping: threading.Event) -> None:
            lister.follow(log.follow(topics.QUALITY, stopping, begin=lister.begin(log)))

        def follow_runs(log: KafkaLog, stopping: threading.Event) -> None:
            relay.follow(log.follow(topics.RUNS, stopping, begin=0))

        self._jobs.append(("judge", job))
        self._jobs.append(("runs", partial(self._with_log, follow_runs)))
        self._jobs.append(("contents", partial(self._with_log, list_contents)))
        self._jobs.append(("gallery", partial(self._with_log, self._gallery.follow)))

    def _put_first(self, clients: Clients) -> None:
        """Put the model of the settings on the topic, if no other is in force there."""
        found = list(clients.log.read_all(topics.MODELS))
        said = control.newest(found)
        if said is not None and said.primary != self.artefact.hash:
            logger.warning(
                "model %s is in force, not that of the settings: `calodqm model` changes it",
                said.primary[:12],
            )
        elif self.artefact.hash not in artefact_form.cards(found):
            try:
                artefact_form.publish(clients.sink, self.settings.artefact, self.artefact)
            except artefact_form.ModelAbsent as absent:
                raise UserError(str(absent)) from None

    def _acts(self) -> Acts | None:
        token = self.settings.page_token
        if token is None:
            return None
        say = partial(speaking.speak, self.settings)
        return Acts(token.get_secret_value(), self.detector, self.artefact.geometry, say)

    def _watched(self, clients: Clients, job: str) -> Clients:
        source = WatchedSource(clients.source, self.health, job)
        return Clients(source, WatchedSink(clients.sink, self.health, job), clients.log)

    def _clients(self, role: str, topic: str, group: str, instance: str | None = None) -> Connected:
        connection = self.settings.connection(role)
        return Connected(connection, topic, group, self.settings.session_s, instance)

    def _windows_end(self) -> int:
        with closing(KafkaLog(self._connection)) as log:
            return log.bounds(topics.WINDOWS)[1]

    def _letter_sink(self) -> KafkaSink:
        """Return what sends the dead letters of those who only read; made with the first of them."""
        if self._sink is None:
            self._sink = KafkaSink(self._connection)
        return self._sink

    def _begin(self, job: str) -> None:
        """Say that a job lives and waits for the broker: that must not get it restarted."""
        self.health.beat(job)
        self.health.ready(job, yes=False)

    def _works(self, job: str) -> None:
        self.health.ready(job, yes=True)
        self._denied(job, "")

    def _denied(self, job: str, why: str) -> None:
        """Say on health, page and metrics that a job is denied, or that it is not any more."""
        self._denials.note(job, why)
        self.health.denied(job, why)
        if self._page is not None:
            self._page.trouble("broker", "; ".join(self._denials.reasons()))

    def _with_log(self, follow: Callable[[KafkaLog, threading.Event], None]) -> None:
        with closing(KafkaLog(self._connection)) as log:
            follow(log, self.stopping)

    def _show(self, standing: Standing, state: JudgeState, role: JudgeRole) -> None:
        self.health.beat("judge")
        if self._page is not None:
            self._page.show(standing, page_lines.lines(state, standing.stream), role)
        self.on_show(standing, state, role)

    # Doing it

    def _prepare(self) -> None:
        """Wait for the broker and create the topics that are missing."""
        settings = self.settings
        self.health.ready("topics", yes=False)

        def create() -> None:
            made = ensure_topics(
                self._connection,
                partitions=settings.partitions,
                replication=settings.replication,
                showers=settings.topic,
            )
            logger.info("created topics: %s", made)
            raise _Done

        try:
            keep_running(create, "topics", self.stopping)
        except _Done:
            self.health.ready("topics", yes=True)
            self._ready.set()

    def serve(self) -> Server:
        """Start the HTTP server."""
        settings = self.settings
        try:
            server = Server(
                self._exposition,
                self.health,
                self._page,
                host=settings.http_host,
                port=settings.http_port,
            )
        except OSError as error:
            raise UserError(
                f"cannot listen on {settings.http_host}:{settings.http_port}: {error}; "
                "choose another with --http-port"
            ) from None
        server.start()
        return server

    def start(self) -> list[threading.Thread]:
        """Start every job in a thread of its own, once the topics are there."""
        threads = [
            threading.Thread(target=self._guarded, args=(begin,), name=name, daemon=True)
            for name, begin in [("topics", self._prepare)]
            + [(name, partial(self._run_job, name, job)) for name, job in self._jobs]
        ]
        for thread in threads:
            thread.start()
        return threads

    def _run_job(self, name: str, job: Callable[[], None]) -> None:
        while not self._ready.wait(0.1):
            if self.stopping.is_set():
                return
        # Who got this far had been let in.
        patience_s = self.settings.refused_s
        keep_running(job, name, self.stopping, patience_s=patience_s, waits=self._denied)

    def _guarded(self, begin: Callable[[], None]) -> None:
        try:
            begin()
        except BaseException as error:  # noqa: BLE001 - told by the main thread, below
            self._errors.append(error)
            self.stopping.set()

    def finish(self, threads: list[threading.Thread]) -> None:
        """Wait for the end of the jobs; raise what one of them crashed with.

        A job that waits for a broker that is away is left where it is after `STOP_S`: what it has
        not said is read again. The process then ends without a further word to anybody.
        """
        self.stopping.wait()
        deadline = time.monotonic() + STOP_S
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        left = [thread.name for thread in threads if thread.is_alive()]
        if left:
            logger.warning("left waiting for the broker: %s", ", ".join(left))
            atexit.register(leave, 2 if self._errors else 0)
        elif self._sink is not None:
            self._sink.close()
        for error in self._errors:
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
