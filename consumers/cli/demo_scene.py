"""Scene: what has happened in a demo so far."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from monitor.display.metrics.judge import JudgeRole

if TYPE_CHECKING:
    import argparse

    from consumers.judge.state import JudgeState
    from monitor.display.standing import Standing
    from monitor.quality.alarms import Alarm


@dataclass
class Scene:
    """What has happened so far; the judge's thread writes, the terminal's reads."""

    struck: list[str]
    """Names of the regions that the fault strikes; empty for the whole detector."""

    fault_at: float
    fault: str
    url: str = ""
    standing: Standing | None = None
    showers: int = 0
    rejected: int = 0
    alarms: dict[str, tuple[float, Alarm]] = field(default_factory=dict)
    """First word of each alarm, and when it came, s of stream time."""

    lines: list[tuple[float, str, str]] = field(default_factory=list)
    """What has happened: stream time, s; words; style."""

    start_s: int | None = None
    """Data time of the first shower, s since 1970 UTC; data time is the wall clock's here."""

    rates: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=20))
    lock: threading.Lock = field(default_factory=threading.Lock)
    _flowing: bool = False
    _broken: bool = False

    def show(self, standing: Standing, state: JudgeState, role: JudgeRole) -> None:
        """Take over what the judge shows."""
        if role is not JudgeRole.ACTIVE:
            return
        with self.lock:
            self.standing, self.showers = standing, state.totals["showers"]
            self.rates.append((time.monotonic(), self.showers))
            for alarm in standing.alarms:
                if alarm.id not in self.alarms:
                    self.alarms[alarm.id] = (self.clock(), alarm)
                    self.lines.append((self.clock(), "ALARM " + alarm.summary, "bold red"))

    def clock(self) -> float:
        """Return the stream time, s."""
        return 0.0 if self.start_s is None else max(0.0, time.time() - self.start_s)

    def speed(self) -> float:
        """Return the showers judged a second, of late."""
        rates = list(self.rates)
        seconds = rates[-1][0] - rates[0][0] if len(rates) > 1 else 0.0
        return (rates[-1][1] - rates[0][1]) / seconds if seconds else 0.0

    def say(self, text: str, style: str = "") -> None:
        """Add a line to what has happened."""
        with self.lock:
            self.lines.append((self.clock(), text, style))

    def go_on(self) -> None:
        """Say what has begun since this was last called."""
        if not self._flowing and self.showers:
            self._flowing = True
            self.say("good data flow", "green")
        if not self._broken and self.clock() >= self.fault_at:
            self._broken = True
            self.say(f"the detector breaks: {self.fault}", "yellow")

    def found(self) -> tuple[float, Alarm] | None:
        """Return the first alarm that names what the fault struck, and when it came."""
        for at, alarm in sorted(self.alarms.values(), key=lambda entry: entry[0]):
            named = {share.name for share in alarm.regions} | {alarm.place}
            if at >= self.fault_at and (not self.struck or named & set(self.struck)):
                return at, alarm
        return None

    def false_alarms(self) -> int:
        """Return the alarms that came before the fault."""
        return sum(at < self.fault_at for at, _ in self.alarms.values())

    def report(self) -> dict[str, Any]:
        """Return how it went, as plain values."""
        found = self.found()
        return {
            "showers": self.showers,
            "fault": self.fault,
            "struck": self.struck,
            "alarm": None if found is None else found[1].summary,
            "seconds_to_alarm": None if found is None else round(found[0] - self.fault_at, 2),
            "alarms": len(self.alarms),
            "false_alarms": self.false_alarms(),
        }

    def verdict(self, args: argparse.Namespace) -> int:
        """Return the exit code: 1 if the fault's alarm is missing or a false one came."""
        missed = args.until_alarm and not args.no_fault and self.found() is None
        return 1 if missed or self.false_alarms() else 0
