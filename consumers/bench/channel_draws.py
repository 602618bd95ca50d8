"""Channel draws: sums by channel of good showers, drawn at a rate without any shower being made.

Each sum is of as many latents as fell into the step, of real ones of good showers through the flow,
in the order of a shuffled pool. Cells of one shower are taken as independent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from consumers.bench.channel_stream import whole_of
from models.scoring.scales import lit_threshold
from monitor.windows.channel_sums import (
    CHANNEL_Z_CLIP,
    LAYER_CLIP,
    N_RINGS,
    SUMS,
    UNITS,
    ChannelSums,
    Standard,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.channels import Channels
    from models.scoring.artefact import Artefact

OFFSETS = 0.05
"""Deviations by which the mean latents of channels differ."""

LAYER_OFFSETS = 0.15
"""The same of the energies of layers: gains that are 0.5 % apart."""

DRAWN = SUMS[1:]
"""What is summed beside the showers themselves."""

Z, SQUARE, LAYER = (DRAWN.index(name) for name in ("z", "z_square", "layer"))


class SumsOfGood:
    """Draws sums of good showers by channel and ring, of channels with ways of their own.

    Parameters
    ----------
    n
        Channels.
    showers
        That fall on a channel in a step, on average.
    """

    def __init__(
        self, artefact: Artefact, channels: Channels, n: int, showers: float, seed: int
    ) -> None:
        self._rng = np.random.default_rng([seed, 5])
        self._mean = showers * np.bincount(channels.rings, minlength=N_RINGS)
        self._n = n
        self.offsets = self._rng.normal(0, (OFFSETS, LAYER_OFFSETS), (n, 2))
        """Of the latents of each channel, and of its layer's energy, shape (n, 2)."""

        self._totals = [
            np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
            for values in _values(artefact, channels, seed, self._rng)
        ]

    def draw(self) -> ChannelSums:
        """Return the sums of a step."""
        counts = self._rng.poisson(self._mean, (self._n, N_RINGS))
        sums = np.zeros((self._n, N_RINGS, len(DRAWN)))
        for ring, total in enumerate(self._totals):
            n = counts[:, ring]
            first = self._rng.integers(0, len(total) - 1 - n.max(), self._n)
            sums[:, ring] = total[first + n] - total[first]
        offset, of_layer = self.offsets[:, :1], self.offsets[:, 1]
        sums[..., SQUARE] += 2 * offset * sums[..., Z] + counts * offset**2
        sums[..., Z] += counts * offset
        sums[:, 0, LAYER] += counts[:, 0] * of_layer
        flat = sums.reshape(-1, len(DRAWN))
        columns = [np.rint(flat[:, i] / UNITS[name]) for i, name in enumerate(DRAWN)]
        return ChannelSums(
            np.arange(self._n * N_RINGS),
            counts.ravel().astype(np.int64),
            *(column.astype(np.int64) for column in columns),
        )


def _values(
    artefact: Artefact, channels: Channels, seed: int, rng: np.random.Generator
) -> list[NDArray[np.float64]]:
    """Return what single cells of good showers add to the sums, by ring, in random order."""
    showers = whole_of(channels, artefact, seed).each_once(rng)
    scored, standard = artefact.scorer("cpu").score(showers), Standard.of(artefact.reference)
    ok = np.flatnonzero(scored.valid)
    k, v = scored.condition_cell[ok], len(channels.rings)
    every = (scored.latents[ok] - standard.mean[k]) / standard.sigma[k]
    z = np.clip(every[:, :v], -CHANNEL_Z_CLIP, CHANNEL_Z_CLIP)
    layers = np.clip(every[:, v + artefact.geometry.layer_of_cell], -LAYER_CLIP, LAYER_CLIP)
    cells = showers.cells[ok]
    lit = cells > lit_threshold(artefact.geometry)
    columns = {
        "z": z, "z_square": z**2, "lit": lit, "lit_expected": standard.lit[k], "energy": cells,
        "layer": layers * (channels.rings == 0),
    }  # fmt: skip
    single = np.stack([columns[name] for name in DRAWN], axis=2).astype(np.float64)
    return [
        rng.permutation(single[:, channels.rings == ring].reshape(-1, len(DRAWN)))
        for ring in range(N_RINGS)
    ]
