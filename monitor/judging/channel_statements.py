"""Channel statements: alarms of channels and groups, and what they claim of verdicts on regions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.alarms import wording
from monitor.detector.tree import Level
from monitor.quality import records
from monitor.quality.alarms import Alarm, Severity, State
from monitor.quality.quality import Quality
from monitor.sequential.rates import Test
from monitor.verdicts.claims import OPEN, Span
from monitor.windows.clock import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.detector.channels import Channels
    from monitor.alarms.cases import Change
    from monitor.alarms.channel_case import ChannelCase
    from monitor.alarms.channel_casebook import ChannelCasebook
    from monitor.alarms.channel_reports import ChannelReporter
    from monitor.reference.live_channels import LiveChannels
    from monitor.sequential.channel_watch import ChannelWatch
    from monitor.windows.clock import Clock

MOST_OF_REGION = 0.25
"""A fault in more than this share of a region's channels makes the verdict on the region."""

UNSEEN = " No shower has come near it since "
"""Begins what is added to the text of an alarm where there is nothing new to see."""


class ChannelStatements:
    """Makes alarms of cases, and remembers them as long as the casebook does."""

    def __init__(
        self,
        channels: Channels,
        cases: ChannelCasebook,
        reporter: ChannelReporter,
        clock: Clock,
        watch: ChannelWatch,
        live: LiveChannels,
    ) -> None:
        self._channels, self._cases, self._clock = channels, cases, clock
        self._reporter, self._watch, self._live = reporter, watch, live
        self.alarms: dict[str, Alarm] = {}
        """The newest version of every alarm that is remembered, by id."""

    def tell(self, change: Change[ChannelCase]) -> Alarm:
        """Return the alarm of a change."""
        case = change.case
        known = self.alarms.get(case.id)
        if known is not None and change.state is State.CLEARED:
            alarm = replace(self._again(known, change), text=known.text.partition(UNSEEN)[0])
        else:
            alarm = self._reporter.alarm(case, change.state, self._watch, self._live.constants)
            # Where no shower came near for long, nothing is left to see of what was told before.
            if known is not None and alarm.showers == 0 and alarm.place == known.place:
                told = known.text.partition(UNSEEN)[0] + self._unseen(case)
                alarm = replace(self._again(known, change), text=told)
        self.alarms[case.id] = alarm
        kept = {known.id for known in (case, *self._cases.open, *self._cases.closed)}
        self.alarms = {id_: known for id_, known in self.alarms.items() if id_ in kept}
        return alarm

    def _again(self, known: Alarm, change: Change[ChannelCase]) -> Alarm:
        """Return an alarm that says of a case what was said before."""
        return replace(
            known,
            version=change.case.version,
            state=change.state,
            severity=change.case.severity,
            now_ns=self._clock.now_ns,
            children=tuple(change.case.children),
        )

    def _unseen(self, case: ChannelCase) -> str:
        """Return the words for a case that nothing has been seen of for some time."""
        begin = self._watch.begin(case.onset)
        since = wording.clock(self._clock.now_ns // SECOND_NS if begin is None else begin)
        goes_on = "" if case.test is Test.SEEDS else " The alarm stays open as long as none comes."
        return f"{UNSEEN}{since}: the above is of before.{goes_on}"

    def spans(self, change: Change[ChannelCase], alarm: Alarm) -> dict[int, Span]:
        """Return what a case claims of the verdicts on its regions, by row."""
        case = change.case
        end = OPEN if case.closed is None else max(case.peak_at, case.onset) + 1
        quality = Quality.BAD if case.severity is Severity.PAGE else Quality.MEDIUM
        by_region = self._channels.region
        found = {}
        for row in np.unique(by_region[case.channels]).tolist():
            if row < 0:
                continue
            mine = [c for c in case.channels if by_region[c] == row]
            whole = len(mine) > MOST_OF_REGION * int((by_region == row).sum())
            names = tuple(self._channels.name(c) for c in mine)
            places = (case.place,) if case.level is Level.GROUP else names
            found[row] = Span(
                case.id, case.onset, end, quality, alarm.summary, () if whole else places
            )
        return found

    def open_alarms(self) -> tuple[Alarm, ...]:
        """Return the newest version of every open alarm."""
        return tuple(self.alarms[case.id] for case in self._cases.open)

    def restore(self, alarms: Iterable[dict[str, Any]]) -> None:
        """Take up alarms, as JSON values."""
        read = [records.from_json(values) for values in alarms]
        self.alarms = {alarm.id: alarm for alarm in read if isinstance(alarm, Alarm)}
