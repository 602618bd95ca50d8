"""The judge: ranges of windows in, alarms and verdicts out, once each, whoever is in office."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from consumers.exactly_once import quality_log
from consumers.exactly_once.fence import Tail
from consumers.exactly_once.places import Known, find, words
from consumers.exactly_once.seconds import LATENCY_S
from consumers.exactly_once.snapshots import NOTHING, Manifest, Snapshots, fence_at
from consumers.judge import succession
from consumers.judge.relay import Relay
from consumers.judge.state import JudgeState, Loss, ModelMonitor, StateError
from consumers.wire import control, ranges, topics
from consumers.wire.artefact_form import ModelAbsent
from consumers.wire.block import DecodeError
from consumers.wire.control import Control, Notice
from consumers.wire.letters import DeadLetters, place
from consumers.wire.ranges import Open, PersonSaid, Range, Stream, encode_said
from consumers.wire.record import Displaced, Refused, Unavailable, digest
from monitor.display.metrics.judge import JudgeRole
from monitor.judging.comparison import Comparison
from monitor.quality import records
from monitor.quality.acknowledgements import Acknowledgement
from monitor.quality.alarms import Alarm, State, WorstShower
from monitor.quality.model_acts import ModelAct
from monitor.quality.reference_acts import ReferenceAct
from monitor.quality.rejection import Rejection
from monitor.quality.run_acts import RunAct

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

    from consumers.exactly_once.closed import ByModel, Closed
    from consumers.exactly_once.quality_log import QualityWriter
    from consumers.judge.succession import JudgingModelOf
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


_WINDOWS = Stream(topics.WINDOWS, "", 0)


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
        standard_of: JudgingModelOf,
        clients: Clients,
        settings: JudgeSettings,
        metrics: JudgeMetrics,
        show: Callable[[Standing, JudgeState, JudgeRole], None],
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

        self._bench = JudgeState(ModelMonitor.new(standard_of(settings.model)))
        self._writer: QualityWriter | None = None
        self._manifest = NOTHING
        self._told: tuple[object, ...] | None = None
        """Models and masks that the workers were told of."""

        self._office_end = 0
        """End of the windows topic when we took office: the judge before us saw no further."""

        self._windows_id = ""
        self._tail = Tail()
        """Of the last record of the windows topic that was taken in."""

        self._noticed: dict[Stream, int] = {}
        """Newest token of each partition that its worker was told does not count."""

        self._shown = self._snapped = 0.0

    def run(self, stopping: threading.Event) -> None:
        """Judge until told to stop; then leave a snapshot and the group."""
        self._metrics.state(JudgeRole.STARTING)
        try:
            while not stopping.is_set():
                self._step()
            self._metrics.state(JudgeRole.STOPPING)
            self._snapshot()
        finally:
            self._source.close()

    def _step(self) -> None:
        try:
            found = self._source.poll(self._settings.show_s / 2)
        except Displaced:
            found = []
            self._go_elsewhere()
        came, went = self._source.changes()
        if went:
            logger.info("another judge is in office: standing by")
            self._writer = None
            # All this is that one's to tell.
            self._metrics.counted(None)
            self._metrics.standing(None)
            self._metrics.lag(0, 0)
        if came:
            self._take_office()
        elif self._writer is not None:  # what was fetched before we took office is read again
            self._take_all(found, self._writer)
        self._look_round(time.monotonic())

    def _look_round(self, now: float) -> None:
        if now - self._shown > self._settings.show_s:
            self._shown = now
            role = JudgeRole.STANDBY if self._writer is None else JudgeRole.ACTIVE
            self._metrics.state(role)
            for behind in self._source.lag([0] if self._writer else []).values():
                self._metrics.lag(*behind)
            standing = self._with_showers(self._bench.monitor.standing())
            if self._writer is not None:
                # Until we are where the judge before us was, its alarms would seem to be over.
                if self._bench.at >= self._office_end:
                    self._metrics.standing(standing)
                self._count()
                self._pass_on(now)
                self._tell_models()
            self._show(standing, self._bench, role)
        if now - self._snapped > self._settings.snapshot_s:
            self._snapped = now
            self._snapshot()

    def _count(self) -> None:
        """Show what the state counts, once it is where the judge before us was."""
        if self._bench.at >= self._office_end:
            self._metrics.counted(self._bench.counted())

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
        bench, manifest = self._revived()
        self._windows_id = self._source.identity()
        where = manifest.place(self._log, self._windows_id)
        bench.fence, bench.at = fence_at(manifest, where), where.begin
        self._writer = quality_log.take_office(
            self._sink, self._log, self._settings.name, manifest, self._letters
        )
        self._bench, self._manifest, self._noticed = bench, manifest, {}
        there = where.begin == where.follows
        self._tail = Tail(0, manifest.epoch, manifest.last) if there else Tail()
        self._told = None
        _, self._office_end = self._log.bounds(topics.WINDOWS)
        self._metrics.counted(None)
        self._source.start({0: bench.at})
        self._snapped = time.monotonic()
        for line in words(_WINDOWS, where):
            logger.warning("%s", line)
        logger.info("in office from offset %d, by model %s", bench.at, bench.primary.model.hash)

    def _revived(self) -> tuple[JudgeState, Manifest]:
        """Return a bench out of the newest snapshot that can be read, with its manifest."""
        found = self._snapshots.found()
        alike = [m for m in found if m.fingerprint == self._settings.fingerprint]
        for manifest in alike:
            bench = self._anew(manifest.models)
            if self._restore(bench, manifest):
                return bench, manifest
        if found and not alike:
            logger.warning("the last snapshot is of another kind: judging from anew")
            # What was counted stays counted; only its judgement is of no use here.
            return self._anew(found[0].models), found[0]
        first = found[0].models[0] if found else ""
        turn = found[0].turn if found else NOTHING.turn
        return self._anew((first, first, "")), replace(NOTHING, turn=turn)

    def _go_elsewhere(self) -> None:
        """Go on where the windows topic is now: what it has lost since, we know."""
        self._windows_id, before = self._source.identity(), self._windows_id
        known = Known(self._bench.at, before, self._tail.epoch, self._tail.last)
        where = find(known, self._windows_id, self._log, topics.WINDOWS)
        if where.again:
            self._bench.fence.tokens.clear()
        self._bench.at, self._tail = where.begin, Tail()
        for line in words(_WINDOWS, where):
            logger.warning("%s", line)
        self._source.start({0: where.begin})
        # Who starts now must find a place in the log as it is.
        self._snapshot(again=True)

    def _anew(self, models: tuple[str, str, str]) -> JudgeState:
        """Return a bench that has seen nothing, with these models as far as they can be had."""
        first, primary, shadow = models
        if not primary:
            said = control.newest(self._log.read_all(topics.MODELS), self._letters)
            first = primary = self._settings.model if said is None else said.first
        try:
            bench = JudgeState(ModelMonitor.new(self._standard_of(primary)), first)
        except ModelAbsent as absent:
            # By no other: workers score by it, and what another judges is nobody's verdict.
            raise Unavailable(f"{absent}; judging waits for it") from None
        bench.seconds.latency_s = self._settings.latency_s
        if shadow:
            bench.shadow = self._shadow(shadow)
        return bench

    def _shadow(self, model: str) -> ModelMonitor | None:
        try:
            return ModelMonitor.new(self._standard_of(model))
        except ModelAbsent as absent:
            logger.error("%s", absent)  # noqa: TRY400 - no fault of ours, and no trace to show
            return None

    def _restore(self, bench: JudgeState, manifest: Manifest) -> bool:
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

    def _snapshot(self, *, again: bool = False) -> None:
        if self._writer is None or (self._bench.at == self._manifest.at and not again):
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
            windows_id=self._windows_id,
            epoch=self._tail.epoch,
            last=self._tail.last,
            office=self._writer.token,
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
            elif isinstance(entry, PersonSaid):
                self._hear(entry, record, writer)
            else:
                self._range(entry, record, writer)
        except DecodeError as error:
            self._letters.refuse(record, error)
            bench.fence.unreadable()
            bench.tally["ranges_refused/malformed"] += 1
        bench.at = record.offset + 1
        self._tail = Tail(0, record.epoch, digest(record))

    def _range(self, entry: Range, record: Record, writer: QualityWriter) -> None:
        bench = self._bench
        known, hole = bench.fence.ends.get(entry.stream), bench.fence.hole(entry)
        reason = bench.fence.accept(entry)
        if reason:
            bench.tally[f"ranges_refused/{reason}"] += 1
            logger.info("range %d[%d,%d) is %s", entry.partition, entry.begin, entry.end, reason)
            self._warn(entry, reason)
            return
        windows = bench.windows(record.value or b"", entry)
        bench.totals.update(entry.rejects)
        bench.totals.update(showers=entry.showers, records=entry.records, missing=entry.missing)
        bench.tally["ranges_accepted"] += 1
        self._lose(entry, known, hole, record.offset, writer)
        if entry.showers and bench.primary.model.hash not in {entry.model, entry.shadow}:
            bench.tally["ranges_refused/model"] += 1
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
                bench.tally["windows_late"] += 1
            for said in bench.judge(closed):
                self._say(said, at, writer)
            bench.judge_beside(closed)
        for said in bench.ended():
            self._say(said, at, writer)

    def _lose(
        self, entry: Range, known: int | None, hole: int, at: int, writer: QualityWriter
    ) -> None:
        """Count what a range says is gone, and what went between it and the one before."""
        loss = Loss.of(entry)
        if known is not None and entry.after > known:
            gone, why = entry.begin - known, "unreadable" if hole else "expired"
            loss = Loss(entry.topic, entry.partition, gone, why, *entry.lost_ns)
        if hole:
            self._bench.tally["ranges_refused/gap"] += 1
            logger.warning(
                "%s[%d]: %d offsets before %d are in no range that can be read",
                entry.topic, entry.partition, hole, entry.begin,
            )  # fmt: skip
        if loss is not None:
            logger.warning("%s", loss)
            for said in self._bench.lose(loss):
                self._say(said, at, writer)

    def _warn(self, entry: Range, reason: str) -> None:
        """Tell the worker of ranges that do not count, once for each token."""
        if self._noticed.get(entry.stream) == entry.token:
            return
        self._noticed[entry.stream] = entry.token
        holder = self._bench.fence.holders.get(entry.stream, "")
        control.warn(
            self._sink,
            Notice(entry.stream, entry.token, reason, "" if holder == entry.worker else holder),
        )

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
            self._bench.tally["ranges_refused/region"] += 1
            logger.warning(
                "range %d[%d,%d) has regions that the detector does not have: %s",
                entry.partition, entry.begin, entry.end, sorted(strange)[:8],
            )  # fmt: skip

    def _hear(self, entry: PersonSaid, record: Record, writer: QualityWriter) -> None:
        try:
            act = self._act(entry)
        except records.RecordError as error:
            raise DecodeError(Rejection.SCHEMA, str(error)) from None
        if isinstance(act, ModelAct):
            self._change_models(act, record.offset, writer)
            return
        for said in self._done(act):
            self._say(said, record.offset, writer)

    def _done(self, act: records.QualityRecord) -> tuple[records.QualityRecord, ...]:
        """Carry out what people or the data acquisition said; return it, and what it changes."""
        match act:
            case Acknowledgement():
                return (act, *self._bench.acknowledge(act))
            case ReferenceAct():
                return (act, *self._bench.act(act))
            case RunAct():
                return self._begin_or_end(act)
        return ()

    def _begin_or_end(self, act: RunAct) -> tuple[records.QualityRecord, ...]:
        said = self._bench.run_act(act)
        if said is None:
            return ()
        logger.info("run %d: %s", act.run, act.order)
        return (act, *said)

    def _pass_on(self, now: float) -> None:
        """Put what is said of runs among the windows."""
        for act in self._relay.due(self._bench.runs_at, now):
            value = encode_said(PersonSaid("record", records.to_json(act)))
            self._sink.append(topics.WINDOWS, value, key=topics.RUNS, partition=0)

    def _act(self, entry: PersonSaid) -> records.QualityRecord:
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
        of_detector = self._bench.monitor.places.detector.channels
        channels = range(0 if of_detector is None else len(of_detector))
        for mask in act.masks:
            absent = [cell for cell in mask.cells if cell not in cells]
            absent += [channel for channel in mask.channels if channel not in channels]
            if mask.region not in regions or absent:
                raise records.RecordError(f"the detector does not have all that {act.who} masks")
        return act

    def _change_models(self, act: ModelAct, at: int, writer: QualityWriter) -> None:
        """Carry out an order about the models, and say what became of it."""
        said: tuple[records.QualityRecord, ...] = ()
        try:
            said = succession.carry_out(
                self._bench, act, self._standard_of, self._settings.shadow_s
            )
        except succession.Unwilling as reason:
            act = replace(act, refused=str(reason))
        logger.info("%s %s: %s", act.order, act.model, act.refused or "done")
        for record in (act, *said):
            self._say(record, at, writer)

    def _say(self, said: records.QualityRecord, at: int, writer: QualityWriter) -> None:
        if isinstance(said, Alarm):
            self._bench.note(said)
            said = replace(said, worst=self._worst(said))
        new = writer.publish(said, at)
        if isinstance(said, Alarm) and said.state is State.RAISED and said.version == 1:
            self._bench.tally[f"alarms_raised/{said.severity.value}"] += 1
            if new:
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
