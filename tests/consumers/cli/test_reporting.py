"""What a run came to is told by the sums of its lumisections and the verdicts on them."""

import numpy as np
import pytest
from memory import MemoryBroker, MemoryLog, MemorySink
from spoken import FORM, window

from consumers.cli.reporting import Known, by_run
from consumers.wire import lumisection_form, topics
from consumers.wire.lumisection_form import Part
from models.scoring.scales import LEVELS

MODEL, GONE = "a" * 64, "b" * 64
RATE = np.tile(np.array(LEVELS), (FORM.shape[0], 1))
KNOWN = {MODEL: Known(FORM, RATE)}


@pytest.fixture
def log():
    """Two runs; a part that was written twice, one by a model that is gone, and a damaged one."""
    broker = MemoryBroker()
    sink = MemorySink(broker)

    def keep(run, lumisection, model, at, first):
        part = Part(run, lumisection, model, at, first, first + 22, 23)
        value = lumisection_form.encode(part, window(3, 5, (0, 2)), FORM)
        sink.append(topics.LUMISECTIONS, value, key=part.key, partition=0)

    keep(3, 1, MODEL, 10, 100)
    keep(3, 2, MODEL, 20, 123)
    keep(3, 2, MODEL, 20, 123)
    keep(3, 2, MODEL, 25, 130)
    keep(3, 3, GONE, 30, 146)
    sink.append(topics.LUMISECTIONS, b"spoilt", key="x", partition=0)
    keep(4, 1, MODEL, 40, 500)
    return MemoryLog(broker)


def test_a_run_is_the_sum_of_its_parts_each_once(log):
    found = by_run(log, 0, 1000, KNOWN.get)
    one = int(window(3, 5, (0, 2)).showers.sum())
    assert list(found) == [3, 4]
    assert (found[3].showers, found[4].showers) == (3 * one, one)
    assert found[3].lumisections == {1, 2, 3}
    assert (found[3].first, found[3].last) == (100, 168)
    told = found[3].to_json()
    assert told["strange"]["0.01"]["expected"] == pytest.approx(0.03 * one, abs=0.06)
    assert told["parts by unknown models"] == {GONE[:12]: 1}


def test_only_what_began_in_the_time_that_was_asked_for_is_told(log):
    assert list(by_run(log, 0, 500, KNOWN.get)) == [3]
    assert by_run(log, 123, 130, KNOWN.get)[3].lumisections == {2}
    assert not by_run(log, 1000, 2000, KNOWN.get)
