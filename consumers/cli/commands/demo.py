"""calodqm demo: broker, detector, fault and monitor on this machine, with nothing else installed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from consumers.app import children, detector_files, environment, wiring
from consumers.app.embedded import EmbeddedBroker
from consumers.app.ending import stop_on_signals
from consumers.app.program import Program
from consumers.cli import demo_screen, reading
from consumers.cli.demo_scene import Scene
from consumers.wire.user_error import UserError
from models.showers import shipped
from models.simulation import fault_form, faults

if TYPE_CHECKING:
    import argparse

    from consumers.cli.demo_screen import Teller
    from monitor.detector.tree import Detector

SOURCE = shipped.DEMO
BYTES_A_SHOWER = 1600
"""What the embedded broker grows by, with windows and state, at 504 cells."""

FAULT = "gain:region=B2,x=0.05"
START_S = 4
"""The simulated detector begins this long after it is started: it has to read its showers."""


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
    reading.add_arguments(parser)
    environment.add_arguments(parser, "http_port", "threads", "artefact")


def run(args: argparse.Namespace) -> int:
    """Play good data, then a fault, until told to stop; 1 if an alarm was missed or false."""
    detector = detector_files.detector_of(environment.load({}))
    scene = _scene(args, detector)
    console = Console(stderr=args.json)
    teller = demo_screen.teller(console)
    teller.begin("Starting broker, detector, score worker and judge ...")
    with EmbeddedBroker() as broker:
        given = {
            "bootstrap": broker.bootstrap,
            "http_port": args.http_port,
            "threads": args.threads,
            "artefact": args.artefact,
            # Short, so that a killed part is replaced while one looks on.
            "session_s": 3.0,
            "group": "calodqm-demo",
            # It would be there when all is over.
            "compile": False,
        }
        service = environment.load(given)
        artefact = wiring.artefact_of(service)
        detector_files.check_patches(detector, artefact.geometry)
        program = Program(service, artefact, detector)
        stop_on_signals(program.stopping)
        program.add_worker(artefact)
        program.add_judge(scene.show)
        server = program.serve()
        scene.url = server.url
        threads = program.start()
        try:
            _play(args, program, broker, scene, teller)
        finally:
            program.stopping.set()
            server.stop()
            program.finish(threads)
    if args.json:
        print(json.dumps(scene.report()))
    return scene.verdict(args)


def _scene(args: argparse.Namespace, detector: Detector) -> Scene:
    """Return what is played: good data, and from some time on the fault."""
    if args.no_fault:
        return Scene([], float("inf"), "no fault")
    regions = {region.name: region.id for region in detector.regions}
    knows = None if detector.channels is None else detector.channels.knows
    try:
        fault = fault_form.parse(args.fault, regions, knows)
    except faults.FaultError as error:
        raise UserError(str(error)) from None
    return Scene(_struck(fault, detector), args.fault_at, args.fault)


def _struck(fault: faults.Fault, detector: Detector) -> list[str]:
    """Return the names of the regions that a fault strikes; empty for the whole detector."""
    names = {region.id: region.name for region in detector.regions}
    if detector.channels is None or not fault.channel:
        return [names[region] for region in fault.region if region in names]
    members = [detector.channels.members(name) for name in fault.channel]
    rows = np.unique(detector.channels.region[np.concatenate(members)])
    return [detector.regions[row].name for row in rows.tolist() if row >= 0]


def _play(
    args: argparse.Namespace,
    program: Program,
    broker: EmbeddedBroker,
    scene: Scene,
    teller: Teller,
) -> None:
    """Start the detector once the monitor is ready, and tell what happens until the end."""
    while scene.standing is None and not program.stopping.wait(0.1):
        broker.check()
    scene.start_s = int(time.time()) + START_S
    words = _simulate(args, program, datetime.fromtimestamp(scene.start_s, UTC).isoformat())
    producer = children.start(
        children.calodqm(*words), output=subprocess.DEVNULL, errors=sys.stderr.buffer
    )
    ended = time.monotonic() + (args.seconds or float("inf"))
    scene.say(_memory(broker, args.rate), "bright_black")
    try:
        with teller:
            while not program.stopping.wait(0.25) and time.monotonic() < ended:
                broker.check()
                if producer.poll() is not None:
                    raise UserError(f"the simulated detector ended with code {producer.returncode}")
                scene.go_on()
                teller.tell(scene, broker, args.rate)
                if args.until_alarm and scene.found() is not None:
                    break
    finally:
        children.stop(producer)


def _simulate(args: argparse.Namespace, program: Program, start: str) -> list[str]:
    """Return the words of the command that is the simulated detector."""
    words = [
        *("simulate", "--data-time-start", start, "--bootstrap", program.settings.bootstrap),
        *("--source", str(args.source), "--rate", str(args.rate), "--producer", "demo"),
        *("--artefact", str(program.settings.artefact)),
        *reading.words(args),
    ]
    return words if args.no_fault else [*words, "--fault", f"{args.fault}@{args.fault_at:g}"]


def _memory(broker: EmbeddedBroker, rate: float) -> str:
    """Return how long the broker lasts, in words."""
    if not broker.in_memory:
        return f"broker {broker.name}"
    minutes = broker.memory_limit / (rate * BYTES_A_SHOWER) / 60
    return (
        f"broker {broker.name} keeps all in memory: at {broker.memory_limit / 2**30:.1f} GiB, after "
        f"some {minutes:,.0f} minutes at this rate, the demo ends"
    )
