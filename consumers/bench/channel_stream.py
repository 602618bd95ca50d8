"""Channel stream: showers anywhere in a part of a barrel, at the pace of the whole, as windows.

A channel of 61,200 at 1 kHz sees as many showers as one of 3,400 at 56 Hz. The part is simulated at
that pace and watched at the thresholds of the whole, so that hours cost minutes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from consumers.app import environment, wiring
from consumers.score.hidden import hidden_cells
from models.detector.grids import build
from models.detector.parts import GridGroup, GridLayer, Part
from models.scoring.scales import lit_threshold
from models.scoring.stand_in import stood_in
from models.simulation.whole import Spread, anywhere, complete, constants, simulated_pool
from monitor.detector.tree import Detector, Region
from monitor.judging.monitor import Monitor
from monitor.judging.settings import MonitorSettings
from monitor.sequential.budget import Allowance
from monitor.windows.channel_sums import Standard, tally_channels
from monitor.windows.tally import tally
from monitor.windows.window import WindowKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from models.detector.channels import Channels
    from models.scoring.artefact import Artefact
    from models.scoring.scored import Scored
    from models.showers.batch import Showers
    from models.simulation.faults import Fault
    from models.simulation.whole import WholeDetector
    from monitor.windows.channel_sums import ChannelSums
    from monitor.windows.window import Window

WHOLE = 61_200
"""Channels of the barrel."""

POOL = 20_000
"""Showers without noise that are drawn from."""

ENERGIES_MEV = (1_000.0, 50_000.0)
"""Even between these, as the model was trained."""

SPREAD = Spread(gain=0.005, noise=0.1, pedestal=0.1)
"""Of the channels: gains as well as those of a calibrated barrel are known."""

SHOWERS_AT_ONCE = 3_000
"""Scored together, about."""


def part(modules: int, rows: int = 1) -> tuple[Detector, Channels]:
    """Return rings of so many supermodules of 85 x 20 crystals each, and their channels."""
    layer = GridLayer("crystals", (85, 20), patch=(5, 5))
    groups = (GridGroup("card", (5, 5)), GridGroup("hv", (5, 10)))
    channels = build((Part("EB", (rows, modules), (layer,), wrap="columns", groups=groups),))
    regions = tuple(Region(i, f"EB{i + 1}", "EB") for i in range(rows * modules))
    return Detector("barrel", regions, channels=channels), channels


def whole_barrel() -> tuple[Detector, Channels]:
    """Return the barrel of 36 supermodules."""
    return part(18, 2)


def whole_of(channels: Channels, artefact: Artefact, seed: int) -> WholeDetector:
    """Return a part whose channels have ways of their own."""
    rng = np.random.default_rng([seed, 1])
    pool = simulated_pool(channels, artefact.geometry, rng.uniform(*ENERGIES_MEV, POOL), rng)
    own = constants(len(channels), artefact.geometry, SPREAD, seed)
    return replace(anywhere(channels, artefact.geometry, pool), constants=own)


@dataclass
class Stream:
    """Showers anywhere in a part, scored."""

    artefact: Artefact
    detector: Detector
    whole: WholeDetector
    rate: float
    """Hz, in the part."""

    seed: int
    second: int = 0
    """The newest one."""

    showers: int = 0

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng([self.seed, 7])
        self._scorer = wiring.scorer_of(self.artefact, environment.load({}, {}), self.detector)
        self._standard = Standard.of(self.artefact.reference)
        self._channels = self.whole.channels
        self._may = np.flatnonzero(self._channels.may_seed).astype(np.uint32)

    def windows(self, seconds: int, faults: tuple[Fault, ...] = ()) -> Iterator[Window]:
        """Yield the windows of so many data-seconds, with the sums by channel."""
        at_once = max(1, round(SHOWERS_AT_ONCE / self.rate))
        while seconds > 0:
            n = min(at_once, seconds)
            yield from self._some(n, faults)
            seconds -= n

    def scored(self, n: int) -> tuple[Showers, Scored]:
        """Return some good showers inside of the detector."""
        inner = complete(self._channels)
        showers = self.whole.read(self._rng.choice(inner, n), self._rng)
        kept = (self._channels.patches(_seeds(showers)) >= 0).all(axis=1)
        showers = showers[np.flatnonzero(kept)]
        return showers, self._scorer.score(showers)

    def _some(self, n: int, faults: tuple[Fault, ...]) -> Iterator[Window]:
        count = int(self._rng.poisson(self.rate * n))
        entered = self._rng.choice(self._may, count)
        showers = self.whole.read(entered, self._rng, faults)
        self.showers += showers.n
        hidden = hidden_cells(showers, np.zeros(showers.n, np.int64), self.detector)
        scored = self._scorer.score(showers, hidden=hidden)
        second = self._rng.integers(0, n, showers.n)
        for i in range(n):
            rows = np.flatnonzero(second == i)
            its = None if hidden is None else hidden[rows]
            self.second += 1
            yield self._window(showers[rows], scored.rows(rows), its)

    def _window(self, showers: Showers, scored: Scored, hidden: NDArray[np.bool_] | None) -> Window:
        sums = self.by_channel(showers, scored)
        if hidden is not None:
            rate, lit = self.artefact.reference.lit_rate, lit_threshold(self.artefact.geometry)
            showers, scored = stood_in(showers, scored, hidden, rate, lit)
        return replace(self.by_region(showers, scored), channels=sums)

    def by_channel(self, showers: Showers, scored: Scored) -> ChannelSums:
        """Return the sums by channel of a data-second."""
        ok, seeds = np.flatnonzero(scored.valid), _seeds(showers)
        return tally_channels(
            seeds[ok], showers.cells[ok], scored.rows(ok), self._channels,
            geometry=self.artefact.geometry, standard=self._standard,
        )  # fmt: skip

    def by_region(self, showers: Showers, scored: Scored) -> Window:
        """Return the window of a data-second, without sums by channel."""
        key = WindowKey(1, self.second // 23, self.second)
        region = self._channels.region[_seeds(showers)].astype(np.int64)
        geometry, shape = self.artefact.geometry, self._scorer.shape
        return tally(key, showers, scored, region, geometry=geometry, shape=shape)


def _seeds(showers: Showers) -> NDArray[np.uint32]:
    if showers.seeds is None:
        raise ValueError("showers of a detector of channels have seeds")
    return showers.seeds


def watching(artefact: Artefact, detector: Detector, n_channels: int) -> Monitor:
    """Return the monitor of a part with the thresholds of the whole barrel.

    Those of its channels, groups and regions are; the part is its own sector and detector, which
    then need somewhat more than in the whole.
    """
    days = 30.0 * WHOLE / n_channels
    settings = MonitorSettings(allowance=Allowance(days, days))
    return Monitor(detector, artefact.geometry, artefact.reference, settings)
