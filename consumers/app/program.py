"""Program: the jobs of the service in threads, with their HTTP server."""

from __future__ import annotations

import logging
import math
import signal
import threading
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from consumers.app import site, speaking, wiring
from consumers.app.retry import keep_running
from consumers.app.watched import WatchedSink, WatchedSource
from consumers.http.acts import Acts
from consumers.http.gallery import Gallery
from consumers.http.page import Health, Line, Page, Server
from consumers.judge.judge import Judge, JudgeSettings
from consumers.judge.relay import Relay
from consumers.kafka.admin import ensure_topics
from consumers.kafka.log import KafkaLog
from consumers.kafka.sink import KafkaSink
from consumers.kafka.source import KafkaSource
from consumers.score.follower import Follower
from consumers.score.worker import Worker, WorkerSettings
from consumers.wire import artefact_form, control, topics
from consumers.wire.failure import UserError
from consumers.wire.letters import DeadLetters
from consumers.wire.record import Clients, Refused, Unavailable
from monitor.display.metrics.exposition import Exposition
from monitor.display.metrics.judge import JudgeMetrics, JudgeState
from monitor.display.metrics.worker import WorkerMetrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumers.app.settings import Settings
    from consumers.judge.state import Bench
    from consumers.kafka.connection import Connection
    from models.scoring.artefact import Artefact
    from monitor.detector.tree import Detector
    from monitor.display.standing import Standing, StreamNow

logger = logging.getLogger(__name__)


@dataclass
class Program:
    """Jobs in threads, with their HTTP server; all stop together, and one crash stops all."""

    settings: Settings
    artefact: Artefact
    detector: Detector
    stopping: threading.Event = field(default_factory=threading.Event)
    health: Health = field(default_factory=Health)
    on_show: Callable[[Standing, Bench, JudgeState], None] = lambda *_: None

    def __post_init__(self) -> None:
        geometry = self.artefact.geometry
        self.health.patience_s = self.settings.session_s
        self._connection = self.settings.connection()
        self._exposition = Exposition(wiring.VERSION)
        self._exposition.expect(topics.READ)
        self._sink: KafkaSink | None = None
        self._letters = DeadLetters(self._letter_sink, self._exposition.undigested)
        self._catalogue = wiring.Catalogue(self.settings, self.artefact, self.detector)
        self._jobs: list[tuple[str, Callable[[], None]]] = []
        self._gallery = Gallery(
            geometry,
            self.detector,
            self.settings.topic,
            self.artefact.feature_map.typical,
            self._letters,
        )
        self._page: Page | None = None
        self._errors: list[BaseException] = []

    # What there is to do

    def add_worker(self) -> None:
        """Add a score worker."""
        settings = self.settings
        metrics = WorkerMetrics(self._exposition, self.detector, topic=settings.topic)
        follower = Follower(
            wiring.model_of(self.artefact, settings.device), self._catalogue.model, self._letters
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
        )

        def job() -> None:
            self._begin("worker")
            beat = partial(self.health.beat, "worker")
            follower.wait(self.stopping, beat)
            with self._clients(settings.topic, settings.group, settings.instance) as clients:
                worker = Worker(
                    follower.lineup,
                    self.detector,
                    self._watched(clients, "worker"),
                    worker_settings,
                    metrics,
                    beat,
                    follower.notices,
                )
                self.health.ready("worker", yes=True)
                try:
                    worker.run(self.stopping)
                except Unavailable:
                    metrics.publish_failed()
                    raise

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
        relay = Relay()
        self._page = Page(shower=self._gallery.picture, stuck=self.health.stuck, acts=self._acts())

        def job() -> None:
            self._begin("judge")
            with self._clients(topics.WINDOWS, f"{settings.group}-judge", None) as clients:
                self._put_first(clients)
                watched = self._watched(clients, "judge")
                judge = Judge(
                    self._catalogue.standard, watched, judge_settings, metrics, self._show, relay
                )
                self.health.ready("judge", yes=True)
                judge.run(self.stopping)

        def follow_runs(log: KafkaLog, stopping: threading.Event) -> None:
            relay.follow(log.follow(topics.RUNS, stopping, begin=0))

        self._jobs.append(("judge", job))
        self._jobs.append(("runs", partial(self._with_log, follow_runs)))
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

    def _clients(self, topic: str, group: str, instance: str | None) -> _Connected:
        return _Connected(self._connection, topic, group, self.settings.session_s, instance)

    def _letter_sink(self) -> KafkaSink:
        """Return what sends the dead letters of those who only read; made with the first of them."""
        if self._sink is None:
            self._sink = KafkaSink(self._connection)
        return self._sink

    def _begin(self, job: str) -> None:
        """Say that a job lives and waits for the broker: that must not get it restarted."""
        self.health.beat(job)
        self.health.ready(job, yes=False)

    def _with_log(self, follow: Callable[[KafkaLog, threading.Event], None]) -> None:
        log = KafkaLog(self._connection)
        try:
            follow(log, self.stopping)
        finally:
            log.close()

    def _show(self, standing: Standing, bench: Bench, role: JudgeState) -> None:
        self.health.beat("judge")
        if self._page is not None:
            self._page.show(standing, self._lines(bench, standing.stream), role)
        self.on_show(standing, bench, role)

    def _lines(self, bench: Bench, stream: StreamNow) -> dict[str, Line]:
        totals = bench.totals
        bad = sum(totals.values()) - sum(totals[n] for n in ("showers", "records", "missing"))
        beside = "" if bench.shadow is None else f"; in shadow: {bench.shadow.model.title}"
        return {
            "model": Line(bench.primary.model.title + beside),
            "counted": Line(f"{totals['showers']:,} showers in {totals['records']:,} records"),
            "rejected": Line(f"{bad:,} records", worry=bad > 0),
            "missing": Line(f"{totals['missing']:,} records", worry=totals["missing"] > 0),
            "lost": Line(str(bench.losses[-1]) if bench.losses else "none", bool(bench.losses)),
            "answers": _answers(stream),
            "clocks and runs": _clocks(stream),
        }

    # Doing it

    def prepare(self) -> None:
        """Wait for the broker and create the topics that are missing."""
        settings = self.settings

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
            return
        except Refused as error:
            raise UserError(f"broker {settings.bootstrap} refuses us: {error}") from None

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
        """Start every job in a thread of its own."""
        threads = [
            threading.Thread(target=self._run_job, args=(name, job), name=name)
            for name, job in self._jobs
        ]
        for thread in threads:
            thread.start()
        return threads

    def _run_job(self, name: str, job: Callable[[], None]) -> None:
        try:
            keep_running(job, name, self.stopping)
        except BaseException as error:  # noqa: BLE001 - told by the main thread, below
            self._errors.append(error)
            self.stopping.set()

    def finish(self, threads: list[threading.Thread]) -> None:
        """Wait for the jobs; raise what one of them crashed with."""
        for thread in threads:
            thread.join()
        if self._sink is not None:
            self._sink.close()
        for error in self._errors:
            if isinstance(error, Refused):
                raise UserError(f"broker {self.settings.bootstrap} refuses us: {error}")
            raise error


