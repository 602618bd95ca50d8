"""Sources: a shower file, or the fast simulation that stands in for one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.detector import channel_files
from models.showers import readers
from models.showers.layouts import Reading
from models.showers.tables import Columns, Contents, TableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.channels import Channels
    from models.detector.geometry import Geometry
    from models.showers.batch import Showers
    from models.simulation.whole import CanvasPool

SIMULATED = "gflash:"
"""Paths that begin so are simulated and not read."""

MAX_SIMULATED = 1_000_000
FORM = f"write {SIMULATED}PARTICLE,n=10000,low=1000,high=20000,seed=1,detector=FILE"


def open_source(path: Path, geometry: Geometry, said: Reading | None = None) -> readers.ShowerFile:
    """Return a shower file as `readers.open_source` does, or simulated showers.

    A path of the form `gflash:PARTICLE,n=N,low=MEV,high=MEV,seed=S,detector=FILE` is no file:
    showers of the fast simulation, with energies even in the range, stand in for it. All but
    `gflash:` may be left out. With a detector file that says channels they enter anywhere in it,
    as far as their patches lie inside; without one along the axis of the patch. Nothing that is
    said of files is said of them, but which conditions a model needs.

    Raises
    ------
    readers.ReaderError
        Also if the words after `gflash:` are not of that form.
    """
    text = str(path)
    if not text.startswith(SIMULATED):
        return readers.open_source(path, geometry, said)
    with readers.named(path):
        table = _simulate(_words(text.removeprefix(SIMULATED)), geometry)
    needed = Reading(conditions=said.conditions if said else ())
    return readers.source(path, geometry, Contents({"": table}), needed)


def canvas_pool(
    file: readers.ShowerFile, showers: Showers | None, channels: Channels
) -> CanvasPool:
    """Return showers for a whole detector: of the fast simulation, or of a file of patches.

    Parameters
    ----------
    showers
        Those of the file; None for the fast simulation, which makes its own.

    Raises
    ------
    readers.ReaderError
        As `open_source`.
    """
    from models.simulation.canvas import PatchCanvas  # noqa: PLC0415  as below
    from models.simulation.whole import CanvasPool, simulated_pool  # noqa: PLC0415

    path, geometry = file.path, file.geometry
    if showers is None:
        with readers.named(path):
            words = _words(str(path).removeprefix(SIMULATED))
            rng = np.random.default_rng(words.seed)
            energies = rng.uniform(words.low, words.high, words.n)
            try:
                return simulated_pool(channels, geometry, energies, rng, words.particle)
            except ValueError as error:
                raise TableError(f"{error}: {FORM}") from None
    canvas = PatchCanvas(channels, geometry)
    phase = np.zeros(showers.n, np.int64)
    conditions = dict(showers.conditions)
    return CanvasPool(canvas, showers.cells, showers.e_inc, phase, not file.clean, conditions)


class _Words(NamedTuple):
    """What the words after `gflash:` say."""

    particle: str
    n: int
    low: float
    """Lowest energy, MeV; `high` the highest."""

    high: float
    seed: int
    detector: str
    """Detector file whose channels the showers enter anywhere; empty for a test beam."""


def _words(text: str) -> _Words:
    values = {"n": 10_000.0, "low": 1000.0, "high": 20_000.0, "seed": 1.0}
    particle, *pairs = (text or "gamma").split(",")
    detector = ""
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key == "detector" and value:
            detector = value
            continue
        if key not in values or not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value):
            raise TableError(f"{pair!r}: {FORM}")
        values[key] = float(value)
    n, low, high, seed = values.values()
    if not (1 <= n <= MAX_SIMULATED and low <= high):
        raise TableError(f"1 to {MAX_SIMULATED} showers, low <= high: {FORM}")
    return _Words(particle, int(n), low, high, int(seed), detector)


def _simulate(words: _Words, geometry: Geometry) -> Columns:
    from models.simulation.gflash import simulate_showers  # noqa: PLC0415  scipy takes a second

    rng = np.random.default_rng(words.seed)
    energies = rng.uniform(words.low, words.high, words.n)
    try:
        if words.detector:
            showers = _anywhere(words, energies, rng, geometry)
        else:
            showers = simulate_showers(geometry, energies, rng, words.particle)
    except ValueError as error:
        raise TableError(f"{error}: {FORM}") from None
    return Columns({"showers": showers.cells, "incident_energies": showers.e_inc})


def _anywhere(
    words: _Words, energies: NDArray[np.float64], rng: np.random.Generator, geometry: Geometry
) -> Showers:
    """Return showers that enter anywhere in a whole detector, but at its borders."""
    from models.simulation import whole  # noqa: PLC0415  see `_simulate`

    channels = channel_files.load(Path(words.detector))
    misfit = channels.misfit(geometry)
    if misfit:
        raise TableError(f"{words.detector}: {misfit}")
    pool = whole.simulated_pool(channels, geometry, energies, rng, words.particle)
    return whole.anywhere(channels, geometry, pool).each_once(rng)
