"""Sectors of sectors are places: they are watched, named, explain what is in them, and are shown."""

from __future__ import annotations

import numpy as np
import pytest
from judged import play, raised, verdicts
from streams import GEOMETRY, Stream, expectation

from monitor.display.standing import state
from monitor.judging.monitor import Monitor
from monitor.judging.settings import MonitorSettings
from monitor.quality.alarms import Alarm, Kind, Severity, State
from monitor.quality.quality import Quality

RESPONSE = GEOMETRY.n_cells
FAULTS = {
    "silent": {"silent": set(range(8, 16))},
    "gain": {"shift": {(r, RESPONSE): 0.3 for r in range(8, 16)}},
    "strange": {"strange": dict.fromkeys(range(8, 16), 0.05)},
}


def deep(stream: Stream) -> Monitor:
    rng = np.random.default_rng(99)
    return Monitor(stream.deep, GEOMETRY, expectation(50_000, rng), MonitorSettings())


def test_places_are_those_of_the_tree():
    stream = Stream(regions=24)
    assert deep(stream).places.names[:11] == (
        "calo", "most", "AB", "A", "B", "CD", "C", "D", "EF", "E", "F",
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_what_strikes_an_outer_sector_is_one_page_that_names_it(fault):
    stream = Stream(rate=1600, regions=24)
    judge = deep(stream)
    assert raised(play(judge, stream, 60)) == []
    for name, value in FAULTS[fault].items():
        setattr(stream, name, value)
    said = play(judge, stream, 100)
    told = raised(said)
    assert [(a.place, a.level.value) for a in told] == [("CD", "sector")]
    assert [(a.place, a.severity) for a in judge.open_alarms()] == [("CD", Severity.PAGE)]
    assert {share.name[0] for share in told[0].regions} == {"C", "D"}
    assert "Sector CD" in told[0].summary
    assert judge.standing().budget.pages == 1
    bad = {v.region for v in verdicts(said) if v.quality is Quality.BAD}
    assert bad == set(range(8, 16))
    heir = deep(stream)
    heir.restore(judge.state())
    assert heir.open_alarms() == judge.open_alarms()
    stream.silent, stream.shift, stream.strange = set(), {}, {}
    over = [a for a in play(judge, stream, 150) if isinstance(a, Alarm)]
    assert {a.place for a in over if a.state is State.CLEARED} == {"CD"}
    assert judge.open_alarms() == ()


@pytest.mark.slow
def test_a_fault_of_an_outer_sector_hides_no_second_one_in_it():
    stream = Stream(rate=1600, regions=24)
    judge = deep(stream)
    play(judge, stream, 60)
    stream.shift = {(r, RESPONSE): 0.3 for r in range(8, 16)}
    assert [a.place for a in raised(play(judge, stream, 100))] == ["CD"]
    stream.strange = {10: 0.5}
    assert [a.place for a in raised(play(judge, stream, 60))] == ["C3"]
    assert {a.place for a in judge.open_alarms()} == {"CD", "C3"}


@pytest.mark.slow
def test_a_sector_in_others_that_trips_is_named_itself():
    stream = Stream(rate=800, regions=24)
    judge = deep(stream)
    play(judge, stream, 60)
    stream.silent = {4, 5, 6, 7}
    told = raised(play(judge, stream, 100))
    assert [(a.place, a.kind) for a in told] == [("B", Kind.SILENT)]


def test_the_page_knows_what_lies_in_what():
    stream = Stream(regions=24)
    judge = deep(stream)
    judge.observe(stream.next())
    shown = state(judge.standing())
    assert ("most", "CD", "D") in shown["within"] or ["most", "CD", "D"] in shown["within"]
    assert {row["sector"] for row in shown["board"]} == set("ABCDEF")
