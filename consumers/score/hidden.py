"""Hidden cells: those of a shower that lie outside of the detector, or are known to be bad."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.showers.batch import Showers
    from monitor.detector.tree import Detector


def hidden_cells(
    showers: Showers, time_ns: NDArray[np.int64], detector: Detector
) -> NDArray[np.bool_] | None:
    """Return the cells that say nothing, shape (N, V); None if all do.

    Parameters
    ----------
    time_ns
        Data time of each shower, shape (N,).
    """
    if detector.channels is None or showers.seeds is None:
        return None
    channels = detector.channels.patches(showers.seeds)
    hidden: NDArray[np.bool_] = channels < 0
    if detector.known_bad is not None:
        hidden |= detector.known_bad.cells(channels, time_ns)
    return hidden if hidden.any() else None


def either(
    one: NDArray[np.bool_] | None, other: NDArray[np.bool_] | None
) -> NDArray[np.bool_] | None:
    """Return what is in one of two masks, None if there is none."""
    if one is None or other is None:
        return other if one is None else one
    return one | other
