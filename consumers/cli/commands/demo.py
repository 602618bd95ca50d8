"""calodqm demo: broker, detector, fault and monitor on this machine, with nothing else installed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from consumers.app import children, detector_files, settings, wiring
from consumers.app.embedded import EmbeddedBroker
from consumers.app.ending import stop_on_signals
from consumers.app.program import Program
from consumers.wire.user_error import UserError
from models.showers import shipped
from models.simulation import faults
from monitor.display.metrics.judge import JudgeRole
from monitor.display.standing import headline
from monitor.quality.quality import Quality

if TYPE_CHECKING:
    import argparse

    from consumers.judge.state import JudgeState
    from monitor.display.standing import Standing
    from monitor.quality.alarms import Alarm

SOURCE = shipped.DEMO
FAULT = "gain:region=B2,x=0.05"
START_S = 4
"""The simulated detector begins this long after it is started: it has to read its showers."""

COLOURS = {
    Quality.GOOD: "green",
    Quality.MEDIUM: "yellow",
    Quality.BAD: "bold red",
    Quality.NULL: "bright_black",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm demo`."""
    parser.add_argument("--rate", type=float, default=1000.0, metavar="HZ", help="showers a second")
    parser.add_argument(
        "--fault", default=FAULT, metavar="KIND:KEY=VALUE,...", help=f"default: {FAULT}"
    )
    parser.add_argument(
        "--fault-at", type=float, default=40.0, metavar="S", help="seconds of good data before it"
    )
    parser.add_argument("--seconds", type=float, help="stop after so long; default: at Ctrl-C")
    parser.add_argument("--source", type=Path, default=SOURCE, metavar="FILE", help="shower file")
    parser.add_argument(
        "--until-alarm", action="store_true", help="stop once an alarm names the fault's region"
    )
    parser.add_argument("--json", action="store_true", help="say how it went as JSON at the end")
    parser.add_argument("--no-fault", action="store_true", help="good data only")
    settings.add_arguments(parser, "http_port", "threads", "artefact")


def run(args: argparse.Namespace) -> int:
    """Play good data, then a fault, until told to stop; 1 if an alarm was missed or false."""
    detector = detector_files.detector_of(settings.load({}))
    regions = {region.name: region.id for region in detector.regions}
    try:
        fault = None if args.no_fault else faults.parse(args.fault, regions)
    except faults.FaultError as error:
        raise UserError(str(error)) from None
    names = {region.id: region.name for region in detector.regions}
    struck = [names[region] for region in fault.region if region in names] if fault else []
    scene = Scene(
        struck,
        args.fault_at if fault else float("inf"),
        "no fault" if args.no_fault else args.fault,
    )
    console = Console(stderr=args.json)
    console.print("Starting broker, detector, score worker and judge ...", style="bright_black")
    with EmbeddedBroker() as broker:
        given = {
            "bootstrap": broker.bootstrap,
            "http_port": args.http_port,
            "threads": args.threads,
            "artefact": args.artefact,
            # Short, so that a killed part is replaced while one looks on.
            "session_s": 3.0,
            "group": "calodqm-demo",
        }
        service = settings.load(given)
        artefact = wiring.artefact_of(service)
        program = Program(service, artefact, detector)
        stop_on_signals(program.stopping)
        program.on_show = scene.show
        program.add_worker(artefact)
        program.add_judge()
        server = program.serve()
        scene.url = server.url
        threads = program.start()
        try:
            _play(args, program, broker, scene, console)
        finally:
            program.stopping.set()
            server.stop()
            program.finish(threads)
    if args.json:
        print(json.dumps(scene.report()))
    return scene.verdict(args)


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

    lines: deque[tuple[float, str, str]] = field(default_factory=lambda: deque(maxlen=12))
    start_s: int | None = None
    """Data time of the first shower, s since 1970 UTC; data time is the wall clock's here."""

    rates: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=20))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def show(self, standing: Standing, bench: JudgeState, role: JudgeRole) -> None:
        """Take over what the judge shows."""
        if role is not JudgeRole.ACTIVE:
            return
        with self.lock:
            self.standing, self.showers = standing, bench.totals["showers"]
            self.rates.append((time.monotonic(), self.showers))
            for alarm in standing.alarms:
                if alarm.id not in self.alarms:
                    self.alarms[alarm.id] = (self.clock(), alarm)
                    self.lines.append((self.clock(), "ALARM " + alarm.summary, "bold red"))

    def clock(self) -> float:
        """Return the stream time, s."""
        return 0.0 if self.start_s is None else max(0.0, time.time() - self.start_s)

    def say(self, text: str, style: str = "") -> None:
        """Add a line to what has happened."""
        with self.lock:
            self.lines.append((self.clock(), text, style))

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


