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


def compact(showers: Showers, least_count_mev: float) -> dict[str, NDArray[Any]]:
    """Return showers as arrays by name; `whole` is the inverse, but for seeds."""
    cells: NDArray[Any] = showers.cells
    if least_count_mev > 0:
        counts = np.rint(cells / np.float32(least_count_mev))
        fits = counts.size == 0 or np.abs(counts).max() <= np.iinfo(np.int16).max
        cells = counts.astype(np.int16 if fits else np.int32)
    e_inc = np.where(np.isnan(showers.e_inc), UNKNOWN, showers.e_inc)
    conditions = {CONDITION + name: values for name, values in showers.conditions.items()}
    return {"cells": cells, "e_inc": e_inc, **conditions}


def whole(arrays: Mapping[str, NDArray[Any]], least_count_mev: float) -> Showers:
    """Return the showers of a file's arrays, or raise ValueError or KeyError."""
    cells = arrays["cells"]
    if cells.dtype.kind == "i":
        cells = cells.astype(np.float32) * np.float32(least_count_mev)
    e_inc = np.where(arrays["e_inc"] == UNKNOWN, np.float32(np.nan), arrays["e_inc"])
    conditions = {
        k.removeprefix(CONDITION): v for k, v in arrays.items() if k.startswith(CONDITION)
    }
    return Showers(cells, e_inc, conditions)
