"""Replay: the windows of a past range, as they were recorded or scored again."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from consumers.exactly_once.appended import appended
from consumers.exactly_once.fence import Fence
from consumers.score.scoring import windows_of
from consumers.wire import ranges, topics, window_form
from consumers.wire.block import DecodeError, Expected
from consumers.wire.codec import decode
from consumers.wire.ranges import Open, Range

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consumers.score.scoring import ScoringModel
    from consumers.wire.record import Log, Record
    from consumers.wire.window_form import WindowForm
    from monitor.detector.tree import Detector
    from monitor.windows.window import Window, WindowKey

logger = logging.getLogger(__name__)

MARGIN_S = 3600
"""Windows that were appended so much before or after their data-second are not looked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """An accepted range that touches the time asked for, with its windows."""

    entry: Range
    model: str
    """Hash of the model whose windows these are: the one asked for, if the range carries it."""

    windows: list[Window]
    """None of them where the range carries other models' only."""


def find(log: Log, model: str, form: WindowForm, begin: int, end: int) -> list[Found]:
    """Return the accepted ranges with data-seconds in [begin, end), with the windows of a model.

    Ranges that do not carry that model's windows come without any: their showers are there to be
    scored again. Looked through is what was appended from `MARGIN_S` before the first second to as
    much after the last.
    """
    since = appended(log, topics.WINDOWS, (begin - MARGIN_S) * 1000)
    fence = Fence(since=since)
    found = []
    for record in log.read_all(topics.WINDOWS, since):
        try:
            entry = ranges.header(record.value)
            if isinstance(entry, Open):
                fence.open(record.offset, entry)
            elif isinstance(entry, Range) and not fence.accept(entry) and entry.showers:
                found += _touching(entry, record.value or b"", model, form, range(begin, end))
        except DecodeError as error:  # damaged: the judge says so too
            fence.unreadable()
            logger.info("%s@%d: %s", record.topic, record.offset, error)
        if _past(fence, record, end + MARGIN_S):
            break
    return found


def _touching(
    entry: Range, value: bytes, model: str, form: WindowForm, asked: range
) -> list[Found]:
    parts = ranges.parts(value, entry)
    if not any(second in asked for second in window_form.seconds(parts[entry.model])):
        return []
    if not parts.get(model):
        return [Found(entry, entry.model, [])]
    return [Found(entry, model, window_form.windows(parts[model], form))]


def _past(fence: Fence, record: Record, second: int) -> bool:
    """Return whether both the log and the data of every partition are past a second."""
    if record.timestamp_ms < second * 1000 or not fence.tails:
        return False
    return min(tail.watermark_ns for tail in fence.tails.values()) > second * 10**9


def recorded(found: list[Found], begin: int, end: int) -> list[Window]:
    """Return the windows of ranges, a data-second each, in order."""
    return _merged((window for f in found for window in f.windows), begin, end)


def rescored(
    log: Log,
    found: list[Found],
    model: ScoringModel,
    begin: int,
    end: int,
    detector: Detector | None = None,
) -> list[Window]:
    """Return the windows that a model makes of the showers behind ranges, as far as they are kept.

    Parameters
    ----------
    begin, end
        Data-seconds [begin, end).
    detector
        Where the showers are; its channels, and what is hidden, count as they did at work.
    """
    expected = Expected()
    if detector is not None:
        expected = Expected(detector.ids, region_of_seed=detector.region_of_seed)
    windows: list[Window] = []
    ids = {topic: log.identity(topic) for topic in {f.entry.topic for f in found}}
    for f in found:
        entry = f.entry
        if entry.topic_id != ids[entry.topic]:  # its offsets are places of a topic that is gone
            logger.warning("%s was made again since: what lay there is gone", entry.topic)
            continue
        for record in log.read(entry.topic, entry.begin, entry.end, partition=entry.partition):
            try:
                block = decode(record.value, model.scorer.geometry, expected=expected)
            except DecodeError:  # rejected then, rejected now
                continue
            if not model.lacks(block.showers):
                windows += windows_of(block, model, detector)
    return _merged(windows, begin, end)


def _merged(windows: Iterable[Window], begin: int, end: int) -> list[Window]:
    seconds: dict[WindowKey, Window] = {}
    for window in windows:
        if begin <= window.key.second < end:
            known = seconds.get(window.key)
            seconds[window.key] = window if known is None else known + window
    return [seconds[key] for key in sorted(seconds, key=lambda key: (key.second, key))]
