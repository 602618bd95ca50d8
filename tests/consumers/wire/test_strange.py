"""Strange showers come back from their bytes as they went."""

from dataclasses import replace

import numpy as np
import pytest
from golden import strange_shower
from memory import TINY

from consumers.wire import strange
from consumers.wire.block import DecodeError


def test_strange_showers_come_back_as_they_went():
    sent = [replace(strange_shower(i), row=i, event_id=2**63 + i) for i in range(3)]
    value = strange.encode(sent, "t", ("a", "b"))
    for a, b in zip(sent, strange.decode(value, TINY), strict=True):
        np.testing.assert_array_equal(a.cells, b.cells)
        np.testing.assert_array_equal(a.pull, b.pull)
        assert (a.event_id, a.row, a.p) == (b.event_id, b.row, b.p)
    with pytest.raises(DecodeError):
        strange.decode(value[:-50], TINY)
