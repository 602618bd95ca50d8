"""What comes behind is waited for as long as that is usual, and no longer."""

import pytest
from closing import START, live, tally

from consumers.exactly_once.seconds import Seconds
from consumers.exactly_once.stands import SECOND_NS


@pytest.mark.slow
@pytest.mark.parametrize("partitions", [4, 16])
@pytest.mark.parametrize("behind", [3, 20])
def test_partitions_that_come_behind_are_late_only_until_that_is_learnt(partitions, behind):
    seconds, out = Seconds(), []
    for k in range(120):
        times = {p: START + k - (behind if p else 0) for p in range(partitions)}
        out += live(seconds, {p: t for p, t in times.items() if t >= START}, k)
    assert tally(out)[1] <= behind * partitions
    assert not any(c.late for c in out if c.second > START + behind)
    assert seconds.closed == START + 119 - behind
    assert all(not c.unproven for c in out if c.second > START + behind)


def test_producers_apart_within_a_partition_are_waited_for_once_that_is_learnt():
    seconds, out = Seconds(), []
    for k in range(60):
        out += live(seconds, {0: START + k}, k)
        out += live(seconds, {0: START + k - 3}, k) if k >= 3 else []
    assert tally(out)[1] <= 4
    assert not any(c.late for c in out[10:])


def test_a_latency_beyond_the_setting_is_not_waited_for():
    seconds, out = Seconds(latency_s=5.0), []
    for k in range(60):
        out += live(seconds, {0: START + k} | ({1: START + k - 20} if k >= 20 else {}), k)
    assert seconds.closed >= START + 59 - 8
    assert tally(out)[1] >= 30


@pytest.mark.slow
def test_a_latency_that_is_over_is_forgotten():
    seconds = Seconds()
    for k in range(40):
        live(seconds, {0: START + k} | ({1: START + k - 20} if k >= 20 else {}), k)
    assert seconds.stands[1].latency_ns == 20 * SECOND_NS
    for k in range(40, 2060):
        live(seconds, {0: START + k, 1: START + k}, k)
    assert seconds.stands[1].latency_ns <= SECOND_NS
