"""What the numbers of windows must be, so that thousands of them add up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from consumers.wire.block import LATEST_NS, DecodeError
from monitor.quality.rejection import Rejection

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST = 2**48
"""Most that a count or sum of a window can be: thousands of them add up without overflow."""

_SIGNED = frozenset({"z_sum", "layer_energy"})
_LAST_KEY = np.array([2**32 - 1, 2**32 - 1, LATEST_NS // 10**9])


def check_counts(dense: dict[str, NDArray[np.int64]], counts: NDArray[np.int64]) -> None:
    """Raise `DecodeError` unless counts are such as add up without overflow."""
    for name, values in {**dense, "score_counts": counts}.items():
        least = -LARGEST if name in _SIGNED else 0
        if values.size and not (least <= int(values.min()) <= int(values.max()) <= LARGEST):
            raise DecodeError(Rejection.VALUE, f"{name} holds what no count can be")


def check_order(
    keys: NDArray[np.int64], regions: NDArray[np.int64], edges: NDArray[np.int64]
) -> None:
    """Raise `DecodeError` unless keys can be, come once each, and regions rise in each window."""
    if not ((keys >= 0) & (keys <= _LAST_KEY)).all():
        raise DecodeError(Rejection.TIME, "run, lumisection or second out of bounds")
    starts = keys[np.append(0, edges)]
    if len(np.unique(starts, axis=0)) != len(starts):
        raise DecodeError(Rejection.VALUE, "windows of one key stand apart")
    falls = np.flatnonzero(np.diff(regions) <= 0) + 1
    if not ((regions >= 0) & (regions < 2**16)).all() or not np.isin(falls, edges).all():
        raise DecodeError(Rejection.REGION, "regions of a window do not rise")


def check_bins(regions: NDArray[np.int64], bins: NDArray[np.int64], size: int) -> None:
    """Raise `DecodeError` unless the bins of scores lie in those of their regions."""
    if not ((bins >= 0) & (bins // size == regions)).all():
        raise DecodeError(Rejection.VALUE, "a bin of scores lies in another region")
