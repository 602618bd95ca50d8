"""Window: all that one data-second says about the detector, as counts that add and subtract exactly."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monitor.windows.channel_sums import NO_CHANNELS, ChannelSums

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


class WindowKey(NamedTuple):
    """Run, lumisection and data-second: a window straddles none of them."""

    run: int
    lumisection: int
    second: int
    """Data time, whole seconds since 1970 UTC."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Counts of one data-second in some regions; a commutative group under addition.

    Arrays are int64. Letters: r regions present, K condition cells, A levels, S scores,
    B bins of p, D latents (V cells, then L layers), V cells, L layers.

    Windows of one key add up in any order; windows of several keys (a lumisection, a reference)
    add up too and carry the key of the first. Subtraction takes out exactly what was added.
    """

    key: WindowKey
    regions: NDArray[np.int64]
    """Region ids present, sorted, distinct, shape (r,)."""

    showers: NDArray[np.int64]
    """Showers scored, shape (r, K)."""

    exceedances: NDArray[np.int64]
    """Showers with combined p <= α, shape (r, K, A), for the α of `LEVELS`."""

    p_counts: NDArray[np.int64]
    """Histogram of each score's p-value and, last, of the combined one, shape (r, S + 1, B)."""

    z_sum: NDArray[np.int64]
    """Sum of each latent in units of `Z_UNIT`, shape (r, D)."""

    z_square: NDArray[np.int64]
    """Sum of each latent's square in units of `Z_UNIT`, shape (r, D)."""

    lit: NDArray[np.int64]
    """Showers in which a cell is lit (`scales.lit_threshold`), shape (r, V)."""

    layer_energy: NDArray[np.int64]
    """Sum of the energy of each layer, keV, shape (r, L)."""

    unscored: NDArray[np.int64]
    """Showers that got no finite score, shape (r,)."""

    unknown: NDArray[np.int64]
    """Showers that the model knows nothing of, `Scored.unknown`, shape (r,)."""

    score_bins: NDArray[np.int64]
    """Occupied bins of the score histograms, sorted, shape (n,): see `tally.score_bin`."""

    score_counts: NDArray[np.int64]
    """Showers in each of `score_bins`, non-zero, shape (n,)."""

    channels: ChannelSums = NO_CHANNELS
    """Of the channels that were touched, where the detector has channels and showers say a seed."""

    @property
    def n(self) -> int:
        """Return the number of showers seen, scored or not."""
        return int(self.showers.sum() + self.unscored.sum() + self.unknown.sum())

    def __add__(self, other: Window) -> Window:
        return _combine(self, other, 1)

    def __sub__(self, other: Window) -> Window:
        return _combine(self, other, -1)

    def same_counts(self, other: Window) -> bool:
        """Return whether two windows hold the same counts, whatever their keys and empty regions."""
        difference = self - other
        return not any(getattr(difference, name).any() for name in _DENSE) and not (
            len(difference.score_bins) or difference.channels.n
        )


_DENSE = tuple(
    f.name
    for f in fields(Window)
    if f.name not in {"key", "regions", "score_bins", "score_counts", "channels"}
)


def _combine(a: Window, b: Window, sign: int) -> Window:
    if np.array_equal(a.regions, b.regions):  # the common case: no rows to line up
        regions = a.regions
        dense = {name: getattr(a, name) + sign * getattr(b, name) for name in _DENSE}
    else:
        regions = np.union1d(a.regions, b.regions)
        rows = [np.searchsorted(regions, w.regions) for w in (a, b)]
        dense = {}
        for name in _DENSE:
            left, right = getattr(a, name), getattr(b, name)
            total = np.zeros((len(regions), *left.shape[1:]), np.int64)
            total[rows[0]] = left
            total[rows[1]] += sign * right
            dense[name] = total
    bins, counts = _combine_sparse(
        np.concatenate([a.score_bins, b.score_bins]),
        np.concatenate([a.score_counts, sign * b.score_counts]),
    )
    channels = a.channels + b.channels if sign > 0 else a.channels - b.channels
    return Window(
        key=a.key,
        regions=regions,
        score_bins=bins,
        score_counts=counts,
        channels=channels,
        **dense,
    )


def _combine_sparse(
    bins: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if not len(bins):
        return bins, counts
    # Of two sorted runs, which a stable sort merges in one sweep.
    order = np.argsort(bins, kind="stable")
    ordered = bins[order]
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    total = np.add.reduceat(counts[order], first)
    kept = total != 0
    return ordered[first][kept], total[kept]


def merge(windows: Iterable[Window]) -> Window:
    """Return the sum of at least one window."""
    iterator = iter(windows)
    total = next(iterator)
    for window in iterator:
        total += window
    return total