def _answers(stream: StreamNow) -> Line:
    if not stream.silent:
        return Line("every partition is answered for")
    words = [f"{p} for {seconds:.0f} s" for p, seconds in stream.silent]
    return Line(f"unknown: partition {', '.join(words)}", worry=True)


def _clocks(stream: StreamNow) -> Line:
    words = [f"partition {p} is {seconds:,.0f} s ahead" for p, seconds in stream.astray]
    words += [f"{n:,} showers astray ({what})" for what, n in stream.strays if n]
    words += [f"{stream.forced:,} s closed early"] if stream.forced else []
    return Line("; ".join(words) or "all agree", worry=bool(words))


class _Done(Exception):  # noqa: N818 - a signal to ourselves, not an error
    pass


class _Connected:
    """Connections of one run of a job, closed at its end."""

    def __init__(
        self,
        connection: Connection,
        topic: str,
        group: str,
        session_s: float,
        instance: str | None,
    ) -> None:
        self._make_source = partial(
            KafkaSource, connection, topic, group, session_s=session_s, instance=instance
        )
        self._connection = connection
        self._opened = ExitStack()

    def __enter__(self) -> Clients:
        # What was opened is closed again, also if the next cannot be: this is tried for ever.
        with ExitStack() as opened:
            sink = opened.enter_context(closing(KafkaSink(self._connection)))
            log = opened.enter_context(closing(KafkaLog(self._connection)))
            source = opened.enter_context(closing(self._make_source()))
            self._opened = opened.pop_all()
        return Clients(source, sink, log)

    def __exit__(self, *_: object) -> None:
        self._opened.close()


def stop_on_signals(stopping: threading.Event) -> None:
    """Have SIGINT and SIGTERM set the event; the second SIGINT ends the program at once."""

    def stop(number: int, _: object) -> None:
        if stopping.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def serve(settings: Settings, *, worker: bool, judge: bool) -> int:
    """Run the service until a signal comes; return its exit code."""
    artefact, detector = wiring.artefact_of(settings), site.detector_of(settings)
    wiring.check_fits(wiring.form_of(artefact), detector)
    program = Program(settings, artefact, detector)
    stop_on_signals(program.stopping)
    program.prepare()
    if worker:
        program.add_worker()
    if judge:
        program.add_judge()
    server = program.serve()
    logger.info("on %s", server.url)
    try:
        program.finish(program.start())
    finally:
        server.stop()
    return 0
