"""Channel days: how often good data raise the evidence against channels and groups to a page's.

A barrel-day is covered in parts: blocks of channels at the rate of the whole barrel and at the evidence
that the whole asks for are alike, and so many of them over so many days are as good. Copies of blocks
whose evidence has grown are made many of little weight (see `weighted_ensemble`), so that the rate of
pages is measured though none would come in years.

A step is minutes; a coarser one leaves the bound on the run length as it is. Constants are of all that
has come: nothing waits in quarantine, and no channel ends where it is suspected, as in the monitor.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.bench.channel_draws import SumsOfGood
from consumers.bench.channel_stream import WHOLE, part
from consumers.bench.weighted_ensemble import resampled
from monitor.detector.blocks import Blocks
from monitor.judging.settings import MonitorSettings
from monitor.reference.channel_constants import ChannelConstants, certified, learnt, square_var
from monitor.reference.expectation import of_reference
from monitor.reference.live_channels import GROWTH
from monitor.sequential.bank import Bank
from monitor.sequential.budget import DAY, Allowance
from monitor.sequential.channel_streams import WEIGHTS
from monitor.sequential.channel_tests import ChannelTests
from monitor.sequential.channel_units import ChannelUnits
from monitor.windows.channel_table import ChannelTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.channels import Channels
    from models.scoring.artefact import Artefact

MODULES = 2
"""Of the part whose groups are counted."""

RATE = 1_000.0
"""Of the whole barrel, Hz."""

BLOCKS = 160
CARD, CARDS = 25, 2
"""Channels of a card; a block is a channel of high voltage of two cards."""

SIZE, GROUPS = CARD * CARDS, 1 + CARDS
"""Channels of a block, and groups."""

DAYS = 10
"""In a unit."""

STEP_S = 300
RESAMPLED = 12
"""Steps after which copies are made anew."""

BINS_A_DECADE, LEAST = 6, 1e-12
"""Of the evidence by which blocks are told apart, and below which they are not: what has said
nothing yet has some 1e-9 of what a page needs, so bins have to begin below that."""

SIZES = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Evidence that is counted, as a share of what a page needs."""


class Ensemble:
    """Blocks of good channels and the tests of them, each with a weight: how many it stands for."""

    def __init__(self, artefact: Artefact, blocks: int, seed: int) -> None:
        _, channels = part(MODULES)
        whole = whole_units(channels)
        n, self._rng = blocks * SIZE, np.random.default_rng([seed, 29])
        self.units = block_units(blocks)
        at = Allowance(30.0 * WHOLE / len(channels)).channels_at(whole)
        self.needed = np.repeat(at[[0, -1]], [n, blocks * GROUPS])
        settings, expected = MonitorSettings(), of_reference(artefact.reference)
        # Bounds hold together for all units of the whole barrel: these are so many of them.
        scale = self.units.n / (whole.n * WHOLE / len(channels))
        self._miscoverage = settings.miscoverage / 4 / settings.live.ends * scale
        self._pool = np.zeros(n, np.int64)
        self.tests = ChannelTests(
            self.units, certified(n), certified(n), self._pool,
            square_var(expected, channels.rings), settings.floors, self._miscoverage,
        )  # fmt: skip
        self._bank = Bank(self.units.n, WEIGHTS, self.needed, np.float32)
        self._sums = SumsOfGood(artefact, channels, n, RATE / WHOLE * STEP_S, seed)
        self._table, self._total, self._seen = ChannelTable(n), ChannelTable(n), np.ones(n, bool)
        self.weight = np.ones(blocks)
        self.epoch, self._taken = 0, 0

    def step(self, second: int) -> NDArray[np.float64]:
        """Go on by a step; return the evidence of each unit as a share of a page's, shape (U,)."""
        drawn = self._sums.draw()
        self._table.clear()
        self._table.add(drawn)
        self._bank.step(self.tests.log_e(self._table, self._seen), STEP_S, second)
        self._total.add(drawn)
        if self._total.n >= GROWTH * max(self._taken, 1):  # as the live reference takes up
            self.epoch, self._taken = self.epoch + 1, self._total.n
            share = 6 / (np.pi * self.epoch) ** 2
            constants = learnt(self._total, self._pool)
            self.tests = replace(
                self.tests, constants=constants, miscoverage=self._miscoverage * share
            )
        return self._bank.total() / self.needed

    def of_units(self) -> NDArray[np.float64]:
        """Return the weight of each unit's block, shape (U,)."""
        return np.concatenate([np.repeat(self.weight, SIZE), np.repeat(self.weight, GROUPS)])

    def resample(self, ratio: NDArray[np.float64]) -> NDArray[np.int64]:
        """Make copies anew; return of which unit each is now, shape (U,)."""
        n, blocks = len(self._pool), len(self.weight)
        largest = np.maximum(
            ratio[:n].reshape(blocks, SIZE).max(1), ratio[n:].reshape(blocks, GROUPS).max(1)
        )
        bins = np.floor(BINS_A_DECADE * np.log10(np.maximum(largest, LEAST))).astype(np.int64)
        rows, self.weight = resampled(bins, self.weight, self._rng)
        channels = (rows[:, None] * SIZE + np.arange(SIZE)).ravel()
        groups = (rows[:, None] * GROUPS + np.arange(GROUPS)).ravel()
        units = np.concatenate([channels, n + groups])
        self._sums.offsets = self._sums.offsets[channels]
        self._total = self._total.of(channels)
        self._bank.restore({name: array[units] for name, array in self._bank.state().items()})
        self.tests = replace(self.tests, constants=_of(self.tests.constants, channels))
        return units


