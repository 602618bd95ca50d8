"""Kept: a run as its lumisections were summed up, long after its seconds are gone."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from consumers.exactly_once import contents
from consumers.exactly_once.appended import appended
from consumers.wire import lumisection_form, topics
from consumers.wire.block import DecodeError
from monitor.verdicts import good_runs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.wire.lumisection_form import Part
    from consumers.wire.record import Log, Record
    from consumers.wire.window_form import WindowForm
    from monitor.windows.window import Window

logger = logging.getLogger(__name__)

MARGIN_MS = 1_800_000
"""A lumisection is written within this of its first and last verdicts, ms."""


def parts(log: Log, run: int) -> dict[str, tuple[Part, bytes]]:
    """Return the parts of all lumisections of a run, by their keys."""
    found: dict[str, tuple[Part, bytes]] = {}
    for record in _stretch(log, run):
        part = part_of(record)
        if part is not None and part.run == run:  # one that was written again is the same
            found[part.key] = part, record.value or b""
    return found


def part_of(record: Record) -> Part | None:
    """Return what part of a lumisection a record is; None, with a warning, if it cannot be read."""
    try:
        return lumisection_form.header(record.value)
    except DecodeError as error:
        logger.warning("%s[0]@%d: %s", topics.LUMISECTIONS, record.offset, error)
        return None


def _stretch(log: Log, run: int) -> Iterator[Record]:
    """Yield the records of the topic that were written when a run had its verdicts."""
    entry = contents.read(log).runs.get(run)
    if entry is None:
        return
    times = [r.timestamp_ms for r in log.read(topics.QUALITY, entry.begin, entry.begin + 1)]
    times += [r.timestamp_ms for r in log.read(topics.QUALITY, entry.end - 1, entry.end)]
    begin = appended(log, topics.LUMISECTIONS, min(times, default=0) - MARGIN_MS)
    for record in log.read_all(topics.LUMISECTIONS, begin):
        if times and record.timestamp_ms > max(times) + MARGIN_MS:
            return
        yield record


def good(log: Log, run: int) -> dict[tuple[int, int], set[int]]:
    """Return the ids of the regions that are GOOD by the newest verdicts, by run and lumisection."""
    found: dict[tuple[int, int], set[int]] = {}
    said = contents.verdicts(log, contents.read(log), run)
    for verdict in good_runs.newest(said, run):
        if verdict.quality in good_runs.USABLE:
            found.setdefault((run, verdict.lumisection), set()).add(verdict.region)
    return found


def windows(found: dict[str, tuple[Part, bytes]], model: str, form: WindowForm) -> list[Window]:
    """Return the sum of each lumisection by a model, in order."""
    sums: dict[int, Window] = {}
    for part, value in found.values():
        if part.model != model:
            continue
        window = lumisection_form.window(value, form)
        known = sums.get(part.lumisection)
        sums[part.lumisection] = window if known is None else known + window
    return [sums[lumisection] for lumisection in sorted(sums)]
