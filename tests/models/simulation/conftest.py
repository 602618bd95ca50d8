"""What tests of whole detectors are given."""

import pytest
from whole_detector import CRYSTALS, PART, detector

from models.detector.channels import Channels
from models.detector.grids import build
from models.simulation import whole


@pytest.fixture(scope="module")
def channels() -> Channels:
    return build((PART,))


@pytest.fixture(scope="module")
def made(channels: Channels) -> whole.WholeDetector:
    return detector(channels, CRYSTALS)
