"""What a case says of its extent goes into snapshots, so it is made of plain values."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from monitor.alarms.crossings import Crossings
from monitor.detector.places import Places
from monitor.detector.tree import grid

PLACES = Places(grid("calo", sectors=2, regions_per_sector=2))


@pytest.mark.parametrize(("rows", "whole"), [([0, 1], True), ([0], False), ([0, 2], False)])
def test_an_extent_is_said_in_values_that_a_snapshot_takes(rows, whole):
    struck = np.isin(np.arange(4), rows)
    _, _, said = Crossings.extent(SimpleNamespace(_places=PLACES), struck)
    assert said is whole
    assert json.dumps(said)
