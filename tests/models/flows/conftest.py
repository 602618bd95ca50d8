"""What tests of flows are given."""

import pytest
import tiny

from models.flows import standards


@pytest.fixture(scope="module")
def feature_map():
    return standards.fit(tiny.showers(), tiny.GEOMETRY)
