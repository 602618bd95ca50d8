"""Simulation: how long good data run before a false page, by simulating the counts themselves.

What is simulated is what the tests see: for every region and step a Poisson number of showers,
spread over the bins of p of every score as good showers are, and the tests' own code on top. A
thousand days of 64 regions are 5 x 10^9 region-seconds; a step here is a minute, so that it
takes minutes. A coarser step leaves the bound on the run length as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import chdtri, pdtrc

from models.scoring.scales import LEVELS, P_EDGES
from monitor.detector.places import Places
from monitor.detector.tree import grid
from monitor.reference.expectation import Expectation
from monitor.sequential.bank import Bank
from monitor.sequential.budget import DAY, Allowance
from monitor.sequential.rates import Counts, Floors, RateTests
from monitor.sequential.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

STEP_S = 60
FLAT = np.diff(P_EDGES)


@dataclass(frozen=True, slots=True)
class Setting:
    """A detector and its reference, as simulated."""

    sectors: int = 8
    regions_per_sector: int = 8
    rate: float = 1000.0
    """Showers per second in the whole detector."""

    n_ref: int = 100_000
    """Showers of the reference that count."""

    n_scores: int = 0
    """Beside the combined one, which alone has the whole weight of the p histograms here."""

    spread: float = 0.0
    """Relative spread of the tail probability from step to step, common to all regions."""

    allowance: Allowance = field(default_factory=Allowance)
    floors: Floors = field(default_factory=Floors)
    miscoverage: float = 0.05
    share: float = 0.5
    """Share of the evidence weight of the tests that are simulated."""

    @property
    def places(self) -> Places:
        """Return the places of the detector."""
        return Places(grid("calo", self.sectors, self.regions_per_sector))


def ideal(n: int, n_scores: int, rng: np.random.Generator | None) -> Expectation:
    """Return what n good showers that counted say, without latents; the truth without `rng`."""
    draw = (lambda: rng.multinomial(n, FLAT)) if rng is not None else (lambda: FLAT * n)
    p_counts = np.stack([draw() for _ in range(n_scores + 1)]).astype(np.float64)
    beyond = np.cumsum(p_counts[-1])
    exceedances = np.array([beyond[np.searchsorted(P_EDGES, level) - 1] for level in LEVELS])
    one = np.ones((1, 1))
    return Expectation(
        showers=np.array([float(n)]),
        exceedances=exceedances[None],
        p_counts=p_counts,
        latent_mean=0 * one,
        latent_square=one,
        square_var=2 * one,
        latent_showers=np.array([float(n)]),
        lit_rate=0.3 * one,
        layer_energy=one,
        origin="certified",
        id="simulated",
    )


@dataclass(frozen=True, slots=True)
class FalsePages:
    """False alarms in good data."""

    days: float
    pages: int
    warnings: int
    three_sigma: int
    """Alarms of "more than mean + 3 sigma exceedances in a minute" in any region."""

    tumbling: int
    """Alarms of an exact Poisson test a minute and place, for the same budget, plug-in rate."""

    largest: float
    """Largest evidence over what a page needs."""


def upper_limit(count: int, level: float = 0.95) -> float:
    """Return the upper confidence limit on the mean of a Poisson count.

    >>> round(upper_limit(0), 2)
    3.0
    """
    return float(chdtri(2 * (count + 1), 1 - level) / 2)


def false_pages(
    setting: Setting,
    days: int,
    batch: int,
    seed: int,
    tell: Callable[[int], None] = lambda _done: None,
) -> FalsePages:
    """Return the false alarms of so many days, each batch against a reference of its own."""
    total = np.zeros(4, np.int64)
    largest, done = 0.0, 0
    while done < days:
        size = min(batch, days - done)
        rng = np.random.default_rng([seed, done])
        counts, most = _batch(setting, size, rng)
        total += counts
        largest = max(largest, most)
        done += size
        tell(done)
    pages, warnings, three_sigma, tumbling = (int(x) for x in total)
    return FalsePages(float(days), pages, warnings, three_sigma, tumbling, largest)


def _batch(
    setting: Setting, size: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], float]:
    places = setting.places
    reference = ideal(setting.n_ref, setting.n_scores, rng)
    tests = RateTests(((reference, setting.miscoverage / 4),), setting.floors)
    page_at = np.tile(setting.allowance.page_at(places), size)
    warn_at = np.tile(setting.allowance.warn_at(places), size)
    bank = Bank(size * places.n, tests.weights * setting.share, page_at)
    members = places.members.astype(np.float64)
    plug_in = reference.exceedances[0] / reference.showers[0]
    rivals = _Rivals(setting, places, plug_in)
    found, largest = np.zeros(4, np.int64), 0.0
    for step in range(int(DAY) // STEP_S):
        counts = _counts(setting, size, members, rng)
        bank.step(tests.log_e(counts), STEP_S, step * STEP_S)
        evidence = bank.total()
        paged, warned = evidence >= page_at, evidence >= warn_at
        found[0] += int(paged.sum())
        found[1] += int(warned.sum())
        largest = max(largest, float((evidence / page_at).max()))
        if warned.any():
            bank.reset(warned)  # told once: the next one has to gather its own evidence
        n = counts.showers[:, 0].reshape(size, -1)
        k = counts.exceedances[:, LEVELS.index(0.01)].reshape(size, -1)
        found[2:] += rivals.alarms(np.stack([n, k], axis=2))
    return found, largest


def _counts(
    setting: Setting, size: int, members: NDArray[np.float64], rng: np.random.Generator
) -> Counts:
    """Return the counts of a step at all places of so many independent days."""
    n_places, n_regions = members.shape
    density = np.tile(FLAT, (size, 1))
    if setting.spread:
        tail = P_EDGES[1:] <= 0.1
        density[:, tail] *= np.maximum(1 + setting.spread * rng.normal(size=(size, 1)), 0)
    mean = setting.rate / n_regions * STEP_S * density
    shape = (size, n_regions, setting.n_scores + 1, len(FLAT))
    p_counts = rng.poisson(np.broadcast_to(mean[:, None, None], shape)).astype(np.float64)
    placed = np.einsum("pr,brsh->bpsh", members, p_counts, optimize=True)
    placed = placed.reshape(size * n_places, *shape[2:])
    n = placed[:, -1].sum(1)
    beyond = np.cumsum(placed[:, -1], axis=1)
    columns = [int(np.searchsorted(P_EDGES, level)) - 1 for level in LEVELS]
    share = np.tile(members.mean(1), size)
    everywhere = np.repeat(n.reshape(size, n_places)[:, 0], n_places)
    beside = np.repeat(setting.rate * STEP_S, len(n)) * (1 - share)
    return Counts(
        showers=n[:, None],
        exceedances=beyond[:, columns],
        p_counts=placed,
        unscored=np.zeros(len(n)),
        seen=n,
        traffic=Traffic(n, everywhere - n, np.where(share < 1, share, 0.0), beside),
    )


class _Rivals:
    """What a crew would have otherwise, on exceedances at α = 1e-2 in tumbling minutes."""

    def __init__(self, setting: Setting, places: Places, plug_in: NDArray[np.float64]) -> None:
        self._rate = float(plug_in[LEVELS.index(0.01)])
        self._first = places.first_region
        self._level = 1 / (setting.allowance.days_per_page * DAY / 60 * places.n)

    def alarms(self, minute: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return alarms of both rivals in a minute of showers and exceedances, (days, P, 2)."""
        mean = minute[..., 0] * self._rate
        k = minute[..., 1]
        regions = slice(self._first, None)
        sigma = (k > mean + 3 * np.sqrt(mean))[:, regions].sum()
        exact = (pdtrc(np.maximum(k - 1, 0), mean) < self._level).sum()
        return np.array([sigma, exact], np.int64)
