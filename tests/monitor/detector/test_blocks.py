"""Blocks: which channels lie beside each other."""

import numpy as np
import pytest
from channel_stream import barrel

from monitor.detector import blocks as module
from monitor.detector.blocks import Blocks

CHANNELS = barrel((1, 1), (20, 20))


def test_what_is_asked_again_after_many_others_is_answered_the_same() -> None:
    blocks = Blocks(CHANNELS)
    first = blocks.near([210])
    rows, columns = np.divmod(np.flatnonzero(first), 20)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (6, 14, 6, 14)
    for channel in range(len(CHANNELS)):
        blocks.near([channel])
    assert np.array_equal(blocks.near([210]), first)
    assert len(blocks._near) <= module.KEPT_NEAR


def test_what_is_answered_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Blocks(CHANNELS).near([210])[0] = True
