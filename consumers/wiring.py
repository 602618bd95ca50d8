"""Wiring: settings become jobs; the one place where the parts of the service are put together."""

from __future__ import annotations

import logging
import math
import signal
import threading
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from consumers import artefact_form, control, kafka, layout, tools, topics
from consumers.acts import Acts
from consumers.failure import UserError
from consumers.follower import Follower
from consumers.gallery import Gallery
from consumers.judge import Judge, JudgeSettings
from consumers.judging import Bench, Side, Standard, fingerprint
from consumers.page import Health, Line, Page, Server
from consumers.ranges import WindowForm
from consumers.record import Clients, Refused, Unavailable
from consumers.scoring import Model
from consumers.service import keep_running
from consumers.snapshots import Snapshots
from consumers.worker import Worker, WorkerSettings
from monitor.budget import Allowance
from monitor.metrics.exposition import Exposition
from monitor.metrics.judge import JudgeMetrics, JudgeState
from monitor.metrics.worker import WorkerMetrics
from monitor.monitor import STATE_FORM, MonitorSettings
from monitor.selftest import self_testing
from monitor.windows import LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from consumers.settings import Settings
    from models.artefact import Artefact
    from models.reference import ReferenceTable
    from monitor.detector import Detector
    from monitor.monitor import Monitor
    from monitor.view import Standing

logger = logging.getLogger(__name__)

VERSION = "0.1.0"

BRIGHT = 0.04
"""Share of a shower beyond which a masked cell cannot be made up for by the others."""


def artefact_of(settings: Settings) -> Artefact:
    """Return the artefact of the settings, or raise `UserError`."""
    import torch  # noqa: PLC0415 - takes seconds, and not every command needs it

    from models.artefact import Artefact, ArtefactError  # noqa: PLC0415

    torch.set_num_threads(settings.threads)
    try:
        return Artefact.load(settings.artefact)
    except ArtefactError as error:
        raise UserError(str(error)) from None


def expected_rate(reference: ReferenceTable) -> NDArray[np.float64]:
    """Return how often a good shower exceeds each level, per condition cell, shape (K, A)."""
    n = np.maximum(reference.n_ref, 1)[:, None]
    counted: NDArray[np.float64] = reference.count_counts / n
    return np.where(reference.n_ref[:, None] > 0, counted, np.array(LEVELS))


def form_of(artefact: Artefact) -> WindowForm:
    """Return the shapes of the windows that an artefact makes."""
    from models.reference import BINS  # noqa: PLC0415 - takes seconds

    geometry = artefact.geometry
    shape = (artefact.reference.n_cells, len(artefact.score_names), BINS)
    return WindowForm(shape, geometry.n_cells, geometry.n_layers)


def model_of(artefact: Artefact, device: str) -> Model:
    """Return what a worker scores with."""
    return Model(
        artefact.scorer(device),
        tuple(artefact.feature_map.condition_names),
        expected_rate(artefact.reference),
        artefact.family,
        artefact.version,
        artefact.card,
    )


def standard_of(settings: Settings, artefact: Artefact, detector: Detector) -> Standard:
    """Return what a judge needs of a model."""
    return Standard(
        artefact.hash,
        f"{artefact.family} {artefact.hash[:8]}",
        form_of(artefact),
        expected_rate(artefact.reference),
        monitor_maker(settings, artefact, detector),
    )


def monitor_settings_of(settings: Settings, artefact: Artefact) -> MonitorSettings:
    """Return the settings of a judge's monitor."""
    return MonitorSettings(
        allowance=Allowance(days_per_page=settings.budget_days),
        model=artefact.hash,
        score_names=tuple(artefact.score_names),
        software=VERSION,
        bright_cells=bright_cells(artefact),
    )


def bright_cells(artefact: Artefact) -> tuple[int, ...]:
    """Return the cells that hold much of a typical shower, at any of three energies.

    What such a cell should hold cannot be told from the others well enough: with one of the
    brightest masked, three times as many good showers have p <= 0.01 as should.
    """
    levels = np.array([[1.0], [10.0], [100.0]], np.float32)  # MeV in every cell: low to high
    shape = (1, artefact.geometry.n_cells)
    typical = np.maximum(artefact.feature_map.typical(np.tile(levels, shape)), 0.0)
    share = typical / typical.sum(axis=1, keepdims=True)
    return tuple(np.flatnonzero((share > BRIGHT).any(axis=0)).tolist())


def monitor_maker(
    settings: Settings, artefact: Artefact, detector: Detector
) -> Callable[[], Monitor]:
    """Return what makes monitors that have seen nothing."""
    given = monitor_settings_of(settings, artefact)
    return partial(self_testing, detector, artefact.geometry, artefact.reference, given)


def fingerprint_of(settings: Settings, artefact: Artefact, detector: Detector) -> str:
    """Return the digest of all that a judge's state depends on, beside the log and the models."""
    given = replace(
        monitor_settings_of(settings, artefact),
        model="",
        score_names=(),
        software="",
        bright_cells=(),
    )
    return fingerprint(artefact.geometry.to_json(), detector, given, STATE_FORM)


@dataclass
class Catalogue:
    """The artefacts that can be had: the one of the settings, and those on the models topic."""

    settings: Settings
    own: Artefact
    detector: Detector

    def artefact(self, model: str) -> Artefact:
        """Return an artefact by its hash, or raise `ModelAbsent`."""
        if model == self.own.hash:
            return self.own
        log = kafka.KafkaLog(self.settings.connection())
        try:
            return artefact_form.gather(log.read_all(topics.MODELS), model, self.own.geometry)
        finally:
            log.close()

    def model(self, model: str) -> Model:
        """Return what a worker scores with, or raise `ModelAbsent`."""
        artefact = self.artefact(model)
        try:
            return model_of(artefact, self.settings.device)
        except RuntimeError as error:  # torch's word for a device whose memory is full, too
            raise artefact_form.ModelAbsent(f"model {model[:12]} cannot run: {error}") from None

    def standard(self, model: str) -> Standard:
        """Return what a judge needs of a model, or raise `ModelAbsent`."""
        return standard_of(self.settings, self.artefact(model), self.detector)


