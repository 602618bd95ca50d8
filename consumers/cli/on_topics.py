"""On topics: what has to be right on the broker: rights, records, clocks, and what is counted."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from consumers.app import detector_files, speaking
from consumers.cli import checking, cluster
from consumers.cli.finding import Finding, tried
from consumers.exactly_once.fence import Fence
from consumers.exactly_once.snapshots import NOTHING, Snapshots
from consumers.kafka.admin import BROKER_TIME, TIME_STAMPS, topic_id
from consumers.kafka.log import KafkaLog
from consumers.kafka.survey import survey
from consumers.wire import topics
from consumers.wire.codec import decode
from consumers.wire.ranges import Stream
from consumers.wire.record import Unavailable
from consumers.wire.user_error import UserError

if TYPE_CHECKING:
    from consumers.app.settings import Settings
    from consumers.kafka.survey import Survey

LOOKED_AT = 8
"""Records that are looked at, in all partitions."""

CLOCK_S = 5.0
"""A clock that is further off than this from the broker's puts data into the wrong place."""


CLOCKED = 300
"""Newest records of the windows topic whose workers' clocks are looked at."""


def findings(given: Settings, roles: tuple[str, ...]) -> list[Finding]:
    """Return whether all is well there for some roles of the service."""
    part = cluster.Part(given.topic, given.group, roles, given.connection().there)
    found: list[Survey] = []

    def reach() -> str:
        found.append(survey(given.connection("doctor"), part.rights(), part.groups()))
        return f"answers; {found[0].brokers} in the cluster"

    reached = tried(
        f"broker {given.bootstrap}", "start it, or name another with --bootstrap", reach
    )
    if not reached.well:
        return [reached]

    def readable(topic: str) -> bool:
        may = found[0].topics.get(topic)
        return may is not None and (may.rights is None or "READ" in may.rights)

    return [
        reached,
        *cluster.findings(part, found[0]),
        *([_producers(given)] if readable(given.topic) else ()),
        *([_clocks(given, found[0])] if readable(topics.WINDOWS) else ()),
        *(_state(given, found[0]) if readable(topics.STATE) else ()),
    ]


def _counted(given: Settings, seen: Survey) -> str:
    """Return that what is counted fits what the topic holds, or raise `UserError`."""
    facts = seen.topics.get(given.topic)
    with speaking.opened_log(given) as log:
        ends = Fence.from_json(Snapshots(log).newest().fence).ends
        id_ = topic_id(given.connection("doctor"), given.topic)
        for partition in range(facts.partitions if facts else 0):
            first, end = log.bounds(given.topic, partition)
            counted = ends.get(Stream(given.topic, id_, partition), first)
            if counted < first or not _reaches(log, given.topic, partition, end, counted):
                raise UserError(
                    f"{given.topic}[{partition}] is counted up to offset {counted}, "
                    f"and holds {first} to {end}"
                )
    return "counted up to where the topic holds them"


def _reaches(log: KafkaLog, topic: str, partition: int, end: int, offset: int) -> bool:
    """Return whether a log whose end is told goes up to an offset.

    Some brokers tell where the last batch begins: whether more lies there is seen by reading.
    """
    with suppress(Unavailable):
        if offset > end:
            for record in log.read(topic, end, offset, partition=partition):
                end = record.offset + 1
    return offset <= end


def _producers(given: Settings) -> Finding:
    """Return whether the newest records are taken, and whether a loss of some could be seen."""

    def look() -> str:
        with speaking.opened_log(given) as log:
            found = list(checking.some_records(log, given, LOOKED_AT, "newest"))
        blocks = [decode(record.value, detector_files.geometry_of(given)) for record in found]
        if any(not block.producer or block.seq is None for block in blocks):
            raise UserError(checking.UNCOUNTED)
        return f"the newest {len(found)} records are taken and counted" if found else "none yet"

    return tried("records", "see `calodqm records check --topic`", look)


def _clocks(given: Settings, seen: Survey) -> Finding:
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

    return tried("clocks of workers", "set the clock of its machine (NTP)", look)


def _state(given: Settings, seen: Survey) -> list[Finding]:
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
        tried("judge", "start `calodqm judge`", look),
        tried(
            "showers",
            "expired before they were counted, or the topic was made anew",
            partial(_counted, given, seen),
        ),
        tried("clock", "set the clock of this machine (NTP)", clock),
    ]
