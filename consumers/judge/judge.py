"""The judge: ranges of windows in, alarms and verdicts out, once each, whoever is in office."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from consumers.exactly_once import quality_log
from consumers.exactly_once.fence import Tail
from consumers.exactly_once.resuming import Known, find, words
from consumers.exactly_once.snapshots import NOTHING, Snapshots
from consumers.judge import state_form
from consumers.judge.beginning import beginning
from consumers.judge.deputy import Deputy
from consumers.judge.models import ModelMonitor
from consumers.judge.passed_over import PassedOver
from consumers.judge.pointing import with_showers
from consumers.judge.relay import Relay
from consumers.judge.revival import Revival
from consumers.judge.state import JudgeState
from consumers.judge.taking import Taking
from consumers.judge.telling import Telling
from consumers.wire import topics
from consumers.wire.letters import DeadLetters
from consumers.wire.ranges import Stream
from consumers.wire.record import Displaced, Refused, Unavailable
from monitor.display.metrics.judge import JudgeRole

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from consumers.exactly_once.quality_log import QualityWriter
    from consumers.judge.beginning import Beginning
    from consumers.judge.model_orders import JudgingModelOf
    from consumers.judge.settings import JudgeSettings
    from consumers.wire.lumisection_form import Part
    from consumers.wire.record import Append, Clients, Record
    from monitor.display.metrics.judge import JudgeMetrics
    from monitor.display.standing import Standing
    from monitor.quality import records

logger = logging.getLogger(__name__)

PAST_IDLE_S, PAST_BUSY_S = 0.3, 0.05
"""How long the past is taken in at a step, s, with nothing that comes now and with something."""

_WINDOWS = Stream(topics.WINDOWS, "", 0)


class Judge:
    """Judges while the group gives it the windows topic, stands by while it does not."""

    def __init__(
        self,
        judging_model_of: JudgingModelOf,
        clients: Clients,
        settings: JudgeSettings,
        metrics: JudgeMetrics,
        show: Callable[[Standing, JudgeState, JudgeRole], None],
        relay: Relay | None = None,
    ) -> None:
        """Prepare a judge.

        Parameters
        ----------
        judging_model_of
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
        self._passed_over = PassedOver(self._letters)
        self._revival = Revival(
            judging_model_of, clients.log, self._snapshots, self._letters, settings
        )
        self._taking = self._taker(JudgeState(ModelMonitor.new(judging_model_of(settings.model))))
        self._deputy: Deputy | None = None
        """While the state that counts is far behind."""

        self._writer: QualityWriter | None = None
        self._kept: list[Append] = []
        """Parts of lumisections that are under way."""

        self._manifest = NOTHING
        self._telling = Telling(self._sink, settings.shadow_s)
        self._office_end = 0
        """End of the windows topic when we took office: the judge before us saw no further."""

        self._windows_id = ""
        self._shown = self._snapped = 0.0

    @property
    def _state(self) -> JudgeState:
        """Return the state that judges what comes now."""
        return self._taking.state

    @property
    def _whole(self) -> JudgeState:
        """Return the state that counts."""
        return self._state if self._deputy is None else self._deputy.past.state

    def _taker(self, state: JudgeState) -> Taking:
        return Taking(
            state,
            self._settings,
            self._revival.judging_model_of,
            self._letters,
            self._publish,
            self._keep,
            lambda entry, reason: self._telling.refused(state, entry, reason),
            self._passed_over.places,
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
            # All this is that one's to tell.
            self._metrics.counted(None)
            self._metrics.standing(None)
            self._metrics.lag(0, 0)
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
            standing = with_showers(self._state, self._state.monitor.standing())
            if self._writer is not None:
                # Until we are where the judge before us was, its alarms would seem to be over.
                if self._state.at >= self._office_end:
                    self._metrics.standing(standing)
                self._metrics.past(self._state.owed)
                self._count()
                if self._deputy is None or self._deputy.said is None:
                    # Which of them are passed on already only a state that counts can tell.
                    self._telling.pass_on(self._relay, self._state.runs_at, now)
                self._tell_models()
            self._show(standing, self._state, role)
        if now - self._snapped > self._settings.snapshot_s:
            self._snapped = now
            self._snapshot()

    def _count(self) -> None:
        """Show what the state counts, once it is where the judge before us was."""
        if self._whole.at >= self._office_end:
            self._metrics.counted(self._whole.counted())

    def _tell_models(self, *, again: bool = False) -> None:
        self._metrics.shadow(*self._telling.models(self._state, again=again))

    # Office

    def _take_office(self) -> None:
        self._windows_id = self._source.identity()
        found = beginning(self._revival, self._windows_id)
        state, self._manifest = found.state, found.manifest
        self._writer = quality_log.take_office(
            self._sink, self._log, self._settings.name, found.manifest, self._letters
        )
        self._taking = self._taker(state)
        self._telling = Telling(self._sink, self._settings.shadow_s)
        self._deputy = self._deputised(found, self._writer) if found.deputised else None
        self._office_end = found.end
        self._metrics.counted(None)
        self._source.start({0: self._state.at})
        self._snapped = time.monotonic()
        for line in words(_WINDOWS, found.where):
            logger.warning("%s", line)
        logger.info("in office from offset %d, by model %s", state.at, state.primary.model.hash)

    def _deputised(self, found: Beginning, writer: QualityWriter) -> Deputy:
        """Let a deputy judge from an offset on, while the state that counts is before it."""
        state, manifest, live = found.state, found.manifest, found.live
        logger.warning("judging live from offset %d; %d to go before", live, live - state.at)
        past = self._taker(state)
        self._taking = self._taker(self._revival.deputy(state, manifest, live))
        since, until = manifest.quality_at, manifest.said_until
        return Deputy(past, self._taking, self._log, writer, since, found.said, until)

    def _catch_up(self, seconds: float) -> None:
        """Take the past in for a while; with all of it the state that counts judges on."""
        deputy = self._deputy
        if deputy is None:
            return
        done = self._guarded(lambda: deputy.step(seconds), deputy.past)
        if self._deputy is not deputy:
            return
        self._state.owed = deputy.owed
        if done:
            deputy.leave()
            self._taking, self._deputy = self._taker(deputy.past.state), None
            self._snapshot(again=True)

    def _go_elsewhere(self) -> None:
        """Go on where the windows topic is now: what it has lost since, we know."""
        self._windows_id, before = self._source.identity(), self._windows_id
        if self._deputy is not None:  # what it knows is little: from the snapshot again
            self._take_office()
            return
        state = self._state
        known = Known(state.at, before, state.tail.epoch, state.tail.last)
        where = find(known, self._windows_id, self._log, topics.WINDOWS)
        if where.again:
            state.fence.tokens.clear()
        state.at, state.tail = where.begin, Tail()
        for line in words(_WINDOWS, where):
            logger.warning("%s", line)
        self._source.start({0: where.begin})
        # Who starts now must find a place in the log as it is.
        self._snapshot(again=True)

    def _snapshot(self, *, again: bool = False) -> None:
        state, deputy = self._whole, self._deputy
        if self._writer is None or (state.at == self._manifest.at and not again):
            return
        self._writer.settle()
        kept, self._kept = self._kept, []
        for append in kept:
            append.offset()
        self._letters.settle()
        self._passed_over.places.clear()
        plan = replace(
            state_form.manifest_of(state),
            quality_at=self._writer.reached if deputy is None else deputy.quality_at,
            turn=self._manifest.turn + 1,
            fingerprint=self._settings.fingerprint,
            windows_id=self._windows_id,
            office=self._writer.token,
            said_until=0 if deputy is None else deputy.said_until,
        )
        self._manifest = self._snapshots.write(self._sink, state_form.arrays_of(state), plan)
        self._source.commit({0: state.at})
        self._tell_models(again=True)

    # Records

    def _take_all(self, found: list[Record]) -> None:
        taking = self._taking
        for record in found:
            self._guarded(partial(taking.take, record), taking)
            if self._taking is not taking:
                return

    def _guarded(self, take: Callable[[], bool | None], taking: Taking) -> bool | None:
        """Take records in; one that we cannot go on with is passed over, from the last snapshot."""
        try:
            return take()
        except (Unavailable, Refused, MemoryError):
            raise
        except Exception as error:
            if not self._passed_over.add(taking.taken, error):
                raise
            # What it has changed half is thrown away: from the last snapshot, without it.
            self._take_office()
            return None
