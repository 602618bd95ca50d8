"""What a crew would have otherwise: it alarms as its name says, and far too often."""

from __future__ import annotations

import numpy as np
import pytest
from streams import Stream, expectation

from consumers.bench.rivals import NAMES, Rivals
from monitor.detector.places import Places


def watched(stream: Stream, seconds: int, phase: int = 0) -> Rivals:
    rivals = Rivals(Places(stream.detector), expectation(100_000, np.random.default_rng(5)), phase)
    for _ in range(seconds):
        rivals.observe(stream.next())
    return rivals


@pytest.mark.slow
def test_mean_plus_three_sigma_alarms_in_good_data_and_the_exact_ones_do_not():
    rivals = watched(Stream(regions=16), 1800)
    sigma, exact, _ = rivals.alarms
    assert 0 < sigma < 30
    assert exact == 0


def test_strange_showers_are_found_at_the_end_of_the_minute():
    stream = Stream(regions=4)
    stream.strange = {1: 0.3}
    rivals = watched(stream, 60, phase=40)
    assert rivals.found[NAMES[0]] == 20
    assert rivals.found[NAMES[1]] == 20


@pytest.mark.parametrize("seconds", [1, 59])
def test_before_the_minute_is_over_nothing_is_said(seconds):
    stream = Stream(regions=4)
    stream.strange = {1: 1.0}
    rivals = watched(stream, seconds)
    assert not rivals.alarms.any()
    assert not rivals.all_found
