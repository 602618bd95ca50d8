"""Pictures of a shower: what was seen, what was expected, and which cells make it strange."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.geometry import Geometry

# Anchors of the cividis map (Nuñez, Anderton, Renslow, doi:10.1371/journal.pone.0199239): it reads
# the same with and without colour vision deficiency, and in grey.
SEEN_COLOURS = np.array(
    [(0, 32, 77), (58, 73, 107), (108, 109, 117), (155, 148, 118), (204, 190, 100), (255, 234, 70)]
)
# Blue to orange through grey: a pair that every common deficiency tells apart.
PULL_COLOURS = np.array(
    [(0, 90, 181), (120, 170, 220), (128, 128, 128), (240, 170, 80), (220, 50, 32)]
)

PULL_MAX = 6.0
"""Pulls are shown up to this many standard deviations."""

SIDE = 150
"""Width and height of a map, pixels: every layer covers the same square of the detector."""

GAP, LEFT, TOP, FOOT = 12, 76, 26, 22
INK = {"light": ("#111820", "#55606c", "#e9ecef"), "dark": ("#eef3f7", "#a3b0bc", "#222b33")}


@dataclass(frozen=True, slots=True, eq=False)
class ShowerPicture:
    """One shower to be drawn."""

    geometry: Geometry
    cells: NDArray[np.float32]
    """Energy of each cell, MeV, shape (V,)."""

    expected: NDArray[np.float32] | None
    """Energy that a good shower of these conditions has on average, MeV, shape (V,)."""

    pull: NDArray[np.float32] | None
    """Latent of each cell: how many standard deviations off it is, shape (V,)."""

    title: str

    def __post_init__(self) -> None:
        for name in ("cells", "expected", "pull"):
            array = getattr(self, name)
            if array is not None and array.shape != (self.geometry.n_cells,):
                raise ValueError(f"{name} has shape {array.shape}, not ({self.geometry.n_cells},)")

    def rows(self) -> list[tuple[str, list[Image.Image]]]:
        """Return the rows of maps: a name, and an image a layer, a pixel a cell."""
        top = float(max(1.0, self.cells.max(initial=0.0)))
        rows = [("seen", self._images(energy_colours(self.cells, top)))]
        if self.expected is not None:
            rows.append(("expected", self._images(energy_colours(self.expected, top))))
        if self.pull is not None:
            rows.append(("strange", self._images(pull_colours(self.pull))))
        return rows

    def _images(self, colours: NDArray[np.uint8]) -> list[Image.Image]:
        return [
            Image.fromarray(colours[cells].reshape(*layer.shape, 3))
            for cells, layer in zip(self.geometry.slices, self.geometry.layers, strict=True)
        ]


def energy_colours(energy: NDArray[np.float32], top: float) -> NDArray[np.uint8]:
    """Return colours of energies on a square-root scale from 0 to `top` MeV, shape (V, 3).

    A shower's core has a thousand times the energy of its rim; the square root shows both and,
    unlike a logarithm, has room for noise below zero, which is drawn as zero.
    """
    return _colours(np.sqrt(np.clip(energy / top, 0, 1)), SEEN_COLOURS)


def pull_colours(pull: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return colours of pulls from -`PULL_MAX` (blue) to `PULL_MAX` (orange), shape (V, 3)."""
    finite = np.nan_to_num(pull, nan=0.0, posinf=PULL_MAX, neginf=-PULL_MAX)
    return _colours(np.clip(finite / PULL_MAX, -1, 1) / 2 + 0.5, PULL_COLOURS)


def _colours(share: NDArray[np.floating], anchors: NDArray[np.int64]) -> NDArray[np.uint8]:
    at = np.linspace(0, 1, len(anchors))
    channels = [np.interp(share, at, anchors[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def svg(picture: ShowerPicture, theme: str = "light") -> str:
    """Return the picture as SVG without outside parts: maps are tiny images, scaled up sharp."""
    ink, soft, _ = INK[theme]
    rows, (width, height) = picture.rows(), _size(picture)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
    title = f"<title>{escape(picture.title)}</title>"
    parts = [f'{head} font-family="sans-serif" font-size="14">{title}']
    for column, layer in enumerate(picture.geometry.layers):
        x = LEFT + column * (SIDE + GAP) + SIDE / 2
        parts.append(
            f'<text x="{x}" y="17" fill="{soft}" text-anchor="middle">{escape(layer.name)}</text>'
        )
    for row, (name, images) in enumerate(rows):
        y = TOP + row * (SIDE + GAP)
        middle = y + SIDE / 2 + 5
        parts.append(
            f'<text x="{LEFT - 8}" y="{middle}" fill="{ink}" text-anchor="end">{name}</text>'
        )
        for column, image in enumerate(images):
            x = LEFT + column * (SIDE + GAP)
            parts.append(
                f'<image x="{x}" y="{y}" width="{SIDE}" height="{SIDE}" '
                f'preserveAspectRatio="none" image-rendering="pixelated" href="{_data(image)}"/>'
            )
    parts.append(
        f'<text x="{LEFT}" y="{height - 6}" fill="{soft}">{escape(_scale(picture))}</text>'
    )
    return "".join(parts) + "</svg>"


def png(picture: ShowerPicture, theme: str = "light") -> bytes:
    """Return the picture as PNG, for chat, mail and logbooks."""
    ink, soft, ground = INK[theme]
    rows, size = picture.rows(), _size(picture)
    canvas = Image.new("RGB", size, ground)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(14)
    for column, layer in enumerate(picture.geometry.layers):
        x = LEFT + column * (SIDE + GAP) + SIDE / 2
        draw.text((x, 12), layer.name, soft, font, anchor="mm")
    for row, (name, images) in enumerate(rows):
        y = TOP + row * (SIDE + GAP)
        draw.text((LEFT - 8, y + SIDE / 2), name, ink, font, anchor="rm")
        for column, image in enumerate(images):
            sharp = image.resize((SIDE, SIDE), Image.Resampling.NEAREST)
            canvas.paste(sharp, (LEFT + column * (SIDE + GAP), y))
    draw.text((LEFT, size[1] - 10), _scale(picture), soft, font, anchor="lm")
    out = io.BytesIO()
    canvas.save(out, "PNG", optimize=True)
    return out.getvalue()


def _size(picture: ShowerPicture) -> tuple[int, int]:
    shown = 1 + (picture.expected is not None) + (picture.pull is not None)
    return (
        LEFT + picture.geometry.n_layers * (SIDE + GAP),
        TOP + shown * (SIDE + GAP) + FOOT,
    )


def _scale(picture: ShowerPicture) -> str:
    top = float(picture.cells.max(initial=0.0))
    pull = "" if picture.pull is None else f"; blue too little, red too much, up to {PULL_MAX:g} sd"
    return f"yellow = {top:,.0f} MeV{pull}"


def _data(image: Image.Image) -> str:
    out = io.BytesIO()
    image.save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
