"""Packing: the arrays of a snapshot, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def under(prefix: str, state: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the arrays with a beginning to their names; `below` is the inverse."""
    return {f"{prefix}{name}": array for name, array in state.items()}


_SMALL = tuple((kind, np.iinfo(kind).min, np.iinfo(kind).max) for kind in (np.int16, np.int32))


def small(array: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers in the smallest type that holds them: snapshots travel often."""
    if array.dtype != np.int64 or not array.size:
        return array
    least, most = int(array.min()), int(array.max())
    for kind, lowest, highest in _SMALL:
        if lowest <= least and most <= highest:
            return array.astype(kind)
    return array


def below(prefix: str, state: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the arrays whose names begin so, without the beginning."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
