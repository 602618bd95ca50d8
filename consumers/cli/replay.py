"""Replay: the windows of a past range, as they were recorded or scored again."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from consumers.exactly_once.fence import Fence
from consumers.score.scoring import windows_of
from consumers.wire import ranges, topics
from consumers.wire.block import DecodeError
from consumers.wire.codec import decode
from consumers.wire.ranges import Open, Range

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consumers.kafka.log import KafkaLog
    from consumers.score.scoring import Model
    from consumers.wire.ranges import WindowForm
    from monitor.windows.window import Window, WindowKey

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """An accepted range that touches the time asked for, with its windows."""

    entry: Range
    model: str
    """Hash of the model whose windows these are: the one asked for, if the range carries it."""

    windows: list[Window]


def find(log: KafkaLog, model: str, form: WindowForm, begin: int, end: int) -> list[Found]:
    """Return the accepted ranges with data-seconds in [begin, end), with the windows of a model.

    Where a range does not carry that model's windows, it comes with those that were judged.
    """
    fence = Fence()
    found = []
    for record in log.read_all(topics.WINDOWS):
        try:
            entry = ranges.header(record.value)
            if isinstance(entry, Open):
                fence.open(record.offset, entry)
            elif isinstance(entry, Range) and not fence.accept(entry) and entry.showers:
                parts = ranges.parts(record.value or b"", entry)
                carried = model if parts.get(model) else entry.model
                windows = ranges.windows(parts[carried], form)
                if any(begin <= window.key.second < end for window in windows):
                    found.append(Found(entry, carried, windows))
        except DecodeError as error:  # of another model, or damaged: the judge says so too
            logger.info("%s@%d: %s", record.topic, record.offset, error)
    return found


def recorded(found: list[Found], begin: int, end: int) -> list[Window]:
    """Return the windows of ranges, a data-second each, in order."""
    return _merged((window for f in found for window in f.windows), begin, end)


def rescored(log: KafkaLog, found: list[Found], model: Model, begin: int, end: int) -> list[Window]:
    """Return the windows that a model makes of the showers behind ranges."""
    windows: list[Window] = []
    for f in found:
        entry = f.entry
        for record in log.read(entry.topic, entry.begin, entry.end, partition=entry.partition):
            try:
                block = decode(record.value, model.scorer.geometry)
            except DecodeError:  # rejected then, rejected now
                continue
            if not model.absent(block.showers):
                windows += windows_of(block, model)
    return _merged(windows, begin, end)


def _merged(windows: Iterable[Window], begin: int, end: int) -> list[Window]:
    seconds: dict[WindowKey, Window] = {}
    for window in windows:
        if begin <= window.key.second < end:
            known = seconds.get(window.key)
            seconds[window.key] = window if known is None else known + window
    return [seconds[key] for key in sorted(seconds, key=lambda key: (key.second, key))]
