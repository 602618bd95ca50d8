"""Channels: faults of single channels and groups in a part of a barrel, at the pace of the whole.

A channel of 61,200 at 1 kHz sees as many showers as one of 3,400 at 56 Hz. The part is simulated at
that pace and tested at the thresholds of the whole, so that hours cost minutes. Channels have gains,
noise and pedestals of their own, which the monitor learns from the stream as it would.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from consumers.app import settings, wiring
from consumers.score.hidden import hidden_cells
from consumers.wire.user_error import UserError
from models.detector.grids import build
from models.detector.parts import GridGroup, GridLayer, Part
from models.scoring.response import gain_response
from models.simulation.channel_faults import struck
from models.simulation.faults import Fault, FaultKind
from models.simulation.whole import Spread, anywhere, constants, simulated_pool
from monitor.detector.places import Places
from monitor.detector.tree import Detector, Region
from monitor.judging.channel_monitor import ChannelMonitor
from monitor.judging.settings import MonitorSettings
from monitor.quality.alarms import Alarm, ReferenceSummary, State
from monitor.reference.expectation import of_reference
from monitor.reference.gains import estimated
from monitor.reference.live import LiveSettings
from monitor.sequential.budget import Allowance
from monitor.windows.channel_sums import NO_CHANNELS, ChannelSums, Standard, tally_channels
from monitor.windows.channel_table import ChannelTable
from monitor.windows.clock import Clock

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

    from models.detector.channels import Channels
    from models.scoring.artefact import Artefact
    from models.scoring.scored import Scored
    from models.showers.batch import Showers
    from models.simulation.whole import WholeDetector

WHOLE = 61_200
POOL = 20_000
"""Showers without noise that are drawn from."""

AT_ONCE_S = 50
"""Data-seconds that are scored together."""

CHUNK_S = 300
SIGMAS = 5.0
"""Of the occupancy test that stands for what is done today."""


def part(modules: int) -> tuple[Detector, Channels]:
    """Return so many supermodules side by side, of 85 x 20 crystals, and their channels."""
    layer = GridLayer("crystals", (85, 20), patch=(5, 5))
    groups = (GridGroup("card", (5, 5)), GridGroup("hv", (5, 10)))
    channels = build((Part("EB", (1, modules), (layer,), groups=groups),))
    regions = tuple(Region(i, f"EB{i + 1}", "EB") for i in range(modules))
    return Detector("barrel", regions, channels=channels), channels


@dataclass
class Stream:
    """Showers anywhere in the part, summed by channel."""

    artefact: Artefact
    detector: Detector
    whole: WholeDetector
    rate: float
    seed: int
    showers: int = 0

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng([self.seed, 7])
        self._scorer = self.artefact.scorer("cpu")
        self._standard = Standard.of(self.artefact.reference)
        self._channels = self.whole.channels
        self._may = np.flatnonzero(self._channels.may_seed).astype(np.uint32)

    def seconds(self, n: int, faults: tuple[Fault, ...] = ()) -> list[ChannelSums]:
        """Return the sums of so many data-seconds."""
        counts = self._rng.poisson(self.rate, n)
        entered = self._rng.choice(self._may, int(counts.sum()))
        order = np.repeat(np.arange(n), counts)
        # Which second a shower is of makes no difference to it, and some are not found.
        showers = self.whole.read(entered, self._rng, faults)
        self.showers += showers.n
        hidden = hidden_cells(showers, np.zeros(showers.n, np.int64), self.detector)
        scored = self._scorer.score(showers, hidden=hidden)
        ok = np.flatnonzero(scored.valid)
        second = self._rng.choice(order, showers.n, replace=False)[ok]
        return [self._sums(showers, scored, ok[second == i]) for i in range(n)]

    def _sums(self, showers: Showers, scored: Scored, rows: NDArray[np.int64]) -> ChannelSums:
        if not len(rows) or showers.seeds is None:
            return NO_CHANNELS
        return tally_channels(
            showers.seeds[rows], showers.cells[rows], scored.rows(rows), self._channels,
            geometry=self.artefact.geometry, standard=self._standard,
        )  # fmt: skip


@dataclass
class Judge:
    """The watch over channels, as a judge has it."""

    artefact: Artefact
    detector: Detector
    channels: Channels
    days_per_page: float
    second: int = 0
    said: list[Alarm] = field(default_factory=list)

    def __post_init__(self) -> None:
        reference = of_reference(self.artefact.reference)
        given = MonitorSettings(
            allowance=Allowance(self.days_per_page, self.days_per_page), live=LiveSettings()
        )
        told = ReferenceSummary(reference.id, reference.origin, reference.n, "")
        self._clock, places = Clock(), Places(self.detector)
        self._none = np.zeros(places.n_regions, bool)
        self.monitor = ChannelMonitor(
            self.channels, places, reference, given, self._clock, lambda: told
        )

    def take(self, sums: ChannelSums) -> None:
        """Take in a data-second."""
        self._clock.second = self.second
        self._clock.tick(1, 1)
        changes = self.monitor.step(
            self.second, sums, new=True, held=self._none, distrusted=self._none
        )
        self.said += [self.monitor.tell(change) for change in changes]
        self.second += 1


@dataclass
class OccupancyMonitor:
    """What online monitors do today: counts of each channel, against their mean ± 5σ."""

    n: int
    window_s: int = 60

    def __post_init__(self) -> None:
        self._table = ChannelTable(self.n)
        self._mean = np.zeros(self.n)
        self._learnt = self._age = 0
        self.flagged: list[tuple[int, int]] = []
        """Data-second and channel."""

    def take(self, second: int, sums: ChannelSums, *, learn: bool) -> None:
        """Take in a data-second."""
        self._table.add(sums)
        self._age += 1
        if self._age < self.window_s:
            return
        lit = self._table["lit"].sum(1)
        if learn:
            self._mean += lit
            self._learnt += 1
        else:
            mean = self._mean / max(self._learnt, 1)
            off = np.abs(lit - mean) > SIGMAS * np.sqrt(np.maximum(mean, 1.0))
            self.flagged += [(second, int(c)) for c in np.flatnonzero(off)]
        self._table.clear()
        self._age = 0


FAULTS: dict[str, tuple[FaultKind, tuple[str, ...], dict[str, float]]] = {
    "dead": (FaultKind.DEAD, ("EB1/210",), {}),
    "hot": (FaultKind.HOT, ("EB1/450",), {"x": 50.0, "share": 0.1}),
    "noise x 3": (FaultKind.NOISE, ("EB1/690",), {"x": 3.0}),
    "gain +2 %": (FaultKind.GAIN, ("EB1/930",), {"x": 0.02}),
    "gain -2 %": (FaultKind.GAIN, ("EB1/1170",), {"x": -0.02}),
    "gain +5 %": (FaultKind.GAIN, ("EB1/1410",), {"x": 0.05}),
    "gain -5 %": (FaultKind.GAIN, ("EB1/1650",), {"x": -0.05}),
    "gain +10 %": (FaultKind.GAIN, ("EB2/210",), {"x": 0.10}),
    "gain -10 %": (FaultKind.GAIN, ("EB2/450",), {"x": -0.10}),
    "swapped pair": (FaultKind.SWAP, ("EB2/690", "EB2/691"), {}),
    "dead card of 25": (FaultKind.DEAD, ("EB2/card40",), {}),
    "high voltage -3 %": (FaultKind.GAIN, ("EB2/hv30",), {"x": -0.03}),
}
"""Faults far from each other, all at once: a channel's tests do not see the others'."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm bench channels`."""
    parser.add_argument(
        "--artefact", type=Path, required=True, metavar="DIR", help="of 5 x 5 cells"
    )
    parser.add_argument("--hours", type=float, default=4.0, help="of good data before the faults")
    parser.add_argument("--fault-hours", type=float, default=1.0, help="with the faults")
    parser.add_argument("--rate", type=float, default=1000.0, help="of the whole barrel, Hz")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, metavar="JSON")


