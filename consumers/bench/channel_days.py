"""Channel days: false pages of channels and groups in simulated days of good data.

Sums by channel are drawn, not showers: each is the sum of as many latents as fell into the step, of
real ones of good showers through the flow, in the order of a shuffled pool. Cells of one shower are
taken as independent. A step is minutes; a coarser one leaves the bound on the run length as it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.bench.channel_stream import WHOLE, part, whole_of
from models.scoring.scales import lit_threshold
from monitor.detector.blocks import Blocks
from monitor.judging.settings import MonitorSettings
from monitor.reference.channel_constants import certified, learnt, square_var
from monitor.reference.expectation import of_reference
from monitor.reference.live import GROWTH
from monitor.sequential.bank import Bank
from monitor.sequential.budget import DAY, Allowance
from monitor.sequential.channel_streams import WEIGHTS
from monitor.sequential.channel_tests import ChannelTests
from monitor.sequential.channel_units import ChannelUnits
from monitor.windows.channel_sums import CHANNEL_Z_CLIP, N_RINGS, UNITS, ChannelSums, Standard
from monitor.windows.channel_table import ChannelTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.channels import Channels
    from models.scoring.artefact import Artefact

MODULES = 2
RATE = 1_000.0
"""Of the whole barrel, Hz."""

DAYS = 10
"""Of the part, in a unit."""

STEP_S = 300
OFFSETS = 0.05
"""Deviations by which the mean latents of channels differ."""

SIZES = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Evidence that is counted, as a share of what a page needs."""


class SumsOfGood:
    """Draws sums of good showers by channel and ring."""

    def __init__(self, artefact: Artefact, channels: Channels, seed: int) -> None:
        self._rng = np.random.default_rng([seed, 5])
        n = len(channels)
        rings = channels.rings
        self._mean = RATE / WHOLE * STEP_S * np.bincount(rings, minlength=N_RINGS)
        self._n = n
        self._offset = self._rng.normal(0, OFFSETS, n)
        self._totals = [
            np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
            for values in _values(artefact, channels, seed, self._rng)
        ]

    def draw(self) -> ChannelSums:
        """Return the sums of a step."""
        counts = self._rng.poisson(self._mean, (self._n, N_RINGS))
        sums = np.zeros((self._n, N_RINGS, 5))
        for ring, total in enumerate(self._totals):
            n = counts[:, ring]
            first = self._rng.integers(0, len(total) - 1 - n.max(), self._n)
            sums[:, ring] = total[first + n] - total[first]
        offset = self._offset[:, None]
        sums[..., 1] += 2 * offset * sums[..., 0] + counts * offset**2
        sums[..., 0] += counts * offset
        flat = sums.reshape(-1, 5)
        names = ("z", "z_square", "lit", "lit_expected", "energy")
        columns = [np.rint(flat[:, i] / UNITS[name]) for i, name in enumerate(names)]
        return ChannelSums(
            np.arange(self._n * N_RINGS),
            counts.ravel().astype(np.int64),
            *(column.astype(np.int64) for column in columns),
        )


def _values(
    artefact: Artefact, channels: Channels, seed: int, rng: np.random.Generator
) -> list[NDArray[np.float64]]:
    """Return what single cells of good showers add to the sums, by ring, in random order, (n, 5)."""
    showers = whole_of(channels, artefact, seed).each_once(rng)
    scored, standard = artefact.scorer("cpu").score(showers), Standard.of(artefact.reference)
    ok = np.flatnonzero(scored.valid)
    k, v = scored.condition_cell[ok], len(channels.rings)
    z = (scored.latents[ok][:, :v] - standard.mean[k]) / standard.sigma[k]
    z = np.clip(z, -CHANNEL_Z_CLIP, CHANNEL_Z_CLIP)
    cells = showers.cells[ok]
    lit = cells > lit_threshold(artefact.geometry)
    columns = np.stack([z, z**2, lit, standard.lit[k], cells], axis=2)
    return [
        rng.permutation(columns[:, channels.rings == ring].reshape(-1, 5).astype(np.float64))
        for ring in range(N_RINGS)
    ]


def days(artefact: Artefact, seed: int) -> dict[str, Any]:
    """Return how often evidence grew to each of `SIZES` in `DAYS` of the part, and how often it may."""
    _, channels = part(MODULES)
    blocks, settings = Blocks(channels), MonitorSettings()
    given = {name: members.astype(np.int64) for name, members in channels.groups.items()}
    found = {name: members for name, members in blocks.found().items() if name not in given}
    units = ChannelUnits(len(channels), given | found)
    scale = len(channels) / WHOLE
    needed = Allowance(30.0 / scale).channels_at(units)
    expected, miscoverage = of_reference(artefact.reference), settings.miscoverage / 4
    tests = ChannelTests(
        units, certified(len(channels)), certified(len(channels)), blocks.pool,
        square_var(expected, channels.rings), settings.floors, miscoverage,
    )  # fmt: skip
    bank, sums = Bank(units.n, WEIGHTS, needed, np.float32), SumsOfGood(artefact, channels, seed)
    seen = np.ones(len(channels), bool)
    step_table, total = ChannelTable(len(channels)), ChannelTable(len(channels))
    crossed = np.zeros(len(SIZES), np.int64)
    above = np.zeros((len(SIZES), units.n), bool)
    largest, epoch, taken = 0.0, 0, 0
    for step in range(round(DAYS * DAY / STEP_S)):
        drawn = sums.draw()
        step_table.clear()
        step_table.add(drawn)
        bank.step(tests.log_e(step_table, seen), STEP_S, step * STEP_S)
        ratio = bank.total() / needed
        now = ratio >= np.array(SIZES)[:, None]
        crossed += (now & ~above).sum(1)
        above, largest = now, max(largest, float(ratio.max()))
        total.add(drawn)
        if total.n >= GROWTH * max(taken, 1):  # as the live reference takes up what it has learnt
            epoch, taken = epoch + 1, total.n
            share = 6 / (np.pi * epoch) ** 2
            tests = replace(
                tests,
                constants=learnt(total, blocks.pool),
                miscoverage=miscoverage * share,
            )
    whole_days = DAYS * scale
    return {
        "days": whole_days,
        "step_s": STEP_S,
        "units": units.n,
        "epochs": epoch,
        "largest": largest,
        "crossings": [
            {"share": size, "allowed": 0.3 * whole_days / 30 / size, "found": int(count)}
            for size, count in zip(SIZES, crossed, strict=True)
        ],
    }
