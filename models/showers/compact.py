"""Compact: showers as arrays for a file, in whole least counts where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from models.showers.batch import Showers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

UNKNOWN = np.float32(0)
"""Stands for an incident energy that is not known: arrays of a file are finite."""

CONDITION = "condition."
"""Begins the names of the arrays of further conditions."""

MOST, MOST_CELLS = 12_000, 1_500_000
"""Showers in a file at most, and cells of them."""

LEAST, LEAST_IN_A_CELL = 2000, 100
"""With fewer, or fewer for each condition cell, there are none: what a model generates teaches more."""

EXACT = 1 << 24
"""Counts below this are themselves in single precision."""


def most(n_cells: int) -> int:
    """Return how many showers of V cells a file holds at most."""
    return min(MOST, MOST_CELLS // n_cells)


def least(condition_cells: int) -> int:
    """Return how many showers teach something of the expectation in so many condition cells."""
    return max(LEAST, LEAST_IN_A_CELL * condition_cells)


def compact(showers: Showers, least_count_mev: float) -> dict[str, NDArray[Any]]:
    """Return showers as arrays by name; `whole` is the inverse, but for seeds."""
    cells: NDArray[Any] = showers.cells
    if least_count_mev > 0:
        with np.errstate(over="ignore"):  # of a least count next to nothing
            counts = np.rint(cells / np.float32(least_count_mev))
        highest = float(np.abs(counts).max(initial=0))
        if highest < EXACT and np.array_equal(counts * np.float32(least_count_mev), cells):
            cells = counts.astype(np.int16 if highest <= np.iinfo(np.int16).max else np.int32)
    e_inc = np.where(np.isnan(showers.e_inc), UNKNOWN, showers.e_inc)
    conditions = {CONDITION + name: values for name, values in showers.conditions.items()}
    return {"cells": cells, "e_inc": e_inc, **conditions}


def whole(arrays: Mapping[str, NDArray[Any]], n_cells: int, least_count_mev: float) -> Showers:
    """Return the showers of a file's arrays, of V cells.

    Raises
    ------
    ValueError
        If they are no such showers, or more than `most`; nothing is made of them before.
    """
    if not {"cells", "e_inc"} <= set(arrays):
        raise ValueError("its showers have no cells or no e_inc")
    cells = arrays["cells"]
    if cells.dtype not in (np.int16, np.int32, np.float32):
        raise ValueError(f"its showers are {cells.dtype}, not int16, int32 or float32")
    if cells.ndim != 2 or cells.shape[1] != n_cells or len(cells) > most(n_cells):
        raise ValueError(
            f"its showers are of {cells.shape}, not up to {most(n_cells)} of {n_cells} cells"
        )
    for name, values in arrays.items():
        fits = values.dtype == np.float32 and values.shape == cells.shape[:1]
        if name != "cells" and not fits:
            raise ValueError(f"{name} of its showers is {values.dtype} of {values.shape}")
    if cells.dtype.kind == "i":
        if not least_count_mev > 0:
            raise ValueError("its showers are whole counts, and the geometry has no least count")
        cells = cells.astype(np.float32) * np.float32(least_count_mev)
    e_inc = np.where(arrays["e_inc"] == UNKNOWN, np.float32(np.nan), arrays["e_inc"])
    conditions = {
        k.removeprefix(CONDITION): v for k, v in arrays.items() if k.startswith(CONDITION)
    }
    return Showers(cells, e_inc, conditions)
