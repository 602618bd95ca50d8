"""Moments of the latents as people are shown them: right by hand, and empty where there is nothing."""

import numpy as np
from streams import GEOMETRY, Stream, expectation

from models.detector.geometry import Geometry, Layer
from monitor.detector.places import Places
from monitor.display.latents import MAX_LAYERS, groups_of, moments
from monitor.windows.rows import rows_of


def rows(stream, seconds=6):
    places = Places(stream.detector)
    first, *more = (rows_of(stream.next(), places) for _ in range(seconds))
    return sum(more, first)


def test_the_groups_are_all_latents_once():
    covered = [i for at in groups_of(GEOMETRY).values() for i in range(at.start, at.stop)]
    assert covered == list(range(GEOMETRY.n_cells + GEOMETRY.n_layers))


def test_of_many_layers_those_side_by_side_are_told_together():
    layers = tuple(Layer(f"l{i}", (9, 16), (1.0, 1.0), (i, i + 1.0)) for i in range(45))
    groups = groups_of(Geometry("deep", layers, 1.0))
    assert len(groups) == MAX_LAYERS + 2
    assert next(iter(groups)) == "l0 to l7"
    covered = [i for at in groups.values() for i in range(at.start, at.stop)]
    assert covered == list(range(45 * 145))


def test_a_shifted_cell_shows_in_its_region_and_layer_alone():
    shifted = Stream(rate=8000, shift={(3, 13): 4.0})  # the second cell of the second layer
    seen = moments(rows(shifted), [expectation()], GEOMETRY)
    off = np.abs(seen.mean) > 0.1
    assert np.argwhere(off).tolist() == [[3, seen.groups.index("back")]]
    assert abs(seen.mean[3, 1] - 4 / 12) < 0.02
    assert abs(seen.square[3, 1] - (1 + 16 / 12)) < 0.1
    assert abs(seen.overall[0] - 1) < 0.05


def test_references_stand_beside_with_their_own_moments():
    seen = moments(rows(Stream()), [expectation()], GEOMETRY)
    [reference] = seen.references
    assert reference.origin == "certified"
    assert np.allclose(reference.mean, 0)
    assert np.allclose(reference.square, 1)
    assert reference.overall == 1


def test_a_silent_region_has_no_moments_and_no_data_at_all_gives_none():
    seen = moments(rows(Stream(silent={2})), [expectation()], GEOMETRY)
    assert np.isnan(seen.mean[2]).all()
    assert np.isnan(seen.overall[2])
    assert np.isfinite(seen.mean[[0, 1, 3]]).all()
    assert moments(None, [expectation()], GEOMETRY) is None
