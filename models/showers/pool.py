"""Pool: good showers to draw from, as the detector would read them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from models.showers.batch import Showers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from models.showers.symmetries import Image


SOME_BYTES, AT_LEAST = 256 << 20, 2000
"""Cells of so many bytes, but no fewer showers, are enough to fit what is a mean or a deviation."""


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Showers to draw from; clean ones get fresh noise every time they are drawn."""

    showers: Showers
    clean: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    """True where cells are without noise and digitisation, shape (N,); empty if nowhere."""

    @property
    def n(self) -> int:
        """Return the number of distinct showers."""
        return self.showers.n

    def __getitem__(self, index: NDArray[np.int64]) -> Pool:
        """Return a selection."""
        return Pool(self.showers[index], self.clean[index] if len(self.clean) else self.clean)

    def some(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the rows of as many showers as fit into `SOME_BYTES`, all of them if they do."""
        most = max(AT_LEAST, SOME_BYTES // (4 * self.showers.cells.shape[1]))
        if self.n <= most:
            return np.arange(self.n)
        return np.sort(rng.permutation(self.n)[:most])

    def draw(
        self,
        index: NDArray[np.int64],
        geometry: Geometry,
        rng: np.random.Generator,
        images: tuple[Image, ...],
    ) -> Showers:
        """Return showers as the detector reads them: a random image, fresh noise where clean."""
        batch = self.showers[index]
        cells = batch.cells.copy()
        extra = {name: values.copy() for name, values in batch.conditions.items()}
        if len(images) > 1:
            which = rng.integers(len(images), size=len(index))
            for i, image in enumerate(images):
                rows = which == i
                cells[rows] = cells[rows][:, image.cells]
                for name in image.turned & set(extra):
                    extra[name][rows] *= -1
        if len(self.clean):
            rows = self.clean[index]
            cells[rows] = digitise(cells[rows], geometry, rng)
        return Showers(cells, batch.e_inc, extra, batch.seeds)


def clean(showers: Showers) -> Pool:
    """Return a pool of showers without noise."""
    return Pool(showers, np.ones(showers.n, np.bool_))


def digitise(
    cells: NDArray[np.float32], geometry: Geometry, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return cells with the geometry's noise, least count and suppression, MeV, shape (N, V)."""
    noisy = cells + rng.normal(0, 1, cells.shape).astype(np.float32) * np.float32(
        geometry.noise_mev
    )
    step = np.float32(geometry.least_count_mev)
    digital: NDArray[np.float32] = np.rint(noisy / step) * step if step > 0 else noisy
    return suppressed(digital, geometry)


def suppressed(cells: NDArray[np.float32], geometry: Geometry) -> NDArray[np.float32]:
    """Return cells, MeV, with those that the read-out leaves out at zero."""
    least = np.float32(geometry.zero_suppression_mev)
    return np.where(cells < least, np.float32(0), cells) if least > 0 else cells


def dither(
    shape: tuple[int, ...], geometry: Geometry, rng: np.random.Generator
) -> NDArray[np.float32] | None:
    """Return what undoes the digitisation, MeV: uniform within one least count; None without."""
    step = geometry.least_count_mev
    if step == 0:
        return None
    return (rng.random(shape, np.float32) - np.float32(0.5)) * np.float32(step)
