"""Taking: records of the windows topic come into a judge's state, and what follows is said."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from consumers.exactly_once.fence import Tail
from consumers.judge import model_orders
from consumers.judge.losses import Loss
from consumers.judge.pointing import worst
from consumers.wire import lumisection_form, ranges
from consumers.wire.block import DecodeError
from consumers.wire.letters import place
from consumers.wire.ranges import Open, PersonSaid
from consumers.wire.record import digest
from monitor.quality import records
from monitor.quality.acknowledgements import Acknowledgement
from monitor.quality.alarms import Alarm, State
from monitor.quality.model_acts import ModelAct
from monitor.quality.reference_acts import ReferenceAct
from monitor.quality.rejection import Rejection
from monitor.quality.run_acts import RunAct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from consumers.exactly_once.closed import ByModel, Closed
    from consumers.judge.model_orders import JudgingModelOf
    from consumers.judge.settings import JudgeSettings
    from consumers.judge.state import JudgeState
    from consumers.wire.letters import Letters
    from consumers.wire.lumisection_form import Part
    from consumers.wire.ranges import Range
    from consumers.wire.record import Record

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Taking:
    """Takes records in, in their order."""

    state: JudgeState
    settings: JudgeSettings
    judging_model_of: JudgingModelOf
    letters: Letters
    publish: Callable[[records.QualityRecord, int], bool]
    """Says what an offset of the windows topic led to; returns whether it is new."""

    keep: Callable[[Part, bytes], None] = lambda *_: None
    """Called with every part of a lumisection that is summed up, and its wire form."""

    refused: Callable[[Range, str], None] = lambda *_: None
    """Called with a range that does not count, and why."""

    poison: set[str] = field(default_factory=set)
    """Places of records that the judge could not go on with."""

    taken: Record | None = None
    """The record that is being taken in, or was last."""

    def take(self, record: Record) -> None:
        """Take the next record in."""
        state, self.taken = self.state, record
        try:
            if place(record) in self.poison:
                raise DecodeError(Rejection.POISON, "the judge could not go on")  # noqa: TRY301
            if place(record) in self.settings.skip:
                raise DecodeError(Rejection.SKIPPED, "the settings pass it over")  # noqa: TRY301
            entry = ranges.header(record.value)
            if isinstance(entry, Open):
                state.opened(record.offset, entry, record.timestamp_ms)
            elif isinstance(entry, PersonSaid):
                self._hear(entry, record)
            else:
                self._range(entry, record)
        except DecodeError as error:
            self.letters.refuse(record, error)
            state.fence.unreadable()
            state.tally["ranges_refused/malformed"] += 1
        state.at = record.offset + 1
        state.tail = Tail(0, record.epoch, digest(record))

    def _range(self, entry: Range, record: Record) -> None:
        state = self.state
        known, hole = state.fence.ends.get(entry.stream), state.fence.hole(entry)
        reason = state.fence.accept(entry)
        if reason:
            state.tally[f"ranges_refused/{reason}"] += 1
            logger.info("range %d[%d,%d) is %s", entry.partition, entry.begin, entry.end, reason)
            self.refused(entry, reason)
            return
        windows = state.windows(record.value or b"", entry)
        state.totals.update(entry.rejects)
        state.totals.update(showers=entry.showers, records=entry.records, missing=entry.missing)
        state.tally["ranges_accepted"] += 1
        self._lose(entry, known, hole, record.offset)
        if entry.showers and state.primary.model.hash not in {entry.model, entry.shadow}:
            state.tally["ranges_refused/model"] += 1
        self._count_strangers(entry, windows.values())
        state.heard_beside(entry)
        state.remember(entry)
        state.masking(entry, windows)
        if entry.shed:
            for said in state.leave_out(entry):
                self._say(said, record.offset)
        self._judge(state.seconds.add(entry, windows, record.timestamp_ms), record.offset)

    def _judge(self, found: Iterable[Closed], at: int) -> None:
        state = self.state
        for closed in found:
            if closed.late:
                state.tally["windows_late"] += 1
            for said in state.judge(closed):
                self._say(said, at)
            state.judge_beside(closed)
        for said in state.ended():
            self._say(said, at)
        self._sum_up(at, all_=state.seconds.ended())

    def _sum_up(self, at: int, *, all_: bool) -> None:
        """Keep what the windows of lumisections that are over come to."""
        for key, sum_ in self.state.sums.due(all_=all_):
            part = sum_.part(key, at)
            self.keep(
                part, lumisection_form.encode(part, sum_.window, self.state.primary.model.form)
            )

    def _lose(self, entry: Range, known: int | None, hole: int, at: int) -> None:
        """Count what a range says is gone, and what went between it and the one before."""
        loss = Loss.of(entry)
        if known is not None and entry.after > known:
            gone, why = entry.begin - known, "unreadable" if hole else "expired"
            loss = Loss(entry.topic, entry.partition, gone, why, *entry.lost_ns)
        if hole:
            self.state.tally["ranges_refused/gap"] += 1
            logger.warning(
                "%s[%d]: %d offsets before %d are in no range that can be read",
                entry.topic, entry.partition, hole, entry.begin,
            )  # fmt: skip
        if loss is not None:
            logger.warning("%s", loss)
            for said in self.state.lose(loss):
                self._say(said, at)

    def _count_strangers(self, entry: Range, windows: Iterable[ByModel]) -> None:
        """Say aloud that windows hold regions which this judge's detector does not have."""
        places = self.state.monitor.places
        strange = {
            int(id_)
            for found in windows
            for window in found.values()
            for id_ in places.unknown(window.regions)
        }
        if strange:
            self.state.tally["ranges_refused/region"] += 1
            logger.warning(
                "range %d[%d,%d) has regions that the detector does not have: %s",
                entry.partition, entry.begin, entry.end, sorted(strange)[:8],
            )  # fmt: skip

    def _hear(self, entry: PersonSaid, record: Record) -> None:
        try:
            act = self._act(entry)
        except records.RecordError as error:
            raise DecodeError(Rejection.SCHEMA, str(error)) from None
        if isinstance(act, ModelAct):
            self._change_models(act, record.offset)
            return
        for said in self._done(act):
            self._say(said, record.offset)

    def _done(self, act: records.QualityRecord) -> tuple[records.QualityRecord, ...]:
        """Carry out what people or the data acquisition said; return it, and what it changes."""
        match act:
            case Acknowledgement():
                return (act, *self.state.acknowledge(act))
            case ReferenceAct():
                return (act, *self.state.act(act))
            case RunAct():
                return self._begin_or_end(act)
        return ()

    def _begin_or_end(self, act: RunAct) -> tuple[records.QualityRecord, ...]:
        said = self.state.run_act(act)
        if said is None:
            return ()
        logger.info("run %d: %s", act.run, act.order)
        return (act, *said)

    def _act(self, entry: PersonSaid) -> records.QualityRecord:
        """Return what a person said; `RecordError` if it is nothing, or masks what there is not.

        Whoever wrote it may see another detector than we do.
        """
        act = records.from_json(entry.body)
        regions = set(self.state.monitor.places.ids.tolist())
        if isinstance(act, RunAct) and not regions.issuperset(act.regions or ()):
            raise records.RecordError(f"run {act.run}: the detector does not have all its regions")
        if not isinstance(act, Acknowledgement):
            return act
        cells = range(self.state.primary.model.form.n_cells)
        of_detector = self.state.monitor.places.detector.channels
        channels = range(0 if of_detector is None else len(of_detector))
        for mask in act.masks:
            absent = [cell for cell in mask.cells if cell not in cells]
            absent += [channel for channel in mask.channels if channel not in channels]
            if mask.region not in regions or absent:
                raise records.RecordError(f"the detector does not have all that {act.who} masks")
        return act

    def _change_models(self, act: ModelAct, at: int) -> None:
        """Carry out an order about the models, and say what became of it."""
        said: tuple[records.QualityRecord, ...] = ()
        self._sum_up(at, all_=True)  # two models' windows do not add up
        try:
            said = model_orders.carry_out(
                self.state, act, self.judging_model_of, self.settings.shadow_s
            )
        except model_orders.Unwilling as reason:
            act = replace(act, refused=str(reason))
        logger.info("%s %s: %s", act.order, act.model, act.refused or "done")
        for record in (act, *said):
            self._say(record, at)

    def _say(self, said: records.QualityRecord, at: int) -> None:
        if isinstance(said, Alarm):
            self.state.note(said)
            said = replace(said, worst=worst(self.state, said))
        new = self.publish(said, at)
        if isinstance(said, Alarm) and said.state is State.RAISED and said.version == 1:
            self.state.tally[f"alarms_raised/{said.severity.value}"] += 1
            if new:
                logger.info("alarm: %s", said.summary)
