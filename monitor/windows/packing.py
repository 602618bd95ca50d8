"""Packing: the arrays of a snapshot, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def under(prefix: str, state: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the arrays with a beginning to their names; `below` is the inverse."""
    return {f"{prefix}{name}": array for name, array in state.items()}


_SMALL = tuple((np.iinfo(kind).max, kind) for kind in (np.int16, np.int32))


def small(array: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers in the smallest type that holds them: snapshots travel often."""
    if array.dtype != np.int64 or not array.size:
        return array
    return array.astype(holding(largest(array)), copy=False)


def largest(array: NDArray[Any]) -> int:
    """Return the largest size of some whole numbers, whatever their signs; 0 of none."""
    return max(int(array.max()), -int(array.min())) if array.size else 0


def holding(most: int) -> type[np.signedinteger[Any]]:
    """Return the smallest type of whole numbers up to a size."""
    return next((kind for limit, kind in _SMALL if most <= limit), np.int64)


def below(prefix: str, state: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the arrays whose names begin so, without the beginning."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
