"""Geometry: which cells a shower has, where they lie, and what noise they carry."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = "calodqm.geometry/1"
MAX_CELLS = 65_536


class GeometryError(ValueError):
    """A geometry file that cannot be used; the message says which part and why."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One longitudinal layer: a grid of equal cells, stored row-major, centred on the beam axis."""

    name: str
    shape: tuple[int, int]
    """Rows (along x) and columns (along y)."""

    cell_mm: tuple[float, float]
    """Size of a cell along x and y, mm, > 0."""

    depth_mm: tuple[float, float]
    """Front and back along the beam, mm from the front face, front < back."""

    r_edges_mm: tuple[float, ...] = ()
    """If given, the layer is polar: rows are equal steps in angle from -π to π, columns lie between
    these radii."""

    def __post_init__(self) -> None:
        if not self.name or min(self.shape) < 1:
            raise GeometryError(f"layer {self.name!r}: shape {self.shape} must be two counts > 0")
        if not all(0 < size < math.inf for size in self.cell_mm):
            raise GeometryError(f"layer {self.name!r}: cell_mm {self.cell_mm} must be > 0")
        front, back = self.depth_mm
        if not 0 <= front < back < math.inf:
            raise GeometryError(f"layer {self.name!r}: depth_mm {self.depth_mm} must rise")
        edges = self.r_edges_mm
        if edges and not (
            len(edges) == self.shape[1] + 1
            and edges[0] >= 0
            and edges[-1] < math.inf
            and all(a < b for a, b in pairwise(edges))
        ):
            raise GeometryError(f"layer {self.name!r}: r_edges_mm must rise, one more than columns")

    @property
    def n_cells(self) -> int:
        """Return the number of cells."""
        return self.shape[0] * self.shape[1]

    @property
    def closes(self) -> bool:
        """Return whether the first row lies beside the last: angles go all the way round."""
        return bool(self.r_edges_mm) and self.shape[0] > 2

    def centres(self) -> NDArray[np.float64]:
        """Return the centres of the cells, mm, shape (n_cells, 3) for x, y and depth."""
        if self.r_edges_mm:
            angle = (np.arange(self.shape[0]) + 0.5) * 2 * np.pi / self.shape[0] - np.pi
            edges = np.asarray(self.r_edges_mm)
            # The centre of a full ring is the axis, not a point on the ring.
            radius = (edges[:-1] + edges[1:]) / 2 * (self.shape[0] > 1)
            x, y = (np.outer(f(angle), radius) for f in (np.cos, np.sin))
            return self._at_mid_depth(x, y)
        axes = [
            (np.arange(n) - (n - 1) / 2) * size
            for n, size in zip(self.shape, self.cell_mm, strict=True)
        ]
        x, y = np.meshgrid(*axes, indexing="ij")
        return self._at_mid_depth(x, y)

    def _at_mid_depth(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        z = np.full_like(x, sum(self.depth_mm) / 2)
        return np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1)