def _play(
    args: argparse.Namespace,
    program: Program,
    broker: EmbeddedBroker,
    scene: Scene,
    console: Console,
) -> None:
    """Start the detector once the monitor is ready, and tell what happens until the end."""
    bootstrap = program.settings.bootstrap
    while scene.standing is None and not program.stopping.wait(0.1):
        broker.check()
    scene.start_s = int(time.time()) + START_S
    start = datetime.fromtimestamp(scene.start_s, UTC).isoformat()
    command = [
        *(
            "simulate",
            "--data-time-start",
            start,
            "--bootstrap",
            bootstrap,
            "--source",
            str(args.source),
        ),
        *("--rate", str(args.rate), "--producer", "demo"),
        *("--artefact", str(program.settings.artefact)),
    ]
    if not args.no_fault:
        command += ["--fault", f"{args.fault}@{args.fault_at:g}"]
    producer = children.start(
        children.calodqm(*command), output=subprocess.DEVNULL, errors=sys.stderr.buffer
    )
    ended = time.monotonic() + (args.seconds or float("inf"))
    told = flowing = False
    try:
        with Live(console=console, refresh_per_second=4, transient=False) as live:
            while not program.stopping.wait(0.25) and time.monotonic() < ended:
                broker.check()
                if producer.poll() is not None:
                    raise UserError(f"the simulated detector ended with code {producer.returncode}")
                if not flowing and scene.showers:
                    flowing = True
                    scene.say("good data flow", "green")
                if not told and scene.clock() >= scene.fault_at:
                    told = True
                    scene.say(f"the detector breaks: {scene.fault}", "yellow")
                live.update(_screen(scene, broker, args.rate))
                if args.until_alarm and scene.found() is not None:
                    break
    finally:
        children.stop(producer)


def _screen(scene: Scene, broker: EmbeddedBroker, rate: float) -> Group:
    with scene.lock:
        standing, lines = scene.standing, list(scene.lines)
        rates = list(scene.rates)
        showers = scene.showers
    seconds = rates[-1][0] - rates[0][0] if len(rates) > 1 else 0.0
    speed = (rates[-1][1] - rates[0][1]) / seconds if seconds else 0.0
    quality, text = headline(standing) if standing else (Quality.NULL, "starting")
    top = Table.grid(padding=(0, 2))
    top.add_row("open", Text(scene.url, style="bold underline cyan"))
    top.add_row("metrics", Text(f"{scene.url}/metrics", style="cyan"))
    top.add_row(
        "stream",
        f"{speed:,.0f} showers/s of {rate:,.0f} produced; {showers:,} judged; "
        f"broker {broker.name} {broker.memory() / 2**20:,.0f} MiB",
    )
    top.add_row("verdict", Text(text, style=COLOURS[quality]))
    happened = Table.grid(padding=(0, 2))
    for at, line, style in lines:
        moment = datetime.fromtimestamp(at, UTC).strftime("%M:%S")
        happened.add_row(Text(moment, style="bright_black"), Text(line, style=style))
    return Group(
        Panel(top, title="calodqm demo", subtitle="Ctrl-C ends it", border_style=COLOURS[quality]),
        _board(standing),
        happened,
    )


def _board(standing: Standing | None) -> Table:
    grid = Table.grid(padding=(0, 1))
    rows: dict[str, list[Text]] = {}
    for row in standing.board if standing else ():
        style = f"reverse {COLOURS[row.quality]}"
        rows.setdefault(row.sector, []).append(Text(f" {row.name:>4} ", style=style))
    for cells in rows.values():
        grid.add_row(*cells)
    return grid
