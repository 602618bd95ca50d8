"""Whole: showers anywhere in a whole detector, read by channels that each have their own ways."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.showers.batch import Showers
from models.simulation import channel_faults
from models.simulation.canvas import Home, canvas_of
from models.simulation.channel_faults import Reading
from models.simulation.faults import FaultError
from models.simulation.gflash import simulate_showers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.channels import Channels
    from models.detector.geometry import Geometry
    from models.simulation.canvas import Canvas
    from models.simulation.faults import Fault


TRIGGER_SIGMA = 3.0
"""A seed reads more than this many times the noise, or nobody knows that a shower was there."""


class Spread(NamedTuple):
    """How much the channels of a detector differ: standard deviations."""

    gain: float = 0.0
    """Of the response, as a share of it."""

    noise: float = 0.0
    """Of the noise, as a share of it."""

    pedestal: float = 0.0
    """Of the pedestal, in units of the noise."""


def spread(text: str) -> Spread:
    """Return the spread of the form gain=0.01,noise=0.1,pedestal=0.1; each may be left out.

    Raises
    ------
    FaultError
        If the text is not of that form: one line with what is.
    """
    given = {}
    for part in text.split(",") if text else []:
        key, _, value = part.partition("=")
        if key not in Spread._fields or not re.fullmatch(r"0(\.\d+)?|\.\d+", value):
            raise FaultError(f"{part!r}: write gain=0.01,noise=0.1,pedestal=0.1, each below 1")
        given[key] = float(value)
    return Spread(**given)


@dataclass(frozen=True, eq=False)
class Constants:
    """What is true of each channel, and known to nobody but the simulation."""

    gain: NDArray[np.float32]
    """Response over the nominal one, shape (C,)."""

    noise_mev: NDArray[np.float32]
    """Shape (C,)."""

    pedestal_mev: NDArray[np.float32]
    """Shape (C,)."""


def constants(n: int, geometry: Geometry, given: Spread, seed: int) -> Constants:
    """Return constants of n channels drawn with a spread; the same for the same seed."""
    rng = np.random.default_rng([seed, 1])
    gain, noise, pedestal = rng.standard_normal((3, n))
    sigma = geometry.noise_mev
    return Constants(
        gain=np.maximum(1 + given.gain * gain, 0.05).astype(np.float32),
        noise_mev=(sigma * np.maximum(1 + given.noise * noise, 0.05)).astype(np.float32),
        pedestal_mev=(sigma * given.pedestal * pedestal).astype(np.float32),
    )


@dataclass(frozen=True, eq=False)
class CanvasPool:
    """Showers without noise on the cells of a canvas, to draw from."""

    canvas: Canvas
    cells: NDArray[np.float32]
    """MeV, shape (N, W)."""

    e_inc: NDArray[np.float32]
    """MeV, shape (N,)."""

    phase: NDArray[np.int64]
    """Shape (N,)."""

    noisy: bool = False
    """True if the cells carry the nominal noise already."""

    conditions: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def draw(
        self,
        seeds: NDArray[np.uint32],
        rng: np.random.Generator,
        weight: NDArray[np.float64] | None,
    ) -> NDArray[np.int64]:
        """Return a shower of the right phase for each seed, shape (n,), by weights (N,) if given."""
        index = np.empty(len(seeds), np.int64)
        wanted = self.canvas.phases[seeds]
        for phase in np.unique(wanted).tolist():
            rows, there = np.flatnonzero(wanted == phase), np.flatnonzero(self.phase == phase)
            p = None if weight is None else weight[there] / weight[there].sum()
            index[rows] = rng.choice(there, len(rows), p=p)
        return index


def simulated_pool(
    channels: Channels,
    geometry: Geometry,
    e_inc: NDArray[np.float64],
    rng: np.random.Generator,
    particle: str = "gamma",
) -> CanvasPool:
    """Return showers of the fast simulation that enter evenly all over the seeds of a detector."""
    canvas = canvas_of(channels, geometry)
    _, first = np.unique(canvas.phases, return_index=True)
    examples = first[canvas.phases[first] >= 0].astype(np.uint32)  # a channel of each phase
    seeds = examples[np.arange(len(e_inc)) % len(examples)]
    impact = rng.uniform(-0.5, 0.5, (len(e_inc), 2))
    showers = simulate_showers(
        canvas.geometry, e_inc, rng, particle, noise=False, axis_mm=canvas.axis_mm(seeds, impact)
    )
    return CanvasPool(canvas, showers.cells, showers.e_inc, canvas.phases[seeds])


@dataclass(frozen=True, eq=False)
class WholeDetector:
    """A detector of channels that reads showers of a pool wherever they enter."""

    channels: Channels
    geometry: Geometry
    """Of a patch."""

    pool: CanvasPool
    constants: Constants
    home: Home

    def read(
        self,
        seeds: NDArray[np.uint32],
        rng: np.random.Generator,
        faults: tuple[Fault, ...] = (),
        weight: NDArray[np.float64] | None = None,
    ) -> Showers:
        """Return showers that enter at some channels, as patches around the seeds that are found.

        A shower whose seed is not lit (3 times the nominal noise) triggers nothing: it is not found, and
        there are fewer than were asked for.

        Parameters
        ----------
        seeds
            Channels that are entered, shape (n,).
        faults
            Those of channels that are there.
        weight
            Probability of each shower of the pool to be drawn, shape (N,); even if not given.
        """
        return self._read(self.pool.draw(seeds, rng, weight), seeds, rng, faults)

    def each_once(self, rng: np.random.Generator) -> Showers:
        """Return every shower of the pool once, at a place with all cells inside of the detector.

        Those whose seed is found where a patch leaves the detector are left out.
        """
        inner = complete(self.channels)
        seeds = np.empty(len(self.pool.e_inc), np.uint32)
        for phase in np.unique(self.pool.phase).tolist():
            rows = np.flatnonzero(self.pool.phase == phase)
            possible = inner[self.pool.canvas.phases[inner] == phase]
            if not len(possible):
                raise FaultError("no patch lies wholly in the detector")
            seeds[rows] = rng.choice(possible, len(rows))
        showers = self._read(np.arange(len(seeds)), seeds, rng, ())
        found = showers.seeds if showers.seeds is not None else seeds
        return showers[np.flatnonzero((self.channels.patches(found) >= 0).all(axis=1))]

    def _read(
        self,
        index: NDArray[np.int64],
        seeds: NDArray[np.uint32],
        rng: np.random.Generator,
        faults: tuple[Fault, ...],
    ) -> Showers:
        ids = self.pool.canvas.channels(seeds)
        about = self.constants
        energy = self.pool.cells[index] * about.gain[ids]
        energy[ids < 0] = 0.0
        reading = Reading(energy, ids, about.noise_mev)
        for fault in faults:
            channel_faults.before_noise(fault, self.channels, reading)
        nominal = np.float32(self.geometry.noise_mev if self.pool.noisy else 0.0)
        sigma = np.sqrt(np.maximum(about.noise_mev**2 - nominal**2, 0))[ids]
        energy += sigma * rng.standard_normal(energy.shape, np.float32) + about.pedestal_mev[ids]
        for fault in faults:
            channel_faults.after_noise(fault, self.channels, reading, rng)
        step = np.float32(self.geometry.least_count_mev)
        if step:
            np.rint(energy / step, out=energy)
            energy *= step
        for fault in faults:
            channel_faults.last(fault, self.channels, reading)
        energy[ids < 0] = 0.0
        found = self.pool.canvas.cut(seeds, energy, self.home)
        conditions = {name: values[index] for name, values in self.pool.conditions.items()}
        showers = Showers(found.cells, self.pool.e_inc[index], conditions, found.seeds)
        lit = found.seed_mev > TRIGGER_SIGMA * self.geometry.noise_mev
        return showers if lit.all() else showers[np.flatnonzero(lit)]


def anywhere(channels: Channels, geometry: Geometry, pool: CanvasPool) -> WholeDetector:
    """Return a detector whose channels are all alike, read out as one."""
    alike = constants(len(channels), geometry, Spread(), 1)
    home = Home(np.zeros(len(channels), np.int64), largest=True)
    return WholeDetector(channels, geometry, pool, alike, home)


def complete(channels: Channels) -> NDArray[np.uint32]:
    """Return the seeds whose patches lie wholly in the detector."""
    seeds = np.flatnonzero(channels.may_seed).astype(np.uint32)
    parts = np.array_split(seeds, max(1, len(seeds) // 8192))  # bounded memory
    whole = [part[(channels.patches(part) >= 0).all(axis=1)] for part in parts]
    return np.concatenate(whole)