@dataclass(frozen=True)
class Geometry:
    """The cells around one calorimeter object: L layers, V cells in all, layer after layer.

    Examples
    --------
    >>> from models.detector.files import SHIPPED, load
    >>> geometry = load(SHIPPED / "pb-lar-504.json")
    >>> geometry.n_layers, geometry.n_cells
    (3, 504)
    >>> geometry.cell_name(288)
    'middle[0,0]'
    """

    name: str
    layers: tuple[Layer, ...]
    """From front to back; no two share any depth."""

    noise_mev: float
    """Electronics noise of a cell, standard deviation, MeV, >= 0."""

    least_count_mev: float = 0.0
    """Step of the digitisation, MeV; 0 if cells are continuous."""

    zero_suppression_mev: float = 0.0
    """Cells with less read zero, MeV; 0 if none are suppressed."""

    sampling_fraction: float = 1.0
    """Visible over incident energy, in (0, 1]."""

    description: str = ""
    materials: tuple[tuple[str, str | float], ...] = ()
    """What the fast simulation needs: passive, passive_mm, active, active_mm."""

    def __post_init__(self) -> None:
        names = [layer.name for layer in self.layers]
        if not self.name or not names or len(set(names)) != len(names):
            raise GeometryError(f"geometry {self.name!r}: needs a name and distinct layers")
        for before, after in pairwise(self.layers):
            if after.depth_mm[0] < before.depth_mm[1]:
                raise GeometryError(
                    f"geometry {self.name!r}: layer {after.name!r} begins at {after.depth_mm[0]:g} "
                    f"mm, before {before.name!r} ends at {before.depth_mm[1]:g} mm: layers go from "
                    "front to back and share no depth"
                )
        if not 0 < self.n_cells <= MAX_CELLS:
            raise GeometryError(
                f"geometry {self.name!r}: {self.n_cells} cells, at most {MAX_CELLS}"
            )
        if not (0 <= self.noise_mev < math.inf and 0 <= self.least_count_mev < math.inf):
            raise GeometryError(f"geometry {self.name!r}: noise and least count must be >= 0 MeV")
        if not 0 <= self.zero_suppression_mev < math.inf:
            raise GeometryError(f"geometry {self.name!r}: zero_suppression_mev must be >= 0 MeV")
        if not 0 < self.sampling_fraction <= 1:
            raise GeometryError(f"geometry {self.name!r}: sampling_fraction must lie in (0, 1]")

    @property
    def n_layers(self) -> int:
        """Return L."""
        return len(self.layers)

    @property
    def n_cells(self) -> int:
        """Return V."""
        return sum(layer.n_cells for layer in self.layers)

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """Return the cells of each layer as slices of the V cells."""
        ends = np.cumsum([layer.n_cells for layer in self.layers]).tolist()
        return tuple(slice(a, b) for a, b in zip([0, *ends[:-1]], ends, strict=True))

    @cached_property
    def layer_of_cell(self) -> NDArray[np.int64]:
        """Return the layer index of each cell, shape (V,)."""
        return np.repeat(np.arange(self.n_layers), [layer.n_cells for layer in self.layers])

    @cached_property
    def centres(self) -> NDArray[np.float64]:
        """Return the centre of each cell, mm, shape (V, 3)."""
        return np.concatenate([layer.centres() for layer in self.layers])

    def cell_name(self, cell: int) -> str:
        """Return what people call a cell: layer[row,column]."""
        layer = int(self.layer_of_cell[cell])
        row, column = divmod(cell - self.slices[layer].start, self.layers[layer].shape[1])
        return f"{self.layers[layer].name}[{row},{column}]"

    def to_json(self) -> str:
        """Return the text of a geometry file; `parse` is its inverse."""
        fields = {
            "format": FORMAT,
            "name": self.name,
            "description": self.description,
            "sampling_fraction": self.sampling_fraction,
            "noise_mev": self.noise_mev,
            "least_count_mev": self.least_count_mev,
            **(
                {"zero_suppression_mev": self.zero_suppression_mev}
                if self.zero_suppression_mev
                else {}
            ),
            "materials": dict(self.materials),
            "layers": [
                {
                    "name": layer.name,
                    "shape": list(layer.shape),
                    "cell_mm": list(layer.cell_mm),
                    "depth_mm": list(layer.depth_mm),
                    **({"r_edges_mm": list(layer.r_edges_mm)} if layer.r_edges_mm else {}),
                }
                for layer in self.layers
            ],
        }
        return json.dumps(fields, indent=2) + "\n"


def parse(text: str) -> Geometry:
    """Return the geometry that a file's text describes.

    Raises
    ------
    GeometryError
        If it is not JSON, has an unknown or missing key, or a value that cannot be.
    """
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GeometryError(f"not JSON: {error}") from None
    if not isinstance(fields, dict) or fields.pop("format", None) != FORMAT:
        raise GeometryError(f'not a geometry: the key "format" must be "{FORMAT}"')
    try:
        layers = tuple(_layer(layer) for layer in fields.pop("layers"))
        materials = tuple(sorted(dict(fields.pop("materials", {})).items()))
        return Geometry(layers=layers, materials=materials, **fields)
    except GeometryError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise GeometryError(f"missing, unknown or unusable key: {error}") from None


def _layer(fields: dict[str, Any]) -> Layer:
    rows, columns = fields["shape"]
    if not (type(rows) is int and type(columns) is int):
        raise GeometryError(f"shape {fields['shape']} must be two whole numbers")
    width, height = (float(size) for size in fields["cell_mm"])
    front, back = (float(depth) for depth in fields["depth_mm"])
    edges = tuple(float(edge) for edge in fields.get("r_edges_mm", ()))
    unknown = set(fields) - {"name", "shape", "cell_mm", "depth_mm", "r_edges_mm"}
    if unknown:
        raise GeometryError(f"layer has unknown keys {sorted(unknown)}")
    return Layer(str(fields["name"]), (rows, columns), (width, height), (front, back), edges)
