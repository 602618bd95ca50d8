"""The judge: ranges of windows in, alarms and verdicts out, once each, whoever is in office."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import orjson

from consumers.exactly_once import quality_log
from consumers.exactly_once.fence import Fence
from consumers.exactly_once.seconds import LATENCY_S
from consumers.exactly_once.snapshots import NOTHING, Manifest, Snapshots
from consumers.judge import succession
from consumers.judge.relay import Relay
from consumers.judge.state import Bench, Side, StateError
from consumers.wire import control, ranges, topics
from consumers.wire.artefact_form import ModelAbsent
from consumers.wire.block import DecodeError
from consumers.wire.control import Control
from consumers.wire.letters import DeadLetters, place
from consumers.wire.ranges import Open, Range, Said, encode_said
from consumers.wire.record import Refused, Unavailable
from monitor.display.metrics.judge import JudgeState
from monitor.judging.comparison import Comparison
from monitor.quality import records
from monitor.quality.acknowledgements import Acknowledgement
from monitor.quality.alarms import Alarm, State, WorstShower
from monitor.quality.model_acts import ModelAct
from monitor.quality.orders import ReferenceAct
from monitor.quality.rejection import Rejection
from monitor.quality.run_acts import RunAct
from monitor.windows.window import LEVELS

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

    from consumers.exactly_once.closed import ByModel, Closed
    from consumers.exactly_once.quality_log import QualityWriter
    from consumers.judge.succession import StandardOf
    from consumers.wire.record import Clients, Record
    from monitor.display.metrics.judge import JudgeMetrics
    from monitor.display.standing import Standing

logger = logging.getLogger(__name__)

SHOWN_WORST = 6
"""Worst showers that an alarm points at."""

MOST_PASSED = 8
"""Records that are passed over between two snapshots because the judge could not go on with them:
with more, it is not the records that are at fault."""

SHOWN_S = 300
"""Data-seconds from which the page shows the strangest showers."""


@dataclass(frozen=True)
class JudgeSettings:
    """What an operator may set."""

    name: str
    model: str
    """Content hash of the model to begin with, where the topics name none."""

    fingerprint: str
    """Of detector and settings: a snapshot of another one is not taken up."""

    snapshot_s: float = 20.0
    """Wall-clock time between snapshots, s: what a successor has to read again."""

    show_s: float = 0.5
    """Wall-clock time between two shows of the standing, s."""

    shadow_s: int = 30
    """Data-seconds that a model must have seen in shadow without a gap before it takes over."""

    skip: frozenset[str] = frozenset()
    """Places of records that are passed over, as the log writes them."""

    latency_s: float = LATENCY_S
    """Most latency of a partition that is learnt and waited for, data time, s."""


class Judge:
    """Judges while the group gives it the windows topic, stands by while it does not."""

    def __init__(
        self,
        standard_of: StandardOf,
        clients: Clients,
        settings: JudgeSettings,
        metrics: JudgeMetrics,
        show: Callable[[Standing, Bench, JudgeState], None],
        relay: Relay | None = None,
    ) -> None:
        """Prepare a judge.

        Parameters
        ----------
        standard_of
            Returns a model by its hash, or raises `ModelAbsent`.
        show
            Called every so often with what is to be shown to people.
        relay
            Holds what is said of runs.
        """
        self._relay = relay or Relay()
        self._standard_of = standard_of
        self._source, self._sink, self._log = clients.source, clients.sink, clients.log
        self._settings = settings
        self._metrics = metrics
        self._show = show
        self._letters = DeadLetters(lambda: self._sink, metrics.undigested)
        self._snapshots = Snapshots(clients.log, self._letters)
        self._poison: set[str] = set()
        """Places of records, since the last snapshot, that we could not go on with."""

        self._bench = Bench(Side.new(standard_of(settings.model)))
        self._writer: QualityWriter | None = None
        self._manifest = NOTHING
        self._reference = ""
        self._told: tuple[object, ...] | None = None
        """Models and masks that the workers were told of."""

        self._shown = self._snapped = 0.0

    def run(self, stopping: threading.Event) -> None:
        """Judge until told to stop; then leave a snapshot and the group."""
        self._metrics.state(JudgeState.STARTING)
        try:
            while not stopping.is_set():
                self._step()
            self._metrics.state(JudgeState.STOPPING)
            self._snapshot()
        finally:
            self._source.close()

    def _step(self) -> None:
        found = self._source.poll(self._settings.show_s / 2)
        came, went = self._source.changes()
        if went:
            logger.info("another judge is in office: standing by")
            self._writer = None
        if came:
            self._take_office()
        elif self._writer is not None:  # what was fetched before we took office is read again
            self._take_all(found, self._writer)
        self._look_round(time.monotonic())

    def _look_round(self, now: float) -> None:
        if now - self._shown > self._settings.show_s:
            self._shown = now
            role = JudgeState.STANDBY if self._writer is None else JudgeState.ACTIVE
            self._metrics.state(role)
            for behind in self._source.lag([0] if self._writer else []).values():
                self._metrics.lag(behind)
            standing = self._with_showers(self._bench.monitor.standing())
            if self._writer is not None:
                self._metrics.standing(standing)
                self._pass_on(now)
                self._tell_reference()
                self._tell_models()
            self._show(standing, self._bench, role)
        if now - self._snapped > self._settings.snapshot_s:
            self._snapped = now
            self._snapshot()

    def _tell_reference(self) -> None:
        """Publish the reference in force, by condition cell, where it is another than before."""
        expectation = self._bench.monitor.watch.expectation
        if expectation.id == self._reference:
            return
        self._reference = expectation.id
        model = self._bench.primary.model.hash
        told = {
            "id": expectation.id,
            "origin": expectation.origin,
            "model": model,
            "at": self._bench.at,
            "levels": LEVELS,
            "showers": expectation.showers.tolist(),
            "exceedances": expectation.exceedances.tolist(),
        }
        self._sink.append(topics.REFERENCES, orjson.dumps(told), key=model, partition=0)

    def _tell_models(self, *, again: bool = False) -> None:
        """Tell workers and people which models are in force, where that is news."""
        first, primary, shadow = self._bench.models
        now = (first, primary, shadow, self._bench.masked)
        report = self._bench.comparison.report(self._settings.shadow_s) if shadow else {}
        self._metrics.shadow(shadow, report)
        if again or now != self._told:
            self._told = now
            told = Control(self._bench.at, *now, comparison=report)
            control.publish(self._sink, told)

    # Office

    def _take_office(self) -> None:
        manifest = self._snapshots.newest()
        bench = self._anew(manifest.models)
        mine = (self._settings.fingerprint, bench.primary.model.hash)
        if manifest.fingerprint and mine != (manifest.fingerprint, manifest.models[1]):
            logger.warning("the last snapshot is of another kind: judging from anew")
            # What was counted stays counted; only its judgement is of no use here.
            bench.fence, bench.at = Fence.from_json(manifest.fence), manifest.at
        elif manifest.fingerprint and not self._restore(bench, manifest):
            first = manifest.models[0]
            bench = self._anew((first, first, ""))
            manifest = replace(NOTHING, turn=manifest.turn)
        self._writer = quality_log.take_office(
            self._sink, self._log, self._settings.name, manifest.quality_at, self._letters
        )
        self._bench, self._manifest = bench, manifest
        self._told = None
        self._source.start({0: bench.at or None})
        self._snapped = time.monotonic()
        logger.info("in office from offset %d, by model %s", bench.at, bench.primary.model.hash)

    def _anew(self, models: tuple[str, str, str]) -> Bench:
        """Return a bench that has seen nothing, with these models as far as they can be had."""
        first, primary, shadow = models
        if not primary:
            said = control.newest(self._log.read_all(topics.MODELS), self._letters)
            first = primary = self._settings.model if said is None else said.first
        bench = Bench(self._side(primary) or Side.new(self._standard_of(self._settings.model)))
        bench.first = first
        bench.seconds.latency_s = self._settings.latency_s
        if shadow:
            bench.shadow = self._side(shadow)
        return bench

    def _side(self, model: str) -> Side | None:
        try:
            return Side.new(self._standard_of(model))
        except ModelAbsent as absent:
            logger.error("%s", absent)  # noqa: TRY400 - no fault of ours, and no trace to show
            return None

    def _restore(self, bench: Bench, manifest: Manifest) -> bool:
        """Take a snapshot up; return whether it could be."""
        arrays = self._snapshots.state(manifest) if manifest.chunks else None
        if arrays is None:
            return False
        try:
            bench.restore(arrays, manifest)
        except StateError as error:
            logger.warning("%s", error)
            return False
        if bench.shadow is None:  # it cannot be had any more
            bench.comparison = Comparison()
        return True

    def _snapshot(self) -> None:
        if self._writer is None or self._bench.at == self._manifest.at:
            return
        self._writer.settle()
        self._letters.settle()
        self._poison.clear()
        plan = Manifest(
            at=self._bench.at,
            quality_at=self._writer.reached,
            fence=self._bench.fence.to_json(),
            chunks=(),
            sha256="",
            totals=dict(self._bench.totals),
            turn=self._manifest.turn + 1,
            fingerprint=self._settings.fingerprint,
            models=self._bench.models,
        )
        self._manifest = self._snapshots.write(self._sink, self._bench.state(), plan)
        self._source.commit({0: self._bench.at})
        self._tell_models(again=True)

    # Records

    def _take_all(self, found: list[Record], writer: QualityWriter) -> None:
        for record in found:
            try:
                self._take(record, writer)
            except (Unavailable, Refused, MemoryError):
                raise
            except Exception as error:
                self._poison.add(place(record))
                if len(self._poison) > MOST_PASSED:
                    raise
                logger.exception("%s: the judge could not go on", place(record))
                self._letters.refuse(record, DecodeError(Rejection.POISON, repr(error)[:200]))
                # What it has changed half is thrown away: from the last snapshot, without it.
                self._take_office()
                return

    def _take(self, record: Record, writer: QualityWriter) -> None:
        bench = self._bench
        try:
            if place(record) in self._poison:
                raise DecodeError(Rejection.POISON, "the judge could not go on")  # noqa: TRY301
            if place(record) in self._settings.skip:
                raise DecodeError(Rejection.SKIPPED, "the settings pass it over")  # noqa: TRY301
            entry = ranges.header(record.value)
            if isinstance(entry, Open):
                bench.opened(record.offset, entry, record.timestamp_ms)
            elif isinstance(entry, Said):
                self._hear(entry, record, writer)
            else:
                self._range(entry, record, writer)
        except DecodeError as error:
            self._letters.refuse(record, error)
            self._metrics.refused("malformed")
        bench.at = record.offset + 1

    def _range(self, entry: Range, record: Record, writer: QualityWriter) -> None:
        bench = self._bench
        self._look_for_a_hole(entry)
        reason = bench.fence.accept(entry)
        if reason:
            self._metrics.refused(reason)
            logger.info("range %d[%d,%d) is %s", entry.partition, entry.begin, entry.end, reason)
            return
        windows = bench.windows(record.value or b"", entry)
        bench.totals.update(entry.rejects)
        bench.totals.update(showers=entry.showers, records=entry.records, missing=entry.missing)
        self._metrics.accepted(entry.showers)
        if entry.showers and bench.primary.model.hash not in {entry.model, entry.shadow}:
            self._metrics.refused("model")
        self._count_strangers(entry, windows.values())
        bench.heard_beside(entry)
        bench.remember(entry)
        bench.masking(entry, windows)
        if entry.shed:
            for said in bench.leave_out(entry):
                self._say(said, record.offset, writer)
        self._judge(bench.seconds.add(entry, windows, record.timestamp_ms), record.offset, writer)

    def _judge(self, found: Iterable[Closed], at: int, writer: QualityWriter) -> None:
        bench = self._bench
        for closed in found:
            if closed.late:
                self._metrics.late()
            for said in bench.judge(closed):
                self._say(said, at, writer)
            bench.judge_beside(closed)
        for said in bench.ended():
            self._say(said, at, writer)

    def _look_for_a_hole(self, entry: Range) -> None:
        """Say aloud what a range that counts leaves out: a range before it could not be read."""
        lost = self._bench.fence.hole(entry)
        if lost:
            self._metrics.refused("gap")
            logger.warning(
                "%s[%d]: %d offsets before %d are in no range that can be read",
                entry.topic, entry.partition, lost, entry.begin,
            )  # fmt: skip

    def _count_strangers(self, entry: Range, windows: Iterable[ByModel]) -> None:
        """Say aloud that windows hold regions which this judge's detector does not have."""
        places = self._bench.monitor.places
        strange = {
            int(id_)
            for found in windows
            for window in found.values()
            for id_ in places.unknown(window.regions)
        }
        if strange:
            self._metrics.refused("region")
            logger.warning(
                "range %d[%d,%d) has regions that the detector does not have: %s",
                entry.partition, entry.begin, entry.end, sorted(strange)[:8],
            )  # fmt: skip

    def _hear(self, entry: Said, record: Record, writer: QualityWriter) -> None:
        try:
            act = self._act(entry)
        except records.RecordError as error:
            raise DecodeError(Rejection.SCHEMA, str(error)) from None
        if isinstance(act, ModelAct):
            self._change_models(act, record.offset, writer)
            return
        for said in self._done(act):
            self._say(said, record.offset, writer)

    def _done(self, act: records.Record) -> tuple[records.Record, ...]:
        """Carry out what people or the data acquisition said; return it, and what it changes."""
        match act:
            case Acknowledgement():
                return (act, *self._bench.acknowledge(act))
            case ReferenceAct():
                return (act, *self._bench.act(act))
            case RunAct():
                return self._begin_or_end(act)
        return ()

    def _begin_or_end(self, act: RunAct) -> tuple[records.Record, ...]:
        said = self._bench.run_act(act)
        if said is None:
            return ()
        logger.info("run %d: %s", act.run, act.order)
        return (act, *said)

    def _pass_on(self, now: float) -> None:
        """Put what is said of runs among the windows."""
        for act in self._relay.due(self._bench.runs_at, now):
            value = encode_said(Said("record", records.to_json(act)))
            self._sink.append(topics.WINDOWS, value, key=topics.RUNS, partition=0)

    def _act(self, entry: Said) -> records.Record:
        """Return what a person said; `RecordError` if it is nothing, or masks what there is not.

        Whoever wrote it may see another detector than we do.
        """
        act = records.from_json(entry.body)
        regions = set(self._bench.monitor.places.ids.tolist())
        if isinstance(act, RunAct) and not regions.issuperset(act.regions or ()):
            raise records.RecordError(f"run {act.run}: the detector does not have all its regions")
        if not isinstance(act, Acknowledgement):
            return act
        cells = range(self._bench.primary.model.form.n_cells)
        for mask in act.masks:
            if mask.region not in regions or any(cell not in cells for cell in mask.cells):
                raise records.RecordError(f"the detector does not have all that {act.who} masks")
        return act

    def _change_models(self, act: ModelAct, at: int, writer: QualityWriter) -> None:
        """Carry out an order about the models, and say what became of it."""
        said: tuple[records.Record, ...] = ()
        try:
            said = succession.carry_out(
                self._bench, act, self._standard_of, self._settings.shadow_s
            )
        except succession.Unwilling as reason:
            act = replace(act, refused=str(reason))
        logger.info("%s %s: %s", act.order, act.model, act.refused or "done")
        for record in (act, *said):
            self._say(record, at, writer)

    def _say(self, said: records.Record, at: int, writer: QualityWriter) -> None:
        if isinstance(said, Alarm):
            self._bench.note(said)
            said = replace(said, worst=self._worst(said))
        if writer.publish(said, at) and isinstance(said, Alarm) and said.state is State.RAISED:
            self._metrics.raised(said)
            logger.info("alarm: %s", said.summary)

    def _with_showers(self, standing: Standing) -> Standing:
        """Return the standing with the strangest showers: of each alarm, and of the last minutes."""
        since_ns = ((standing.data_second or 0) - SHOWN_S) * 1_000_000_000
        late = [w for kept in self._bench.worst.values() for w in kept if w.time_ns >= since_ns]
        return replace(
            standing,
            alarms=tuple(replace(alarm, worst=self._worst(alarm)) for alarm in standing.alarms),
            worst=tuple(sorted(late, key=lambda w: (w.p, w.event_id))[:SHOWN_WORST]),
            stream=self._bench.stream(standing.stream),
        )

    def _worst(self, alarm: Alarm) -> tuple[WorstShower, ...]:
        """Return the worst showers in the alarm's regions since its onset."""
        regions = {share.region for share in alarm.regions} or set(self._bench.worst)
        showers = [
            shower
            for region in sorted(regions)
            for shower in self._bench.worst.get(region, ())
            if shower.time_ns >= alarm.onset_ns
        ]
        return tuple(sorted(showers, key=lambda s: (s.p, s.event_id))[:SHOWN_WORST])
