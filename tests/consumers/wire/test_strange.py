"""Strange showers come back from their bytes as they went."""

import numpy as np
import pytest
from memory import TINY

from consumers.wire import strange
from consumers.wire.block import DecodeError
from consumers.wire.strange import StrangeShower


def test_strange_showers_come_back_as_they_went():
    rng = np.random.default_rng(0)
    sent = [
        StrangeShower(
            partition=1,
            offset=2,
            row=i,
            event_id=2**63 + i,
            time_ns=4,
            run=5,
            lumisection=6,
            region=7,
            e_inc=8.0,
            p=1e-5,
            p_scores=rng.random(2),
            cells=rng.random(TINY.n_cells).astype(np.float32),
            pull=rng.random(TINY.n_cells).astype(np.float32),
        )
        for i in range(3)
    ]
    value = strange.encode(sent, "t", ("a", "b"))
    for a, b in zip(sent, strange.decode(value, TINY), strict=True):
        np.testing.assert_array_equal(a.cells, b.cells)
        np.testing.assert_array_equal(a.pull, b.pull)
        assert (a.event_id, a.row, a.p) == (b.event_id, b.row, b.p)
    with pytest.raises(DecodeError):
        strange.decode(value[:-50], TINY)
