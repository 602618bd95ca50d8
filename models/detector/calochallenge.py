"""CaloChallenge: the CaloChallenge's description of its cells (XML), as a geometry."""

from __future__ import annotations

import math
from xml.etree import ElementTree as ET

from models.detector.geometry import MAX_CELLS, Geometry, GeometryError, Layer

MAX_CHARACTERS = 1 << 20
NOMINAL_DEPTH_MM = 1.0
"""The file says the order of the layers, not their depth: each gets this much."""


def parse(text: str) -> Geometry:
    """Return the geometry of a binning file with one set of bins.

    Every layer is polar: cells run through the angle first, through the radius within it, as the
    columns of `showers` do in that challenge. Layers without cells are left out. Noise,
    digitisation and sampling fraction are not in the file: they are 0, 0 and 1.

    Raises
    ------
    GeometryError
        If it is not such a file, or has several sets of bins.
    """
    # An entity can stand for gigabytes; such files need none.
    if len(text) > MAX_CHARACTERS or "<!" in text.replace("<!--", ""):
        raise GeometryError("XML with a document type, or too long: not a binning file")
    try:
        root = ET.fromstring(text)  # noqa: S314 - no entities are left
    except ET.ParseError as error:
        raise GeometryError(f"not XML: {error}") from None
    sets = root.findall("Bin")
    if len(sets) != 1:
        names = [bins.get("name", "?") for bins in sets]
        raise GeometryError(f"a binning file needs one element Bin, this has {names}")
    try:
        layers = [layer for layer in map(_layer, sets[0].findall("Layer")) if layer is not None]
    except (KeyError, ValueError) as error:
        raise GeometryError(f"a Layer lacks `id`, `r_edges` or `n_bin_alpha`: {error}") from None
    placed = tuple(
        Layer(name, shape, size, (i * NOMINAL_DEPTH_MM, (i + 1) * NOMINAL_DEPTH_MM), edges)
        for i, (name, shape, size, edges) in enumerate(layers)
    )
    name = f"calochallenge-{sets[0].get('name', 'showers')}-{sum(a.n_cells for a in placed)}"
    return Geometry(name, placed, noise_mev=0.0, description="from a CaloChallenge binning file")


def _layer(
    element: ET.Element,
) -> tuple[str, tuple[int, int], tuple[float, float], tuple[float, ...]] | None:
    edges = tuple(float(edge) for edge in element.attrib["r_edges"].split(","))
    angles = int(element.attrib["n_bin_alpha"])
    if len(edges) < 2 or angles < 1:
        return None
    if angles * len(edges) > MAX_CELLS:
        raise ValueError(f"{angles} x {len(edges)} cells")
    radial = (edges[-1] - edges[0]) / (len(edges) - 1)
    size = (max(math.tau * edges[-1] / 2 / angles, 1e-6), max(radial, 1e-6))
    return f"layer_{element.attrib['id']}", (angles, len(edges) - 1), size, edges
