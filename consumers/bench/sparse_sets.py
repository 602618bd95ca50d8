"""Sparse sets: the same clean showers, read out with noise, without, and with cells suppressed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from consumers.cli.reading import Files
from models.detector import files
from models.detector.geometry import Geometry, Layer
from models.showers import shipped
from models.showers.pool import digitise, suppressed
from models.simulation import gflash, injection
from models.simulation.fault_form import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from models.showers.batch import Showers

REFERENCE, CALIBRATION = shipped.CERTIFIED, shipped.PB_LAR / "gamma_calibration.h5"
"""Clean photons of Geant4: to train and certify with, and such as are good."""

LEARNT, CERTIFIED = 6000, 3000
GOOD, STRUCK = 8000, 2000
"""Good showers that are scored, and of them such as faults strike."""

SECOND_MM = (10, 20)
GAIN = 0.05
NOISE = 2.0
LAYERS, ANGLES, RADII = 45, 16, 9
"""Cells of the CaloChallenge's second data set: silicon and tungsten."""

MIP_KEV = 15.15
"""Below it that data set's cells are zero."""


@dataclass(frozen=True, eq=False)
class Clean:
    """Showers without noise, of one kind in each part."""

    learnt: Showers
    certified: Showers
    good: Showers
    late: Showers | None = None
    """Of particles that begin to shower later; none where no file has them."""


@dataclass(frozen=True)
class SparseSet:
    """A detector and how it is read out."""

    geometry: Geometry
    make: Callable[[Geometry, np.random.Generator], Clean]
    regions: int = 8
    rate: float = 400.0
    """Showers a second in the whole detector, of the hour of good data."""


def read_out(clean: Showers, geometry: Geometry, rng: np.random.Generator) -> Showers:
    """Return showers as the detector reads them."""
    return replace(clean, cells=digitise(clean.cells, geometry, rng))


def quiet(geometry: Geometry) -> Geometry:
    """Return cells that read what is in them."""
    return replace(geometry, noise_mev=0.0, least_count_mev=0.0, zero_suppression_mev=0.0)


def faulty(
    clean: Clean, geometry: Geometry, good: Showers, rng: np.random.Generator
) -> Iterator[tuple[str, Showers]]:
    """Yield showers with each fault, read out; what a geometry cannot show is left out.

    Parameters
    ----------
    good
        Those of `clean`, read out.
    """
    some = slice(0, STRUCK)
    region = np.zeros(STRUCK, np.uint16)
    middle = geometry.n_layers // 2
    dead = good.cells[some].copy()
    dead[:, core(geometry)] = 0
    yield "dead core cell", replace(good[some], cells=dead)
    if not any(layer.r_edges_mm for layer in geometry.layers):
        donors = clean.good[slice(STRUCK, None)]
        for mm in SECOND_MM:
            fault = parse(f"second:mm={mm}")
            two = injection.apply(fault, clean.good[some], region, quiet(geometry), rng, donors)
            yield f"second photon {mm} mm", read_out(two, geometry, rng)
    more = replace(clean.good[some], cells=clean.good.cells[some] * np.float32(1 + GAIN))
    yield f"gain +{GAIN * 100:.0f} %", read_out(more, geometry, rng)
    if geometry.noise_mev:
        loud = replace(geometry, noise_mev=NOISE * geometry.noise_mev)
        noisy, layer = good.cells[some].copy(), geometry.slices[middle]
        noisy[:, layer] = digitise(clean.good.cells[some], loud, rng)[:, layer]
        yield f"noise × {NOISE:.0f} in a layer", replace(good[some], cells=noisy)
    if clean.late is not None:
        yield "photons for electrons", read_out(clean.late, geometry, rng)


