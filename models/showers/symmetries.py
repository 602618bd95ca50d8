"""Symmetries: what else a shower could have been, had the beam come from the other side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from models.detector.geometry import GeometryError
from models.showers.batch import Showers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.detector.geometry import Geometry, Layer


class Image(NamedTuple):
    """One image of a shower."""

    cells: NDArray[np.int64]
    """Which cell lies where each one's image does, shape (V,)."""

    turned: frozenset[str] = frozenset()
    """Conditions that change their sign."""

    def __call__(self, showers: Showers) -> Showers:
        """Return the image of every shower of a batch."""
        conditions = {
            name: -values if name in self.turned else values
            for name, values in showers.conditions.items()
        }
        return Showers(showers.cells[:, self.cells], showers.e_inc, conditions, showers.seeds)


@dataclass(frozen=True, slots=True)
class Symmetry:
    """Mirrors that a set-up is symmetric under: beam, detector and conditions together.

    It is declared by the recipe of a model and kept in its card; the geometry says which cells a
    mirror exchanges. Whoever mirrors showers asks here.
    """

    flips: tuple[str, ...] = ()
    """Axes that may change their sign, "x" and "y"."""

    odd_x: tuple[str, ...] = ()
    """Conditions that change their sign with x: an impact point, a slope."""

    odd_y: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not set(self.flips) <= {"x", "y"}:
            raise ValueError(f'flips {self.flips} may name "x" and "y" only')
        for names in (self.odd_x, self.odd_y):
            if not all(isinstance(name, str) for name in names):
                raise ValueError(f"odd_x and odd_y must be lists of conditions, not {names!r}")

    @classmethod
    def of_card(cls, card: Mapping[str, Any]) -> Symmetry:
        """Return the symmetry that a model card tells of; none if it tells of none."""
        return cls(*(tuple(card.get(name, ())) for name in ("flips", "odd_x", "odd_y")))

    def for_card(self) -> dict[str, list[str]]:
        """Return what `of_card` reads."""
        odd = {"odd_x": list(self.odd_x), "odd_y": list(self.odd_y)}
        return {"flips": list(self.flips)} | {name: told for name, told in odd.items() if told}

    def images(self, geometry: Geometry) -> tuple[Image, ...]:
        """Return the images of a shower, itself first.

        Raises
        ------
        GeometryError
            If the mirrored cells of a layer are not its cells.
        """
        found = [Image(np.arange(geometry.n_cells))]
        for axis, odd in (("x", self.odd_x), ("y", self.odd_y)):
            if axis in self.flips:
                layers = zip(geometry.slices, geometry.layers, strict=True)
                mirror = np.concatenate([c.start + _mirror(layer, axis) for c, layer in layers])
                found += [Image(one.cells[mirror], one.turned ^ set(odd)) for one in found]
        return tuple(found)


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
