"""Symmetries: declared once, by recipe and geometry, and the same wherever showers are mirrored."""

import numpy as np
import pytest

from models.detector.geometry import Geometry, Layer
from models.fitting.checkpoint import TrainingError
from models.fitting.training import Options
from models.showers.batch import Showers
from models.showers.pool import Pool
from models.showers.symmetries import Symmetry

GEOMETRY = Geometry("grid", (Layer("grid", (5, 5), (4.0, 4.0), (0.0, 1.0)),), noise_mev=0.0)


def tilted(n=400):
    """Return showers whose impact point is a condition: the lit cell lies there."""
    rng = np.random.default_rng(1)
    row, column = rng.integers(5, size=(2, n))
    cells = np.zeros((n, 25), np.float32)
    cells[np.arange(n), row * 5 + column] = 1000
    x, y = ((i - 2).astype(np.float32) * 4 for i in (row, column))
    return Showers(cells, np.full(n, 1e3, np.float32), {"x": x, "y": y, "pileup": x + 30})


def centre(showers):
    return (showers.cells @ GEOMETRY.centres[:, :2] / 1000).T


def test_conditions_of_a_mirrored_shower_are_those_of_the_mirrored_beam():
    mirrors = Symmetry(("x", "y"), odd_x=("x",), odd_y=("y",)).images(GEOMETRY)
    good = tilted()
    for image in mirrors:
        seen = image(good)
        np.testing.assert_allclose(centre(seen), [seen.conditions["x"], seen.conditions["y"]])
        np.testing.assert_array_equal(seen.conditions["pileup"], good.conditions["pileup"])
    drawn = Pool(good).draw(np.arange(400), GEOMETRY, np.random.default_rng(2), mirrors)
    np.testing.assert_allclose(centre(drawn), [drawn.conditions["x"], drawn.conditions["y"]])
    assert (drawn.conditions["x"] != good.conditions["x"]).sum() > 100


def test_a_card_tells_the_symmetry_again():
    told = Symmetry(("x", "y"), odd_x=("x", "slope"), odd_y=("y",))
    assert Symmetry.of_card(told.for_card()) == told
    assert Symmetry.of_card({}) == Symmetry()
    assert Symmetry(("y",)).for_card() == {"flips": ["y"]}


@pytest.mark.parametrize("options", [{"flips": ("z",)}, {"odd_x": (3,)}])
def test_symmetries_that_cannot_be_are_refused(options):
    with pytest.raises(ValueError, match=r"flips|odd"):
        Symmetry(**options)
    with pytest.raises(TrainingError, match=r"flips|odd"):
        Options(**options)


def test_angles_begin_at_minus_pi_and_mirrors_keep_radii():
    edges = (0.0, 5.0, 10.0)
    rings = Layer("rings", (8, 2), (1.0, 1.0), (0.0, 1.0), edges)
    geometry = Geometry("rings", (rings,), noise_mev=0.0)
    x, y, _ = geometry.centres.T
    angle = np.arctan2(y, x).reshape(8, 2)
    np.testing.assert_allclose(angle[:, 0], -np.pi + (np.arange(8) + 0.5) * np.pi / 4)
    ring = np.arange(16) % 2
    for image in Symmetry(("x", "y")).images(geometry):
        np.testing.assert_array_equal(ring[image.cells], ring)
