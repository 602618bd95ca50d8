"""A binning of the CaloChallenge becomes a polar geometry, or one honest line."""

import numpy as np
import pytest

from models.detector import files as geometries
from models.detector import geometry as geo
from models.detector.geometry import GeometryError

BINNING = """<Bins><!-- two layers with cells -->
<Bin pid="22" etaMin="0" etaMax="130" name="photon">
<Layer id="0" r_edges="0,5,10,30" n_bin_alpha="4" />
<Layer id="1" r_edges="0" n_bin_alpha="0" />
<Layer id="2" r_edges="0,20,60" n_bin_alpha="1" />
</Bin></Bins>"""


def test_a_calochallenge_binning_becomes_a_polar_geometry(tmp_path):
    path = tmp_path / "binning.xml"
    path.write_text(BINNING)
    geometry = geometries.load(path)
    assert [layer.name for layer in geometry.layers] == ["layer_0", "layer_2"]
    assert [layer.shape for layer in geometry.layers] == [(4, 3), (1, 2)]
    radius = np.hypot(*geometry.centres[:, :2].T)
    np.testing.assert_allclose(radius[:12], np.tile([2.5, 7.5, 20], 4))
    np.testing.assert_allclose(radius[12:], 0)
    assert geo.parse(geometry.to_json()) == geometry


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('<!DOCTYPE a [<!ENTITY b "c">]><Bins/>', "document type"),
        ("<Bins>", "not XML"),
        ("<Bins/>", "one element Bin"),
        (BINNING.replace("r_edges", "r"), "lacks"),
        (BINNING.replace("0,5,10,30", "0,5,5,30"), "must rise"),
        (BINNING.replace('"4"', '"99999999999"'), "cells"),
    ],
)
def test_a_binning_that_cannot_be_is_refused(tmp_path, text, says):
    path = tmp_path / "binning.xml"
    path.write_text(text)
    with pytest.raises(GeometryError, match=says):
        geometries.load(path)