def newest_bench(
    settings: Settings, artefact: Artefact, detector: Detector, log: kafka.KafkaLog
) -> Bench | None:
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
        bench = Bench(Side.new(catalogue.standard(manifest.models[1])))
    except artefact_form.ModelAbsent as absent:
        raise UserError(str(absent)) from None
    bench.restore(arrays, manifest)
    return bench


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
        self._connection = self.settings.connection()
        self._exposition = Exposition(VERSION)
        self._catalogue = Catalogue(self.settings, self.artefact, self.detector)
        self._jobs: list[tuple[str, Callable[[], None]]] = []
        self._gallery = Gallery(
            geometry, self.detector, self.settings.topic, self.artefact.feature_map.typical
        )
        self._page: Page | None = None
        self._errors: list[BaseException] = []

    # What there is to do

    def add_worker(self) -> None:
        """Add a score worker."""
        settings = self.settings
        metrics = WorkerMetrics(self._exposition, self.detector, topic=settings.topic)
        follower = Follower(model_of(self.artefact, settings.device), self._catalogue.model)
        worker_settings = WorkerSettings(
            name=settings.name,
            topic=settings.topic,
            emit_s=settings.emit_s,
            batch=settings.batch,
            shed_after_s=settings.overload_s if settings.overload == "live" else math.inf,
        )

        def job() -> None:
            self._begin("worker")
            beat = partial(self.health.beat, "worker")
            follower.wait(self.stopping, beat)
            with self._clients(settings.topic, settings.group, settings.instance) as clients:
                worker = Worker(
                    follower.lineup, self.detector, clients, worker_settings, metrics, beat
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
            fingerprint=fingerprint_of(settings, artefact, self.detector),
            snapshot_s=settings.snapshot_s,
            shadow_s=settings.shadow_s,
        )
        self._page = Page(shower=self._gallery.picture, acts=self._acts())

        def job() -> None:
            self._begin("judge")
            with self._clients(topics.WINDOWS, f"{settings.group}-judge", None) as clients:
                self._put_first(clients)
                judge = Judge(
                    self._catalogue.standard, clients, judge_settings, metrics, self._show
                )
                self.health.ready("judge", yes=True)
                judge.run(self.stopping)

        self._jobs.append(("judge", job))
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
        say = partial(tools.speak, self.settings)
        return Acts(token.get_secret_value(), self.detector, self.artefact.geometry, say)

    def _clients(self, topic: str, group: str, instance: str | None) -> _Connected:
        return _Connected(self._connection, topic, group, self.settings.session_s, instance)

    def _begin(self, job: str) -> None:
        """Say that a job lives and waits for the broker: that must not get it restarted."""
        self.health.beat(job)
        self.health.ready(job, yes=False)

    def _with_log(self, follow: Callable[[kafka.KafkaLog, threading.Event], None]) -> None:
        log = kafka.KafkaLog(self._connection)
        try:
            follow(log, self.stopping)
        finally:
            log.close()

    def _show(self, standing: Standing, bench: Bench, role: JudgeState) -> None:
        self.health.beat("judge")
        if self._page is not None:
            self._page.show(standing, self._lines(bench), role)
        self.on_show(standing, bench, role)

    def _lines(self, bench: Bench) -> dict[str, Line]:
        totals = bench.totals
        bad = sum(totals.values()) - sum(totals[n] for n in ("showers", "records", "missing"))
        beside = "" if bench.shadow is None else f"; in shadow: {bench.shadow.model.title}"
        return {
            "model": Line(bench.primary.model.title + beside),
            "counted": Line(f"{totals['showers']:,} showers in {totals['records']:,} records"),
            "rejected": Line(f"{bad:,} records", worry=bad > 0),
            "missing": Line(f"{totals['missing']:,} records", worry=totals["missing"] > 0),
        }

    # Doing it

    def prepare(self) -> None:
        """Wait for the broker and create the topics that are missing."""
        settings = self.settings

        def create() -> None:
            made = kafka.ensure_topics(
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
        for error in self._errors:
            if isinstance(error, Refused):
                raise UserError(f"broker {self.settings.bootstrap} refuses us: {error}")
            raise error


class _Done(Exception):  # noqa: N818 - a signal to ourselves, not an error
    pass


class _Connected:
    """Connections of one run of a job, closed at its end."""

    def __init__(
        self,
        connection: kafka.Connection,
        topic: str,
        group: str,
        session_s: float,
        instance: str | None,
    ) -> None:
        self._make_source = partial(
            kafka.KafkaSource, connection, topic, group, session_s=session_s, instance=instance
        )
        self._connection = connection
        self._sink: kafka.KafkaSink | None = None
        self._log: kafka.KafkaLog | None = None

    def __enter__(self) -> Clients:
        self._sink = kafka.KafkaSink(self._connection)
        self._log = kafka.KafkaLog(self._connection)
        return Clients(self._make_source(), self._sink, self._log)

    def __exit__(self, *_: object) -> None:
        if self._log is not None:
            self._log.close()
        if self._sink is not None:
            self._sink.close()


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
    program = Program(settings, artefact_of(settings), layout.detector_of(settings))
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
