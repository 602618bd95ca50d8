"""Seconds that close: windows and ranges of partitions, and what was told of them."""

from dataclasses import replace
from functools import cache

import spoken
from spoken import entry

from consumers.exactly_once.stands import SECOND_NS

START = 1_767_225_600


def window(seed, second, regions):
    one = drawn(seed, tuple(regions))
    return replace(one, key=one.key._replace(second=second))


@cache
def drawn(seed, regions):
    return spoken.window(seed, START, list(regions))


def said(partition, second, *, caught_up=False, **changes):
    watermark = int(second * SECOND_NS)
    return entry(partition=partition, watermark_ns=watermark, caught_up=caught_up, **changes)


def closing(seconds, partition, second, at_ms, *, caught_up=False, empty=False, **changes):
    windows = {} if empty else by_key(window(0, int(second), [partition]))
    changes = {"records": 0, **changes} if empty else changes
    return seconds.add(said(partition, second, caught_up=caught_up, **changes), windows, at_ms)


def add(seconds, *what, **changes):
    return flat(closing(seconds, *what, **changes))


def flat(closed):
    return [(found["m"], c.late) for c in closed for found in c.windows]


def by_key(*windows):
    return {w.key: {"m": w} for w in windows}


def live(seconds, times, k, at_ms=None, **changes):
    """Bring a second of each partition, all read to their ends; return what that closes."""
    out = []
    for partition, second in times.items():
        at = 1000 * k + partition if at_ms is None else at_ms(partition)
        out += closing(seconds, partition, second, at, caught_up=True, **changes)
    return out


def tally(closed):
    """Return how many windows were in time, and how many late."""
    late = sum(len(c.windows) for c in closed if c.late)
    return sum(len(c.windows) for c in closed) - late, late
