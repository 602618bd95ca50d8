"""Thousands of regions of which few have showers in a second: judged, shown and taken up again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from streams import GEOMETRY, Stream, expectation

from monitor.detector.tree import MAX_REGIONS, DetectorError, grid
from monitor.display.standing import state
from monitor.judging.monitor import Monitor
from monitor.judging.settings import MonitorSettings

REGIONS = 3_000


def many() -> Monitor:
    flat = grid("calo", sectors=REGIONS // 8, regions_per_sector=8)
    names = list(flat.sectors)
    outer = {f"crate {i}": tuple(names[i::25]) for i in range(25)}
    settings = MonitorSettings()
    return Monitor(replace(flat, outer=outer), GEOMETRY, expectation(50_000), settings)


@pytest.mark.slow
def test_thousands_of_regions_are_judged_with_no_table_of_places_times_regions():
    judge, heir, stream = many(), many(), Stream(regions=REGIONS, rate=600)
    for _ in range(10):
        judge.observe(stream.next())
    assert judge.open_alarms() == ()
    assert "members" not in vars(judge.places)
    largest = max(array.size for array in judge.state().values())
    assert largest < judge.places.n * REGIONS / 4
    heir.restore(judge.state())
    window = stream.next()
    assert heir.observe(window) == judge.observe(window)
    one, other = (state(each.standing()) for each in (judge, heir))
    assert one["board"] == other["board"]
    assert len(one["board"]) == REGIONS
    assert sum(row["showers"] for row in one["board"]) == pytest.approx(6_600, rel=0.1)


def test_more_regions_than_are_told_apart_are_refused():
    assert len(grid("calo", 1, MAX_REGIONS).regions) == MAX_REGIONS
    with pytest.raises(DetectorError, match="1 to 16384 regions"):
        grid("calo", 1, MAX_REGIONS + 1)


def test_the_evidence_that_calls_is_known_at_once_for_very_many_places():
    places = many().places
    page_at = MonitorSettings().allowance.page_at(places)
    assert np.isclose((30 * 86_400 / page_at).sum(), 1.0)
