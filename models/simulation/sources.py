"""Sources: a shower file, or the fast simulation that stands in for one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from models.showers import readers
from models.showers.tables import Columns, TableError

if TYPE_CHECKING:
    from pathlib import Path

    from models.detector.geometry import Geometry
    from models.showers.batch import Showers

SIMULATED = "gflash:"
"""Paths that begin so are simulated and not read."""

MAX_SIMULATED = 1_000_000


def open_source(path: Path, geometry: Geometry) -> readers.ShowerFile:
    """Return a shower file as `readers.open_source` does, or simulated showers.

    A path of the form `gflash:PARTICLE,n=N,low=MEV,high=MEV,seed=S` is no file: showers of the
    fast simulation, with energies even in the range, stand in for it. All but `gflash:` may be
    left out.

    Raises
    ------
    readers.ReaderError
        Also if the words after `gflash:` are not of that form.
    """
    text = str(path)
    if not text.startswith(SIMULATED):
        return readers.open_source(path, geometry)
    with readers.named(path):
        table = _simulate(text.removeprefix(SIMULATED), geometry)
    return readers.source(path, geometry, table)


def read(path: Path, geometry: Geometry) -> Showers:
    """Return all showers of a file, or simulated ones, or raise `readers.ReaderError`."""
    return open_source(path, geometry).whole().showers


def _simulate(text: str, geometry: Geometry) -> Columns:
    from models.simulation.gflash import simulate_showers  # noqa: PLC0415  scipy takes a second

    values = {"n": 10_000.0, "low": 1000.0, "high": 20_000.0, "seed": 1.0}
    particle, *pairs = (text or "gamma").split(",")
    form = f"write {SIMULATED}PARTICLE,{','.join(f'{k}={v:g}' for k, v in values.items())}"
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key not in values or not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value):
            raise TableError(f"{pair!r}: {form}")
        values[key] = float(value)
    n, low, high, seed = values.values()
    if not (1 <= n <= MAX_SIMULATED and low <= high):
        raise TableError(f"1 to {MAX_SIMULATED} showers, low <= high: {form}")
    rng = np.random.default_rng(int(seed))
    try:
        showers = simulate_showers(geometry, rng.uniform(low, high, int(n)), rng, particle)
        return Columns({"showers": showers.cells, "incident_energies": showers.e_inc})
    except ValueError as error:
        raise TableError(f"{error}: {form}") from None