def run(args: argparse.Namespace) -> int:
    """Simulate, and tell what was found, when, and how well gains are known."""
    if not (args.hours > 0.5 and args.fault_hours > 0 and args.rate > 0):
        raise UserError("more than half an hour of good data, some with faults, and a rate > 0")
    given = settings.load({"artefact": args.artefact}, {})
    found = study(wiring.artefact_of(given), args.hours, args.fault_hours, args.rate, args.seed)
    if args.out is not None:
        args.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    Console().print_json(json.dumps(found))
    return 0


def study(
    artefact: Artefact, hours: float, fault_hours: float, rate: float, seed: int
) -> dict[str, Any]:
    """Return the figures."""
    begun = time.process_time()
    detector, channels = part(2)
    n, rng = len(channels), np.random.default_rng([seed, 1])
    pool = simulated_pool(channels, artefact.geometry, 10 ** rng.uniform(3, 4.7, POOL), rng)
    own = constants(n, artefact.geometry, Spread(0.02, 0.1, 0.1), seed)
    whole = replace(anywhere(channels, artefact.geometry, pool), constants=own)
    stream = Stream(artefact, detector, whole, rate * n / WHOLE, seed)
    judge = Judge(artefact, detector, channels, 30.0 * WHOLE / n)
    before = OccupancyMonitor(n)
    faults = {
        name: Fault(kind, channel=where, magnitudes=x) for name, (kind, where, x) in FAULTS.items()
    }
    for length, active in ((hours, ()), (fault_hours, tuple(faults.values()))):
        for _ in range(round(length * 3600 / AT_ONCE_S)):
            for sums in stream.seconds(AT_ONCE_S, active):
                judge.take(sums)
                before.take(judge.second, sums, learn=not active)
    onset = round(hours * 3600 / AT_ONCE_S) * AT_ONCE_S
    members = {name: set(struck(fault, channels).tolist()) for name, fault in faults.items()}
    return {
        "channels": n, "rate": stream.rate, "hours": hours, "showers": stream.showers,
        "false pages before the faults": sum(
            a.state is State.RAISED and a.raised_ns < onset * 10**9 for a in judge.said
        ),
        "epochs": judge.monitor.live.epoch,
        "faults": {name: _found(judge.said, mine, onset) for name, mine in members.items()},
        "others": [
            a.summary for a in judge.said
            if a.state is State.RAISED and a.raised_ns >= onset * 10**9
            and not any(mine & {c.channel for c in a.channels} for mine in members.values())
        ],
        "occupancy ± 5σ": _occupancy(before, members, onset, n, fault_hours),
        "gains": _gains(artefact, judge, pool_showers(whole, rng), own.gain),
        "cpu_s": time.process_time() - begun,
    }  # fmt: skip