def core(geometry: Geometry) -> NDArray[np.int64]:
    """Return the cell that is dead: in the middle of the depth, nearest to the axis."""
    return injection.core_cell(geometry, geometry.n_layers // 2)


def pi0(geometry: Geometry) -> Showers | None:
    """Return the pions that ship, which hold noise, with what is suppressed; None without noise."""
    base = _pb_lar()
    if geometry.layers != base.layers or not geometry.noise_mev:
        return None
    path = shipped.PB_LAR / "pi0.h5"
    found = Files.open([path], base).showers(path)
    return replace(found, cells=suppressed(found.cells, geometry))


def _pb_lar() -> Geometry:
    return files.load(files.SHIPPED / "pb-lar-504.json")


def _geant4(_: Geometry, rng: np.random.Generator) -> Clean:
    """Return photons of the files that ship, other ones for every seed."""
    opened = Files.open([REFERENCE, CALIBRATION], _pb_lar())
    reference, calibration = (opened.pool([path]).showers for path in (REFERENCE, CALIBRATION))
    first, then = (rng.permutation(one.n) for one in (reference, calibration))
    learnt, certified, _rest = np.split(first, [LEARNT, LEARNT + CERTIFIED])
    return Clean(reference[learnt], reference[certified], calibration[then[:GOOD]])


def _crystals(geometry: Geometry, rng: np.random.Generator) -> Clean:
    """Return photons of 1 to 50 GeV anywhere on the crystal in the middle."""
    half = np.array(geometry.layers[0].cell_mm) / 2

    def photons(n: int) -> Showers:
        axis = np.repeat(rng.uniform(-half, half, (n, 1, 2)), geometry.n_layers, axis=1)
        energy = rng.uniform(1e3, 5e4, n)
        return gflash.simulate_showers(geometry, energy, rng, noise=False, axis_mm=axis)

    return Clean(photons(LEARNT), photons(CERTIFIED), photons(GOOD))


def _silicon(geometry: Geometry, rng: np.random.Generator) -> Clean:
    """Return electrons of 1 GeV to 1 TeV, even in the logarithm, and photons of such energies."""

    def shot(n: int, particle: str = "e-") -> Showers:
        energy = np.exp(rng.uniform(np.log(1e3), np.log(1e6), n))
        return gflash.simulate_showers(geometry, energy, rng, particle, noise=False)

    few = LEARNT // 2
    return Clean(shot(few), shot(few // 2), shot(GOOD * 3 // 4), shot(STRUCK // 4, "gamma"))


def _silicon_tungsten() -> Geometry:
    edges = tuple(4.65 * i for i in range(RADII + 1))
    layers = tuple(
        Layer(f"l{i}", (ANGLES, RADII), (4.65, 4.65), (3.4 * i, 3.4 * (i + 1)), edges)
        for i in range(LAYERS)
    )
    stuff: dict[str, str | float] = {
        "active": "Si",
        "active_mm": 0.3,
        "passive": "W",
        "passive_mm": 1.4,
    }
    return Geometry(
        "silicon-tungsten-6480",
        layers,
        noise_mev=0.0,
        zero_suppression_mev=MIP_KEV / 1000,
        description="45 layers of 16 angles and 9 radii, as the CaloChallenge's second data set",
        materials=tuple(sorted(stuff.items())),
    )


def sets() -> dict[str, SparseSet]:
    """Return all sets by name."""
    base = _pb_lar()
    crystals = files.load(files.SHIPPED / "crystals-25.json")
    return {
        "Pb/LAr, noise": SparseSet(base, _geant4),
        "Pb/LAr, no noise": SparseSet(quiet(base), _geant4),
        **{f"Pb/LAr, {n}σ": SparseSet(_least(base, n), _geant4) for n in (2, 3, 5)},
        "crystals, noise": SparseSet(crystals, _crystals),
        "crystals, 3σ": SparseSet(_least(crystals, 3), _crystals),
        "silicon, 6,480 cells": SparseSet(_silicon_tungsten(), _silicon, 4, 200.0),
    }


def _least(geometry: Geometry, sigma: float) -> Geometry:
    return replace(geometry, zero_suppression_mev=sigma * geometry.noise_mev)
