"""Pictures of showers: every cell in its place, colours that all eyes tell apart, nothing from outside."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from models.detector import files as geometries
from monitor.display.pictures import (
    INK,
    PULL_MAX,
    ShowerPicture,
    energy_colours,
    png,
    pull_colours,
    svg,
)

GEOMETRY = geometries.load(geometries.SHIPPED / "pb-lar-504.json")


def picture(cells=None, *, expected=True, pull=True, title="event 7"):
    empty = np.zeros(GEOMETRY.n_cells, np.float32)
    return ShowerPicture(
        GEOMETRY,
        empty if cells is None else cells,
        empty if expected else None,
        empty if pull else None,
        title,
    )


def maps(text):
    """Return the images in an SVG as arrays."""
    found = re.findall(r'href="data:image/png;base64,([^"]+)"', text)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in found]


def luminance(colours):
    return colours @ np.array([0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("cell", [0, 95, 287, 288, 354, 431, 432, 503])
def test_a_bright_cell_is_where_the_geometry_says(cell):
    cells = np.zeros(GEOMETRY.n_cells, np.float32)
    cells[cell] = 100
    layer = int(GEOMETRY.layer_of_cell[cell])
    row, column = divmod(cell - GEOMETRY.slices[layer].start, GEOMETRY.layers[layer].shape[1])
    seen = maps(svg(picture(cells, expected=False, pull=False)))
    assert [image.shape[:2] for image in seen] == [layer.shape for layer in GEOMETRY.layers]
    brightest = np.unravel_index(luminance(seen[layer]).argmax(), seen[layer].shape[:2])
    assert brightest == (row, column)


def test_more_energy_is_always_lighter_also_without_colour():
    scale = energy_colours(np.linspace(0, 100, 50, dtype=np.float32), 100)
    assert np.all(np.diff(luminance(scale)) > 0)


def test_noise_below_zero_is_drawn_as_zero():
    both = energy_colours(np.array([-3, 0], np.float32), 100)
    assert (both[0] == both[1]).all()


def test_pulls_differ_by_sign_in_hue_and_are_capped():
    low, none, high, more, odd = pull_colours(
        np.array([-PULL_MAX, 0, PULL_MAX, 50, np.nan], np.float32)
    ).astype(int)
    assert low[2] > low[0]  # blue
    assert high[0] > high[2]  # red
    assert (high == more).all()
    assert (none == odd).all()


@pytest.mark.parametrize("theme", INK)
@pytest.mark.parametrize(
    ("expected", "pull", "rows"), [(True, True, 3), (False, True, 2), (False, False, 1)]
)
def test_png_and_svg_have_the_same_rows_and_size(theme, expected, pull, rows):
    one = picture(expected=expected, pull=pull)
    text = svg(one, theme)
    assert len(maps(text)) == 3 * rows
    width, height = map(int, re.search(r'viewBox="0 0 (\d+) (\d+)"', text).groups())
    assert Image.open(io.BytesIO(png(one, theme))).size == (width, height)


def test_a_picture_needs_nothing_from_outside_and_no_title_can_break_out_of_it():
    text = svg(picture(title='"><script>alert(1)</script>'))
    assert "<script" not in text
    assert set(re.findall(r"(?:href|src)=\"(\w+):", text)) == {"data"}


def test_arrays_of_another_geometry_are_refused():
    with pytest.raises(ValueError, match="cells has shape"):
        picture(np.zeros(3, np.float32))
