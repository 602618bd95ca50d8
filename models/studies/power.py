"""Power: how many showers a window needs to show what no single shower can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.scoring.scales import P_EDGES, Z_CLIP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from models.scoring.scored import Scored
    from models.studies.evaluation import Trial

SIZES = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
"""Showers in a window."""

FALSE_ALARMS = 1e-3
"""Share of good windows that may be taken for bad, all statistics together."""

NULL_WINDOWS = 4000
WINDOWS = 200

CHANNELS = ("z", "z2", "p")
"""Window statistics: largest deviation of the sum of a latent, of its square, of a bin of p."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Detection power against the number of showers in a window, for one anomaly."""

    name: str
    sizes: tuple[int, ...]
    power: tuple[float, ...]
    """Share of windows in which any statistic is beyond its threshold."""

    channels: Mapping[str, tuple[float, ...]]
    """The same for each of `CHANNELS` alone, at its share of the false alarms."""

    worst: str
    """Where the deviation is largest in large windows: a latent (by index) or a bin of p."""

    @property
    def needed(self) -> int | None:
        """Return the smallest window in which nine of ten show the anomaly; None if none does."""
        return next((n for n, p in zip(self.sizes, self.power, strict=True) if p >= 0.9), None)


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """What every shower adds to a window's statistics: a row a shower, a column a statistic."""

    values: NDArray[np.float32]
    channel: NDArray[np.int64]
    """Index into `CHANNELS` of each column."""


def terms(scored: Scored) -> Terms:
    """Return z and z² of every latent and the bins of every p-value, for the scored showers."""
    ok = scored.valid
    z = np.clip(scored.latents[ok], -Z_CLIP, Z_CLIP)
    p = np.column_stack([scored.p[ok], scored.p_combined[ok]])
    n_bins = len(P_EDGES) - 1
    bins = np.clip(np.searchsorted(P_EDGES, p, side="left") - 1, 0, n_bins - 1)
    one_hot = (bins[:, :, None] == np.arange(n_bins)).reshape(len(p), -1)
    values = np.concatenate([z, z * z, one_hot.astype(np.float32)], axis=1)
    widths = (z.shape[1], z.shape[1], one_hot.shape[1])
    return Terms(values, np.repeat(np.arange(3), widths))


def curves(
    good: Trial,
    strange: Sequence[Trial],
    rng: np.random.Generator,
    sizes: tuple[int, ...] = SIZES,
) -> tuple[Curve, ...]:
    """Return the power of the window statistics for each anomaly.

    Windows are drawn with replacement from the showers given. Expectations are those of the good
    showers themselves: what is measured is the power with an exact reference. A finite one of m showers
    needs 1 + n / m times the showers n. An anomaly that is not the good ones with a fault
    injected is drawn in windows of at most half its number: beyond that its own statistics
    would be taken for an effect.
    """
    base = terms(good.scored)
    mean, spread = base.values.mean(0, dtype=np.float64), base.values.std(0, dtype=np.float64)
    # A bin that no good shower is in has no spread: it is measured in half a shower.
    floor = np.where(base.channel == 2, np.sqrt(0.5 / len(base.values)), 1e-3)
    scale = np.maximum(spread, floor)
    standard = ((base.values - mean) / scale).astype(np.float32)
    thresholds = {
        n: _thresholds(_largest(standard, base.channel, n, NULL_WINDOWS, rng)) for n in sizes
    }
    out = []
    for scoring in strange:
        rows = ((terms(scoring.scored).values - mean) / scale).astype(np.float32)
        mine = tuple(n for n in sizes if scoring.paired or n <= len(rows) // 2)
        hits = [_largest(rows, base.channel, n, WINDOWS, rng) > thresholds[n] for n in mine]
        out.append(
            Curve(
                scoring.name,
                mine,
                tuple(float(hit.any(axis=1).mean()) for hit in hits),
                {c: tuple(float(h[:, i].mean()) for h in hits) for i, c in enumerate(CHANNELS)},
                _worst(rows, scoring.scored),
            )
        )
    return tuple(out)


def _largest(
    rows: NDArray[np.float32],
    channel: NDArray[np.int64],
    n: int,
    windows: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return the largest |sum| / sqrt(n) of each channel in windows of n, shape (windows, 3)."""
    largest = np.zeros((windows, len(CHANNELS)))
    for start in range(0, windows, 500):
        stop = min(start + 500, windows)
        weights = _weights(len(rows), n, stop - start, rng)
        sums = np.abs(weights @ rows) / np.float32(np.sqrt(n))
        for i in range(len(CHANNELS)):
            largest[start:stop, i] = sums[:, channel == i].max(axis=1)
    return largest


def _weights(
    population: int, n: int, windows: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return how often each shower is in each window, shape (windows, population)."""
    drawn = rng.integers(population, size=(windows, n))
    flat = (drawn + np.arange(windows)[:, None] * population).ravel()
    counts = np.bincount(flat, minlength=windows * population)
    return counts.reshape(windows, population).astype(np.float32)


def _thresholds(null: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a channel exceeds in its share of `FALSE_ALARMS` of the windows, shape (3,).

    Beyond the 98 % quantile the null is continued as an exponential with the mean excess there,
    so that some thousand windows can say what one in some thousand does.
    """
    start = np.quantile(null, 0.98, axis=0)
    excess = np.array(
        [
            (c[c > s] - s).mean() if (c > s).any() else 0.0
            for c, s in zip(null.T, start, strict=True)
        ]
    )
    return np.asarray(start + excess * np.log(0.02 / (FALSE_ALARMS / null.shape[1])))


def _worst(rows: NDArray[np.float32], scored: Scored) -> str:
    deviation = np.abs(rows.mean(axis=0))
    d = scored.latents.shape[1]
    column = int(deviation.argmax())
    if column < 2 * d:
        return f"{'z' if column < d else 'z2'} of latent {column % d}"
    score, bin_ = divmod(column - 2 * d, len(P_EDGES) - 1)
    return f"p of score {score}, bin {bin_}"