def whole_units(channels: Channels) -> ChannelUnits:
    """Return the units of a part, as a judge watches them."""
    given = {name: members.astype(np.int64) for name, members in channels.groups.items()}
    return ChannelUnits(len(channels), Blocks(channels).found() | given)


def block_units(blocks: int) -> ChannelUnits:
    """Return the channels of blocks, and the groups of each: one high voltage, and its cards."""
    within = [np.arange(SIZE), *np.arange(SIZE).reshape(CARDS, CARD)]
    groups = {
        f"{block}/{i}": block * SIZE + members
        for block in range(blocks)
        for i, members in enumerate(within)
    }
    return ChannelUnits(blocks * SIZE, groups)


def _of(constants: ChannelConstants, channels: NDArray[np.int64]) -> ChannelConstants:
    arrays = {f.name: getattr(constants, f.name) for f in fields(constants)}
    return replace(constants, **{k: v[channels] for k, v in arrays.items() if np.ndim(v)})


def days(artefact: Artefact, seed: int) -> dict[str, Any]:
    """Return how often evidence grew to each of `SIZES` in `DAYS` of blocks, and how often it may."""
    ensemble = Ensemble(artefact, BLOCKS, seed)
    crossed = np.zeros(len(SIZES))
    above = np.zeros((len(SIZES), ensemble.units.n), bool)
    for step in range(round(DAYS * DAY / STEP_S)):
        ratio = ensemble.step(step * STEP_S)
        now = ratio >= np.array(SIZES)[:, None]
        crossed += (now & ~above) @ ensemble.of_units()
        above = now
        if step % RESAMPLED == RESAMPLED - 1:
            above = above[:, ensemble.resample(ratio)]
    whole_days = DAYS * BLOCKS * SIZE / WHOLE
    return {
        "days": whole_days,
        "step_s": STEP_S,
        "blocks": BLOCKS,
        "units": ensemble.units.n,
        "epochs": ensemble.epoch,
        "crossings": [
            {
                "share": size,
                "allowed": float((DAYS * DAY / ensemble.needed).sum() / size),
                "found": float(count),
            }
            for size, count in zip(SIZES, crossed, strict=True)
        ],
    }
