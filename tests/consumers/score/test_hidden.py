"""Which cells of showers say nothing: outside of the detector, or known to be bad then."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from consumers.score.hidden import either, hidden_cells
from models.detector.grids import build
from models.detector.known_bad import load
from models.detector.parts import GridLayer, Part
from models.showers.batch import Showers
from monitor.detector.tree import Detector, Region

PART = Part("B", (1, 1), (GridLayer("crystals", (4, 4), patch=(3, 3)),))
CHANNELS = build((PART,))
DETECTOR = Detector("toy", (Region(0, "B1", "B"),), CHANNELS)


def showers(*seeds: int) -> Showers:
    n = len(seeds)
    cells, e_inc = np.ones((n, 9), np.float32), np.ones(n, np.float32)
    return Showers(cells, e_inc, seeds=np.array(seeds, np.uint32))


def test_cells_outside_of_the_detector_are_hidden() -> None:
    hidden = hidden_cells(showers(0, 5), np.zeros(2, np.int64), DETECTOR)
    assert hidden is not None
    assert hidden.sum(axis=1).tolist() == [5, 0]


def test_showers_that_are_all_there_hide_nothing() -> None:
    assert hidden_cells(showers(5, 6), np.zeros(2, np.int64), DETECTOR) is None


def test_a_test_beam_hides_nothing() -> None:
    beam = replace(showers(0), seeds=None)
    assert hidden_cells(beam, np.zeros(1, np.int64), DETECTOR) is None
    bare = replace(DETECTOR, channels=None)
    assert hidden_cells(showers(0), np.zeros(1, np.int64), bare) is None


def test_channels_that_are_known_to_be_bad_are_hidden_while_they_are(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("channel,from,until,cause\nB1/6,1970-01-01T00:00:01Z,,dead\n")
    detector = replace(DETECTOR, known_bad=load(path, CHANNELS))
    hidden = hidden_cells(showers(5, 5), np.array([0, 10**9]), detector)
    assert hidden is not None
    assert hidden.sum(axis=1).tolist() == [0, 1]
    assert hidden[1, 4]


def test_masks_add_up() -> None:
    one, other = np.array([[True, False]]), np.array([[False, False]])
    assert either(None, None) is None
    assert either(one, None) is one
    assert either(None, one) is one
    assert either(one, other).tolist() == [[True, False]]  # type: ignore[union-attr]