def _found(said: list[Alarm], mine: set[int], onset: int) -> dict[str, Any]:
    """Return when and how a fault was found."""
    ours = [
        a for a in said if mine & {c.channel for c in a.channels} and a.raised_ns >= onset * 10**9
    ]
    if not ours:
        return {"found": False}
    last = ours[-1]
    named = {c.channel for c in last.channels}
    return {
        "found": True,
        "seconds": ours[0].raised_ns // 10**9 - onset + 1,
        "exactly": named == mine,
        "named": last.place,
        "kind": last.kind.value,
        "summary": last.summary,
    }


def _occupancy(
    before: OccupancyMonitor, members: dict[str, set[int]], onset: int, n: int, hours: float
) -> dict[str, Any]:
    """Return what counts with a threshold of 5σ found, and how often they flagged good channels."""
    first: dict[str, int | None] = {}
    for name, mine in members.items():
        seconds = [second for second, channel in before.flagged if channel in mine]
        first[name] = min(seconds) - onset if seconds else None
    struck_ = set().union(*members.values())
    wrong = sum(channel not in struck_ for _, channel in before.flagged)
    return {"seconds": first, "false a day in the whole": wrong * WHOLE / n * 24 / hours}


def pool_showers(whole: WholeDetector, rng: np.random.Generator) -> Showers:
    """Return good showers, of channels that are all alike, to measure responses on."""
    alike = replace(whole, constants=constants(len(whole.channels), whole.geometry, Spread(), 1))
    return alike.each_once(rng)[slice(0, 2000)]


def _gains(artefact: Artefact, judge: Judge, good: Showers, injected: Any) -> dict[str, Any]:
    """Return how far estimated gains are from the injected ones, against their errors."""
    channels = judge.monitor.channels
    standard = Standard.of(artefact.reference)
    scorer = artefact.scorer("cpu")
    response = gain_response(scorer, good, channels.rings, standard.mean, standard.sigma)
    found = estimated(judge.monitor.live.total, channels, response)
    told = np.isfinite(found.gain)
    off = (found.gain - injected)[told]
    off = off - np.median(off)
    return {
        "channels": int(told.sum()),
        "showers near a channel, median": float(np.median(found.showers[told])),
        "error by the statistics, median": float(np.median(found.error[told])),
        "error found (68 % of |estimate - injected|)": float(np.quantile(np.abs(off), 0.683)),
        "pull, width": float(np.quantile(np.abs(off / found.error[told]), 0.683)),
        "correlation": float(np.corrcoef(found.gain[told], injected[told])[0, 1]),
        "response": {
            name: round(getattr(response, name), 3)
            for name in ("core", "near", "core_of_near", "near_of_core", "near_of_near")
        },
    }
