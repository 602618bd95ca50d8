"""The judge: ranges of windows in, alarms and verdicts out, once each, whoever is in office."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from consumers.exactly_once import quality_log
from consumers.exactly_once.contents import listed
from consumers.exactly_once.fence import Tail
from consumers.exactly_once.places import Known, find, words
from consumers.exactly_once.snapshots import NOTHING, Manifest, Snapshots, fence_at
from consumers.judge import state_form
from consumers.judge.deputy import Deputy, live_from
from consumers.judge.models import ModelMonitor
from consumers.judge.pointing import with_showers
from consumers.judge.relay import Relay
from consumers.judge.revival import Revival
from consumers.judge.state import JudgeState
from consumers.judge.taking import Taking
from consumers.wire import control, topics
from consumers.wire.block import DecodeError
from consumers.wire.control import Control, Notice
from consumers.wire.letters import DeadLetters, place
from consumers.wire.ranges import PersonSaid, Range, Stream, encode_said
from consumers.wire.record import Displaced, Refused, Unavailable
from monitor.display.metrics.judge import JudgeRole
from monitor.quality import records
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from consumers.exactly_once.contents import Contents
    from consumers.exactly_once.quality_log import QualityWriter
    from consumers.judge.settings import JudgeSettings
    from consumers.judge.succession import JudgingModelOf
    from consumers.wire.lumisection_form import Part
    from consumers.wire.record import Append, Clients, Record
    from monitor.display.metrics.judge import JudgeMetrics
    from monitor.display.standing import Standing

logger = logging.getLogger(__name__)

Done = TypeVar("Done")

MOST_PASSED = 8
"""Records that are passed over between two snapshots because the judge could not go on with them:
with more, it is not the records that are at fault."""

PAST_IDLE_S, PAST_BUSY_S = 0.3, 0.05
"""How long the past is taken in at a step, s, with nothing that comes now and with something."""

_WINDOWS = Stream(topics.WINDOWS, "", 0)


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
        self._source, self._sink, self._log = clients.source, clients.sink, clients.log
        self._settings = settings
        self._metrics = metrics
        self._show = show
        self._letters = DeadLetters(lambda: self._sink, metrics.undigested)
        self._snapshots = Snapshots(clients.log, self._letters)
        self._poison: set[str] = set()
        """Places of records, since the last snapshot, that we could not go on with."""

        self._revival = Revival(standard_of, clients.log, self._snapshots, self._letters, settings)
        self._taking = self._taker(JudgeState(ModelMonitor.new(standard_of(settings.model))))
        self._deputy: Deputy | None = None
        """While the state that counts is far behind."""

        self._writer: QualityWriter | None = None
        self._kept: list[Append] = []
        """Parts of lumisections that are under way."""

        self._manifest = NOTHING
        self._told: tuple[object, ...] | None = None
        """Models and masks that the workers were told of."""

        self._office_end = 0
        """End of the windows topic when we took office: the judge before us saw no further."""

        self._windows_id = ""
        self._noticed: dict[Stream, int] = {}
        """Newest token of each partition that its worker was told does not count."""

        self._shown = self._snapped = 0.0

    @property
    def _bench(self) -> JudgeState:
        """Return the state that judges what comes now."""
        return self._taking.bench

    @property
    def _whole(self) -> JudgeState:
        """Return the state that counts."""
        return self._bench if self._deputy is None else self._deputy.past.bench

    def _taker(self, bench: JudgeState) -> Taking:
        return Taking(
            bench,
            self._settings,
            self._revival.standard_of,
            self._letters,
            self._publish,
            self._keep,
            self._warn,
            self._poison,
        )

    def _publish(self, said: records.QualityRecord, at: int) -> bool:
        return self._writer is not None and self._writer.publish(said, at)

    def _keep(self, part: Part, value: bytes) -> None:
        append = self._sink.append(topics.LUMISECTIONS, value, key=part.key, partition=0)
        self._kept.append(append)

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
            self._writer = self._deputy = None
            self._metrics.counted(None)
            self._metrics.lag(0, 0)  # it is that one's to tell
        if came:
            self._take_office()
        elif self._writer is not None:  # what was fetched before we took office is read again
            self._take_all(found)
            self._catch_up(PAST_BUSY_S if found else PAST_IDLE_S)
        self._look_round(time.monotonic())

    def _look_round(self, now: float) -> None:
        if now - self._shown > self._settings.show_s:
            self._shown = now
            role = JudgeRole.STANDBY if self._writer is None else JudgeRole.ACTIVE
            self._metrics.state(role)
            for behind in self._source.lag([0] if self._writer else []).values():
                self._metrics.lag(*behind)
            standing = with_showers(self._bench, self._bench.monitor.standing())
            if self._writer is not None:
                self._metrics.standing(standing)
                self._metrics.past(self._bench.owed)
                self._count()
                self._pass_on(now)
                self._tell_models()
            self._show(standing, self._bench, role)
        if now - self._snapped > self._settings.snapshot_s:
            self._snapped = now
            self._snapshot()

    def _count(self) -> None:
        """Show what the state counts, once it is where the judge before us was."""
        if self._whole.at >= self._office_end:
            self._metrics.counted(self._whole.counted())

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
        bench, manifest = self._revival.revived()
        self._windows_id = self._source.identity()
        where = manifest.place(self._log, self._windows_id)
        bench.fence, bench.at = fence_at(manifest, where), where.begin
        there = where.begin == where.follows
        bench.tail = Tail(0, manifest.epoch, manifest.last) if there else Tail()
        live = live_from(self._log, bench.at, self._settings)
        said = self._said_before(manifest) if live > bench.at else None
        if said is not None and not manifest.chunks:
            last = said.runs[max(said.runs)].begin if said.runs else 0
            manifest = replace(manifest, quality_at=last, said_until=live)
        self._writer = quality_log.take_office(
            self._sink, self._log, self._settings.name, manifest, self._letters
        )
        self._taking, self._manifest, self._noticed = self._taker(bench), manifest, {}
        self._deputy = self._deputised(bench, live, said) if live > bench.at else None
        self._told = None
        _, self._office_end = self._log.bounds(topics.WINDOWS)
        self._metrics.counted(None)
        self._source.start({0: self._bench.at})
        self._snapped = time.monotonic()
        for line in words(_WINDOWS, where):
            logger.warning("%s", line)
        logger.info("in office from offset %d, by model %s", bench.at, bench.primary.model.hash)

    def _said_before(self, manifest: Manifest) -> Contents | None:
        """Return what was said by judges whose state was lost, None if none was."""
        lost = not manifest.chunks or manifest.at < manifest.said_until
        return listed(self._log, self._letters) if lost else None

    def _deputised(self, bench: JudgeState, live: int, said: Contents | None) -> Deputy | None:
        """Let a deputy judge from an offset on, while the state that counts is before it."""
        writer, manifest = self._writer, self._manifest
        assert writer is not None  # noqa: S101 - we have just taken office
        logger.warning("judging live from offset %d; %d to go before", live, live - bench.at)
        past = self._taker(bench)
        self._taking = self._taker(self._revival.deputy(bench, manifest, live))
        self._taking.keep = lambda *_: None  # of the past, too, in whole lumisections
        past.refused = lambda *_: None  # long ago: its worker knows, or is gone
        deputy = Deputy(
            past, self._taking, self._log, writer, manifest.quality_at, said, manifest.said_until
        )
        past.publish, self._taking.publish = deputy.recount, deputy.speak
        return deputy

    def _catch_up(self, seconds: float) -> None:
        """Take the past in for a while; with all of it the state that counts judges on."""
        deputy = self._deputy
        if deputy is None:
            return
        done = self._guarded(lambda: deputy.step(seconds), deputy.past)
        if self._deputy is not deputy:
            return
        self._bench.owed = deputy.owed
        if done:
            deputy.leave()
            self._taking, self._deputy = self._taker(deputy.past.bench), None
            self._snapshot(again=True)

    def _go_elsewhere(self) -> None:
        """Go on where the windows topic is now: what it has lost since, we know."""
        self._windows_id, before = self._source.identity(), self._windows_id
        if self._deputy is not None:  # what it knows is little: from the snapshot again
            self._take_office()
            return
        bench = self._bench
        known = Known(bench.at, before, bench.tail.epoch, bench.tail.last)
        where = find(known, self._windows_id, self._log, topics.WINDOWS)
        if where.again:
            bench.fence.tokens.clear()
        bench.at, bench.tail = where.begin, Tail()
        for line in words(_WINDOWS, where):
            logger.warning("%s", line)
        self._source.start({0: where.begin})
        # Who starts now must find a place in the log as it is.
        self._snapshot(again=True)

    def _snapshot(self, *, again: bool = False) -> None:
        bench, deputy = self._whole, self._deputy
        if self._writer is None or (bench.at == self._manifest.at and not again):
            return
        self._writer.settle()
        kept, self._kept = self._kept, []
        for append in kept:
            append.offset()
        self._letters.settle()
        self._poison.clear()
        plan = Manifest(
            at=bench.at,
            quality_at=self._writer.reached if deputy is None else deputy.quality_at,
            fence=bench.fence.to_json(),
            chunks=(),
            sha256="",
            totals=dict(bench.totals),
            turn=self._manifest.turn + 1,
            fingerprint=self._settings.fingerprint,
            windows_id=self._windows_id,
            epoch=bench.tail.epoch,
            last=bench.tail.last,
            office=self._writer.token,
            models=bench.models,
            said_until=0 if deputy is None else deputy.said_until,
        )
        self._manifest = self._snapshots.write(self._sink, state_form.arrays_of(bench), plan)
        self._source.commit({0: bench.at})
        self._tell_models(again=True)

    # Records

    def _take_all(self, found: list[Record]) -> None:
        taking = self._taking
        for record in found:
            self._guarded(partial(taking.take, record), taking)
            if self._taking is not taking:
                return

    def _guarded(self, take: Callable[[], Done], taking: Taking) -> Done | None:
        """Take records in; one that we cannot go on with is passed over, from the last snapshot."""
        try:
            return take()
        except (Unavailable, Refused, MemoryError):
            raise
        except Exception as error:
            record = taking.taken
            if record is None:
                raise
            self._poison.add(place(record))
            if len(self._poison) > MOST_PASSED:
                raise
            logger.exception("%s: the judge could not go on", place(record))
            self._letters.refuse(record, DecodeError(Rejection.POISON, repr(error)[:200]))
            # What it has changed half is thrown away: from the last snapshot, without it.
            self._take_office()
            return None

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

    def _pass_on(self, now: float) -> None:
        """Put what is said of runs among the windows."""
        if self._deputy is not None and self._deputy.said is not None:
            return  # which of them are passed on already, only the state that counts can tell
        for act in self._relay.due(self._bench.runs_at, now):
            value = encode_said(PersonSaid("record", records.to_json(act)))
            self._sink.append(topics.WINDOWS, value, key=topics.RUNS, partition=0)
