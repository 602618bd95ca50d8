"""Simulated windows: counts and latents as good or faulty showers would give them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from law import IN_FORCE

from models.detector.geometry import Geometry, Layer
from models.scoring.scales import LEVELS, P_EDGES, Z_UNIT
from monitor.detector.tree import grid
from monitor.reference.expectation import Expectation
from monitor.windows.window import Window, WindowKey

GEOMETRY = Geometry(
    "tiny",
    (Layer("front", (2, 6), (10, 10), (0, 20)), Layer("back", (3, 4), (20, 20), (20, 90))),
    1.0,
)
N_SCORES = 3
CONDITIONS = 4
START = 1_700_000_000
FLAT = np.diff(P_EDGES)
LIT = 0.3


def expectation(n_ref: int = 50_000, rng: np.random.Generator | None = None) -> Expectation:
    """Return what a reference of so many showers says; without `rng`, exactly the truth."""
    k, d = CONDITIONS, GEOMETRY.n_cells + GEOMETRY.n_layers
    each = n_ref // k
    if rng is None:
        exceedances = np.tile(np.array(LEVELS) * each, (k, 1))
        p_counts = np.tile(FLAT * n_ref, (N_SCORES + 1, 1))
        mean = np.zeros((k, d))
    else:
        exceedances = np.stack([_tail(rng, each) for _ in range(k)]).astype(float)
        p_counts = np.stack([rng.multinomial(n_ref, FLAT) for _ in range(N_SCORES + 1)])
        mean = rng.normal(0, 1 / np.sqrt(each), (k, d))
    return Expectation(
        showers=np.full(k, float(each)),
        exceedances=exceedances,
        p_counts=p_counts.astype(float),
        latent_mean=mean,
        latent_square=np.ones((k, d)),
        square_var=np.full((k, d), 2.0),
        latent_showers=np.full(k, float(each)),
        lit_rate=np.full((k, GEOMETRY.n_cells), LIT),
        layer_energy=np.full((k, GEOMETRY.n_layers), 100.0),
        origin="certified",
        id="simulated",
    )


def _tail(rng: np.random.Generator, n: int) -> np.ndarray:
    counts = np.cumsum(rng.multinomial(n, FLAT))
    return np.array([counts[np.searchsorted(P_EDGES, level) - 1] for level in LEVELS])


@dataclass
class Stream:
    """Data-seconds of a detector of equal regions; faults are set between seconds."""

    regions: int = 8
    rate: float = 500.0
    """Showers per second in all."""

    seed: int = 1
    second: int = START
    run: int = 1
    shift: dict[tuple[int, int], float] = field(default_factory=dict)
    """Shift of a latent's mean by (region, latent)."""

    spread: dict[tuple[int, int], float] = field(default_factory=dict)
    """Factor on a latent's deviation by (region, latent)."""

    lit: dict[tuple[int, int], float] = field(default_factory=dict)
    strange: dict[int, float] = field(default_factory=dict)
    """Share of strange showers by region."""

    dull: dict[int, float] = field(default_factory=dict)
    """Share of showers that become the dullest by region."""

    rates: float = LIT
    """Fraction of showers in which a cell is lit, of good ones."""

    unscored: dict[int, float] = field(default_factory=dict)
    silent: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    @property
    def detector(self):
        return grid(
            "calo", sectors=max(self.regions // 4, 1), regions_per_sector=min(self.regions, 4)
        )

    @property
    def deep(self):
        """Return the detector with its sectors in pairs, and all pairs but the last in one."""
        sectors = list(self.detector.sectors)
        pairs = {"".join(two): two for two in zip(sectors[::2], sectors[1::2], strict=True)}
        outer = pairs | {"most": tuple(pairs)[:-1]}
        return replace(self.detector, outer=outer)

    def next(self) -> Window:
        """Return the next data-second; a lumisection has 23 of them."""
        window = self.window(self.second)
        self.second += 1
        return window

    @property
    def well(self) -> bool:
        """Return whether nothing is wrong with it now."""
        faults = (self.shift, self.spread, self.lit, self.strange, self.dull, self.unscored)
        return not any(faults) and not self.silent

    def window(self, second: int) -> Window:
        if not self.well:
            for law in IN_FORCE:
                law.struck()
        rng, r, k = self.rng, self.regions, CONDITIONS
        d = GEOMETRY.n_cells + GEOMETRY.n_layers
        n = rng.poisson(self.rate / r, r)
        n[list(self.silent)] = 0
        unscored = np.array([rng.binomial(n[i], self.unscored.get(i, 0.0)) for i in range(r)])
        n = n - unscored
        showers = rng.multinomial(n, np.full(k, 1 / k))
        p_counts = rng.multinomial(np.tile(n[:, None], N_SCORES + 1), FLAT)
        for region, share in self.strange.items():
            p_counts[region] = _moved(rng, p_counts[region], share, 0)
        for region, share in self.dull.items():
            p_counts[region] = _moved(rng, p_counts[region], share, p_counts.shape[2] - 1)
        beyond = np.cumsum(p_counts[:, -1], axis=1)
        exceedances = np.zeros((r, k, len(LEVELS)), np.int64)
        for a, level in enumerate(LEVELS):
            exceedances[:, 0, a] = beyond[:, np.searchsorted(P_EDGES, level) - 1]
        z_sum, z_square = np.zeros((r, d), np.int64), np.zeros((r, d), np.int64)
        lit = np.zeros((r, GEOMETRY.n_cells), np.int64)
        for i in range(r):
            z = rng.standard_normal((n[i], d))
            z *= _row(self.spread, i, d, 1.0)
            z += _row(self.shift, i, d, 0.0)
            z_sum[i] = np.rint(z / Z_UNIT).sum(0)
            z_square[i] = np.rint(z * z / Z_UNIT).sum(0)
            lit[i] = self._lit(i, int(n[i]))
        present = np.arange(r)[(n + unscored) > 0]
        return Window(
            WindowKey(self.run, (second - START) // 23 + 1, second),
            present.astype(np.int64),
            showers[present],
            exceedances[present],
            p_counts[present],
            z_sum[present],
            z_square[present],
            lit[present],
            (n[:, None] * np.full(GEOMETRY.n_layers, 100_000))[present],
            unscored[present],
            np.zeros(len(present), np.int64),
            np.zeros(0, np.int64),
            np.zeros(0, np.int64),
        )

    def _lit(self, region: int, showers: int) -> np.ndarray:
        """Draw the lit cells of a region; one rate for all is drawn three times as fast."""
        rates = _row(self.lit, region, GEOMETRY.n_cells, self.rates)
        same = (rates == self.rates).all()
        return self.rng.binomial(showers, self.rates if same else rates, GEOMETRY.n_cells)


def _row(changes, region, length, usual):
    """Return the values of a region, of which some are changed by (region, position)."""
    row = np.full(length, usual)
    for (where, position), value in changes.items():
        if where == region:
            row[position] = value
    return row


def _moved(rng, counts, share, to):
    """Move a share of the showers of every score to one bin of p."""
    out = counts.copy()
    for s in range(len(counts)):
        taken = rng.binomial(counts[s], share)
        out[s] -= taken
        out[s, to] += taken.sum()
    return out
