"""Pool: good showers to draw from, as the detector would read them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from models.detector.geometry import GeometryError
from models.showers.batch import Showers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.geometry import Geometry, Layer


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

    def draw(
        self,
        index: NDArray[np.int64],
        geometry: Geometry,
        rng: np.random.Generator,
        images: tuple[NDArray[np.int64], ...],
    ) -> Showers:
        """Return showers as the detector reads them: a random image, fresh noise where clean."""
        batch = self.showers[index]
        cells = batch.cells.copy()
        if len(images) > 1:
            which = rng.integers(len(images), size=len(index))
            for i, image in enumerate(images):
                rows = which == i
                cells[rows] = cells[rows][:, image]
        if len(self.clean):
            rows = self.clean[index]
            cells[rows] = digitise(cells[rows], geometry, rng)
        return Showers(cells, batch.e_inc, batch.conditions)


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


def images(geometry: Geometry, flips: tuple[str, ...]) -> tuple[NDArray[np.int64], ...]:
    """Return the permutations of cells that mirror a shower, the identity first.

    Parameters
    ----------
    flips
        Axes that change their sign, "x" and "y".

    Raises
    ------
    GeometryError
        If the mirrored cells of a layer are not its cells.
    """
    permutations = [np.arange(geometry.n_cells)]
    for axis in "xy":
        if axis in flips:
            layers = zip(geometry.slices, geometry.layers, strict=True)
            mirror = np.concatenate([cells.start + _mirror(layer, axis) for cells, layer in layers])
            permutations += [permutation[mirror] for permutation in permutations]
    return tuple(permutations)


def _mirror(layer: Layer, axis: str) -> NDArray[np.int64]:
    """Return which cell of a layer lies where each one's mirror image does."""
    places = np.arange(layer.n_cells).reshape(layer.shape)
    if not layer.r_edges_mm:
        return np.flip(places, "xy".index(axis)).ravel()
    n = layer.shape[0]
    if axis == "x" and n % 2 and n > 1:
        raise GeometryError(
            f"layer {layer.name!r} has no mirror image in x: with {n} bins in angle, edges do not "
            "fall on edges; leave x out of the flips"
        )
    # Angle a becomes -a in the mirror of y and π - a in that of x; radii stay.
    last = n - 1 if axis == "y" else n // 2 - 1
    return places[(last - np.arange(n)) % n].ravel()


def dither(
    shape: tuple[int, ...], geometry: Geometry, rng: np.random.Generator
) -> NDArray[np.float32] | None:
    """Return what undoes the digitisation, MeV: uniform within one least count; None without."""
    step = geometry.least_count_mev
    if step == 0:
        return None
    return (rng.random(shape, np.float32) - np.float32(0.5)) * np.float32(step)
