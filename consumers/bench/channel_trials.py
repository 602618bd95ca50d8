"""Channel trials: faults of channels and groups, found by channel, by patch cell and by occupancy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from consumers.bench.channel_gains import gains_of
from consumers.bench.channel_occupancy import WINDOWS_S, OccupancyMonitor
from consumers.bench.channel_sites import NAMES, sites
from consumers.bench.channel_stream import WHOLE, Stream, part, watching, whole_of
from models.simulation.faults import FaultKind
from monitor.detector.places import Places
from monitor.judging.channel_monitor import ChannelMonitor
from monitor.quality.alarms import Alarm, ReferenceSummary, State
from monitor.reference.channel_constants import LEAST
from monitor.reference.expectation import of_reference
from monitor.windows.channel_table import ChannelTable
from monitor.windows.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from consumers.bench.channel_sites import Site
    from models.detector.channels import Channels
    from models.scoring.artefact import Artefact
    from monitor.judging.monitor import Monitor
    from monitor.windows.window import Window

MODULES = 2
HOUR = 3600


class Scenario(NamedTuple):
    """What is simulated: a rate, and data-seconds of good data and of faults after them."""

    rate: float
    """Of the whole barrel, Hz."""

    good: int
    faults: int
    alone: int
    """Of each fault that is alone; 0 for none."""


SCENARIOS = {
    "1kHz": Scenario(1_000.0, 2 * HOUR, 4 * HOUR, 0),
    "10kHz": Scenario(10_000.0, 3400, 2400, 120),
    "10kHz-long": Scenario(10_000.0, 3 * HOUR, 2 * HOUR, 0),
}
"""By part of the bench; in the long one a channel has been learnt well enough for small gains."""


class _Ready(NamedTuple):
    """A stream, and monitors that have learnt its channels."""

    stream: Stream
    with_channels: dict[str, NDArray[Any]]
    without: dict[str, NDArray[Any]]
    """States of monitors."""

    occupancy: tuple[OccupancyMonitor, ...]
    since: int
    """The last data-second of good data."""

    told: dict[str, Any]


def _ready(artefact: Artefact, rate: float, seed: int, seconds: int) -> _Ready:
    """Return what has seen good data; what it said of them is counted."""
    detector, channels = part(MODULES)
    n = len(channels)
    stream = Stream(artefact, detector, whole_of(channels, artefact, seed), rate * n / WHOLE, seed)
    both = [watching(artefact, replace(detector, channels=c), n) for c in (channels, None)]
    occupancy = tuple(OccupancyMonitor(n, width) for width in WINDOWS_S)
    table, said, gains = ChannelTable(n), [list[Alarm](), list[Alarm]()], []
    marks = {round(seconds * share) for share in (0.125, 0.25, 0.5, 1.0)}
    for window in stream.windows(seconds):
        for monitor, heard in zip(both, said, strict=True):
            heard.extend(_alarms(monitor, window))
        table.add(window.channels)
        for counts in occupancy:
            counts.take(window.channels, learn=True)
        if stream.second in marks and _enough(table):
            gains.append(gains_of(artefact, table, stream.whole, seed))
    told = {
        "good_s": seconds,
        "pages": [len({alarm.id for alarm in heard}) for heard in said],
        "said": [alarm.summary for heard in said for alarm in heard if alarm.state is State.RAISED],
        "gains": gains,
    }
    with_, without = both
    return _Ready(stream, with_.state(), without.state(), occupancy, stream.second, told)


def _enough(table: ChannelTable) -> bool:
    """Return whether the gain of most channels can be told at all."""
    return float(np.median(table["showers"][:, 0])) >= LEAST


def _alarms(monitor: Monitor, window: Window) -> list[Alarm]:
    return [a for a in monitor.observe(window, masked=True) if isinstance(a, Alarm)]


def _watch(ready: _Ready) -> tuple[ChannelMonitor, Clock]:
    """Return the watch over channels alone, as it is after the good data, and its clock."""
    learnt, detector, clock = _restored(ready, channels=True), ready.stream.detector, Clock()
    if learnt.channels is None or detector.channels is None:
        raise ValueError("a part has channels")
    expected = of_reference(ready.stream.artefact.reference)
    told = ReferenceSummary(expected.id, expected.origin, expected.n, "")
    watch = ChannelMonitor(
        detector.channels, Places(detector), expected, learnt.settings, clock, lambda: told
    )
    watch.restore(learnt.channels.words(), learnt.channels.state())
    return watch, clock


def _restored(ready: _Ready, *, channels: bool) -> Monitor:
    detector = ready.stream.detector
    n = len(ready.stream.whole.channels)
    bare = detector if channels else replace(detector, channels=None)
    monitor = watching(ready.stream.artefact, bare, n)
    monitor.restore(ready.with_channels if channels else ready.without)
    return monitor


def trials(artefact: Artefact, scenario: Scenario, seed: int) -> dict[str, Any]:
    """Return what good data said, and what became of faults.

    Together: faults far from each other, all at once, before the watch over channels alone. A
    channel's tests do not see the others'; regions, which would see them all, have no say. Alone:
    one of each kind, before all that watches; only where showers are many.
    """
    ready = _ready(artefact, scenario.rate, seed, scenario.good)
    chosen = sites(ready.stream.whole.channels, MODULES, seed)
    return {
        **ready.told,
        "alone_limit_s": scenario.alone,
        "alone": _alone(ready, chosen, scenario.alone) if scenario.alone else [],
        "faults_s": scenario.faults,
        **_together(ready, chosen, scenario.faults),
    }


def _together(ready: _Ready, chosen: list[Site], seconds: int) -> dict[str, Any]:
    stream, (watch, clock) = ready.stream, _watch(ready)
    none = np.zeros(MODULES, bool)
    onset, said = ready.since, list[Alarm]()
    stream.second = onset
    for window in stream.windows(seconds, tuple(site.fault for site in chosen)):
        at = window.key.second
        clock.second = at
        clock.tick(1, 1)
        changes = watch.step(at, window.channels, new=True, held=none, distrusted=none)
        said += [watch.statements.tell(change) for change in changes]
        for monitor in ready.occupancy:
            monitor.take(window.channels, learn=False)
    return {
        "trials": [_trial(site, said, onset, ready) for site in chosen],
        "elsewhere": _elsewhere(said, chosen, ready),
        "occupancy_flags_a_day": _occupancy(ready, chosen, seconds),
        "epoch": watch.live.epoch,
    }


def _trial(site: Site, said: list[Alarm], onset: int, ready: _Ready) -> dict[str, Any]:
    """Return what became of one fault."""
    first = {w.window_s: w.first(site.channels) for w in ready.occupancy}
    return {
        "fault": site.name,
        "where": list(site.fault.channel),
        **_found(said, site.channels, onset),
        "occupancy_s": {str(width): at for width, at in first.items()},
    }


def _found(said: list[Alarm], mine: frozenset[int], onset: int) -> dict[str, Any]:
    """Return when the first alarm of some channels came, and what it named in the end."""
    ours = [
        a for a in said if mine & {c.channel for c in a.channels} and a.state is not State.CLEARED
    ]
    if not ours:
        return {"seconds": None}
    last = [alarm for alarm in ours if alarm.id == ours[0].id][-1]
    named = {c.channel for c in last.channels}
    return {
        "seconds": ours[0].raised_ns // 10**9 - onset,
        "exactly": named == mine,
        "touched": bool(named & mine),
        "named": last.place,
        "of": len(named),
        "kind": last.kind.value,
        "alarms": len({alarm.id for alarm in ours}),
    }


def _near(chosen: Iterable[Site], ready: _Ready) -> NDArray[np.bool_]:
    """Return the channels that a fault may reach, shape (C,)."""
    channels = ready.stream.whole.channels
    cards, others = np.zeros((2, len(channels)), bool)
    for site in chosen:
        dead_card = site.fault.kind is FaultKind.DEAD and len(site.channels) > 1
        (cards if dead_card else others)[list(site.channels)] = True
    # A shower that enters a dead card is found as far from it as its cells reach.
    rows = others | _in_patch_with(cards, channels)
    for _ in range(2):  # those in a patch with it, and those in a patch with these
        rows = _in_patch_with(rows, channels)
    return rows


def _in_patch_with(rows: NDArray[np.bool_], channels: Channels) -> NDArray[np.bool_]:
    """Return some channels, shape (C,), with all that are in a patch with them."""
    patch = channels.patches(np.flatnonzero(rows).astype(np.uint32))
    rows = rows.copy()
    rows[patch[patch >= 0]] = True
    return rows


def _elsewhere(said: list[Alarm], chosen: list[Site], ready: _Ready) -> list[str]:
    """Return the alarms of channels that no fault reaches."""
    near = np.flatnonzero(_near(chosen, ready)).tolist()
    return [
        alarm.summary
        for alarm in said
        if alarm.state is State.RAISED and not {c.channel for c in alarm.channels} & set(near)
    ]


def _occupancy(ready: _Ready, chosen: list[Site], seconds: int) -> dict[str, float]:
    """Return how many good channels a day are flagged in the whole barrel."""
    good = ~_near(chosen, ready)
    scale = WHOLE / int(good.sum()) * 86_400 / seconds
    return {str(w.window_s): w.flags(good) * scale for w in ready.occupancy}


def _alone(ready: _Ready, chosen: list[Site], limit: int) -> list[dict[str, Any]]:
    """Return what became of faults one at a time, by all that watches, with channels and without.

    Without: sums by cell of the patch, as of a detector of which nobody says the channels.
    """
    firsts = {site.name: site for site in reversed(chosen)}
    return [_by_itself(firsts[name], ready, limit) for name in NAMES]


def _by_itself(site: Site, ready: _Ready, limit: int) -> dict[str, Any]:
    both = [_restored(ready, channels=channels) for channels in (True, False)]
    ready.stream.second = onset = ready.since
    said = [list[Alarm](), list[Alarm]()]
    for window in ready.stream.windows(limit, (site.fault,)):
        for monitor, heard in zip(both, said, strict=True):
            heard.extend(_alarms(monitor, window))
    by_patch = [alarm for alarm in said[1] if alarm.state is State.RAISED]
    others = {a.id for a in said[0] if not site.channels & {c.channel for c in a.channels}}
    return {
        "fault": site.name,
        "where": list(site.fault.channel),
        **_found(said[0], site.channels, onset),
        "other_alarms": len(others),
        "by_patch_cell_s": by_patch[0].raised_ns // 10**9 - onset if by_patch else None,
        "by_patch_cell": by_patch[0].summary if by_patch else "",
    }
