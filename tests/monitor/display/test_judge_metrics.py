"""What a judge tells in series: alarms, qualities of regions, latents and p-values."""

from dataclasses import replace

import numpy as np
import pytest
from series import filled, values
from standings import (
    DETECTOR,
    SECOND,
    alarm,
    expositions,
    latents,
    standing,
    with_quality,
)

from models.scoring.scales import P_EDGES
from monitor.detector.tree import Level, grid
from monitor.display.latents import LatentMoments
from monitor.display.metrics.exposition import Exposition
from monitor.display.metrics.judge import JudgeMetrics
from monitor.display.metrics.labels import region_labels
from monitor.display.metrics.spectra import MAX_ALARMS
from monitor.display.standing import Acknowledged, RegionNow, Spectrum
from monitor.quality.alarms import CellShare, Severity
from monitor.quality.quality import Quality
from monitor.quality.run_acts import RunNow


def test_an_open_alarm_shows_until_it_is_acknowledged_and_then_as_that():
    exposition, _, judge = expositions()
    page = alarm(place="B2")
    place = (("level", "region"), ("place", "B2"), ("severity", "page"))
    judge.standing(standing(alarms=(page,)))
    seen = values(exposition)
    assert seen["calodqm_alarms_open", *place] == 1
    assert seen["calodqm_alarms_acknowledged", *place] == 0
    onset = ("calodqm_alarm_onset_timestamp_seconds", ("kind", "hot"), *place)
    assert seen[onset] == SECOND - 41
    taken = Acknowledged(page.id, "night shift", "known hot cell", None)
    judge.standing(standing(alarms=(page,), acknowledged=(taken,)))
    seen = values(exposition)
    assert seen["calodqm_alarms_open", *place] == 0
    assert seen["calodqm_alarms_acknowledged", *place] == 1
    judge.standing(standing())
    assert onset not in values(exposition)


def test_two_alarms_of_one_place_and_kind_are_one_series_with_the_stronger_odds():
    exposition, _, judge = expositions()
    twins = (alarm(), alarm(id="other", test="latent mean", log10_odds=20.0))
    judge.standing(standing(alarms=twins))
    place = (("level", "region"), ("place", "B2"), ("severity", "page"))
    seen = values(exposition)
    assert seen["calodqm_alarms_open", *place] == 2
    assert seen["calodqm_alarm_log10_odds", ("kind", "hot"), *place] == 20.0


def test_alarms_of_sectors_and_of_the_detector_have_their_series():
    exposition, _, judge = expositions()
    judge.standing(
        standing(alarms=(alarm("B", level=Level.SECTOR), alarm("calo", level=Level.DETECTOR)))
    )
    seen = values(exposition)
    for level, place in (("sector", "B"), ("detector", "calo")):
        key = (("level", level), ("place", place), ("severity", "page"))
        assert seen["calodqm_alarms_open", *key] == 1


def labelled(seen, name, label):
    """Return the values of a series that is 1, by one of its labels."""
    return {
        dict(rest)["region"]: dict(rest).get(label)
        for n, *rest in seen
        if n == name and seen[n, *rest]
    }


def test_a_judge_out_of_office_tells_of_no_alarm_and_no_verdict():
    exposition, _, judge = expositions()
    judge.standing(standing(alarms=(alarm(),)))
    judge.standing(None)
    told = {name for name, *_ in values(exposition)}
    assert not [
        name
        for name in told
        if name.startswith(("calodqm_alarms_open", "calodqm_alarm_", "calodqm_region_q"))
    ]


def test_every_region_says_which_sector_it_lies_in():
    exposition, *_ = filled()
    told = labelled(values(exposition), "calodqm_region_info", "sector")
    assert told == {region.name: region.sector for region in DETECTOR.regions}


def test_of_a_region_that_is_masked_or_not_in_the_run_nothing_is_expected():
    exposition, _, judge = expositions()
    now = standing()
    board = tuple(
        replace(row, masked=row.name == "A1", in_run=row.name != "A2") for row in now.board
    )
    judge.standing(replace(now, board=board))
    assert set(labelled(values(exposition), "calodqm_region_out", "")) == {"A1", "A2"}


@pytest.mark.parametrize("run_now", RunNow)
def test_what_the_data_acquisition_says_of_the_run_is_told(run_now):
    exposition, _, judge = expositions()
    judge.standing(standing(run_now=run_now))
    seen = values(exposition)
    told = {s: seen["calodqm_run_state", ("calodqm_run_state", s)] for s in RunNow}
    assert told == {s: s is run_now for s in RunNow}


def test_a_region_of_very_many_has_its_alarm_and_its_sector_has_the_worst_verdict():
    large = grid("large", sectors=17, regions_per_sector=16)
    exposition = Exposition("0.1.0")
    judge = JudgeMetrics(exposition, large, topic="t")
    last = large.regions[-1]
    rows = tuple(
        RegionNow(
            r.id, r.name, r.sector, Quality.BAD if r is last else Quality.GOOD, "", 9, 0, 0.1, 1
        )
        for r in large.regions
    )
    judge.standing(standing(board=rows, alarms=(alarm(last.name),), latents=None))
    place = (("level", "region"), ("place", last.name), ("severity", "page"))
    seen = values(exposition)
    assert seen["calodqm_alarms_open", *place] == 1
    bad = ("calodqm_region_quality", ("calodqm_region_quality", "bad"))
    assert seen[*bad, ("region", last.sector)] == 1
    assert seen[*bad, ("region", last.name)] == 1
    assert sum(value for name, value in seen.items() if name[:2] == bad) == 2
    assert seen["calodqm_region_out", ("region", last.sector)] == 0
    judge.standing(standing(board=rows, latents=None))
    assert values(exposition)["calodqm_alarms_open", *place] == 0


def test_what_lies_in_a_sector_with_an_alarm_is_said_to_be_explained():
    deep = replace(DETECTOR, outer={"half": ("A", "B"), "most": ("half", "C")})
    exposition = Exposition("0.1.0")
    judge = JudgeMetrics(exposition, deep, topic="t")

    def explained(severity):
        seen = values(exposition)
        return {
            dict(rest)["sector"]
            for name, *rest in seen
            if name == "calodqm_sector_explained"
            and dict(rest)["severity"] == severity
            and seen[name, *rest]
        }

    held = alarm("half", level=Level.SECTOR)
    mild = alarm("most", level=Level.SECTOR, severity=Severity.WARNING, id="mild")
    judge.standing(standing(alarms=(held, mild)))
    assert explained("page") == {"A", "B"}
    assert explained("warning") == {"half", "A", "B", "C"}
    taken = Acknowledged(held.id, "night shift", "known", None)
    judge.standing(standing(alarms=(held,), acknowledged=(taken,)))
    assert explained("page") == {"A", "B"}
    judge.standing(standing(alarms=(alarm("A", level=Level.SECTOR), alarm("B2"))))
    assert explained("page") == explained("warning") == set()


def test_series_of_very_many_regions_are_those_of_the_innermost_sectors_that_are_few_enough():
    wide = grid("wide", sectors=300, regions_per_sector=2)
    names = list(wide.sectors)
    outer = {f"o{i}": tuple(names[10 * i : 10 * i + 10]) for i in range(30)}
    assert set(region_labels(replace(wide, outer=outer))) == set(outer)
    assert set(region_labels(wide)) == {"wide"}
    few = grid("few", sectors=30, regions_per_sector=10)
    assert set(region_labels(replace(few, outer={"all": tuple(few.sectors)}))) == set(few.sectors)


def test_a_region_has_exactly_one_quality():
    exposition, *_ = filled()
    seen = values(exposition)
    label = ("region", "B2")
    states = {
        q: seen["calodqm_region_quality", ("calodqm_region_quality", q), label] for q in Quality
    }
    assert states == {"good": 0, "medium": 0, "bad": 1, "null": 0}


def test_only_the_strongest_alarms_tell_their_cells():
    exposition, _, judge = expositions()
    cells = tuple(CellShare(i, f"middle[0,{i}]", 0.1) for i in range(8))
    many = [alarm(r.name, id=r.name, log10_odds=float(r.id), cells=cells) for r in DETECTOR.regions]
    judge.standing(standing(alarms=tuple(many)))
    told = [dict(rest) for name, *rest in values(exposition) if name == "calodqm_alarm_cell_ratio"]
    assert len(told) == MAX_ALARMS * 8
    assert {labels["place"] for labels in told} == {r.name for r in DETECTOR.regions[-MAX_ALARMS:]}


def test_latents_are_told_by_region_and_group_beside_the_references():
    exposition, _, judge = expositions()
    judge.standing(standing(latents=latents(shift=0.5)))
    seen = values(exposition)
    b2 = seen["calodqm_latent_mean", ("group", "middle"), ("region", "B2")]
    assert b2 == pytest.approx(0.5, abs=0.02)
    expected = ("calodqm_reference_latent_square", ("group", "middle"), ("origin", "certified"))
    assert seen[expected] == 1.01
    assert seen["calodqm_latent_square_overall", ("region", "B2")] > 1.02


def test_latents_of_many_regions_are_told_by_sector_weighted_by_showers():
    large = grid("large", sectors=5, regions_per_sector=64)
    showers = np.tile([3, 1], 160)
    showers[:64] = 0  # a sector without showers says nothing
    mean = np.tile([[1.0], [5.0]], (160, 1))
    now = LatentMoments(("strips",), showers, mean, mean**2, mean[:, 0], ())
    exposition = Exposition("0.1.0")
    judge = JudgeMetrics(exposition, large, topic="t")
    judge.standing(standing(latents=now))
    seen = {k: v for k, v in values(exposition).items() if k[0] == "calodqm_latent_mean"}
    assert set(seen.values()) == {2.0}
    assert {dict(rest)["region"] for _, *rest in seen} == set("BCDE")


def test_a_flat_p_value_has_density_one_beside_its_references():
    exposition, _, judge = expositions()
    counts = np.diff(P_EDGES) * 1e6
    flat = Spectrum("combined", counts, counts * 2, counts)
    live = replace(standing().reference, origin="live")
    judge.standing(standing(spectra=(flat, Spectrum("tail", counts, counts)), reference=live))
    seen = {k: v for k, v in values(exposition).items() if k[0] == "calodqm_p_density"}
    assert set(np.round(list(seen.values()), 9)) == {1.0}
    told = {(dict(rest)["score"], dict(rest)["of"]) for _, *rest in seen}
    assert told == {
        ("combined", "seen"),
        ("combined", "live"),
        ("combined", "certified"),
        ("tail", "seen"),
    }


def many_regions():
    """Return a detector whose regions are too many for a series each, and its standing."""
    large = grid("calo", sectors=32, regions_per_sector=16)
    rows = tuple(
        RegionNow(r.id, r.name, r.sector, Quality.GOOD, "", 100, 1, 1.0, SECOND)
        for r in large.regions
    )
    return large, standing(board=rows, latents=None)


def test_an_open_alarm_is_a_series_however_many_regions_there_are():
    large, now = many_regions()
    exposition = Exposition("0.1.0")
    judge = JudgeMetrics(exposition, large, topic="t")
    judge.standing(replace(now, alarms=(alarm("Z7"),)))
    place = (("level", "region"), ("place", "Z7"), ("severity", "page"))
    assert values(exposition)["calodqm_alarms_open", *place] == 1
    judge.standing(now)
    assert values(exposition)["calodqm_alarms_open", *place] == 0  # over: said, not only gone


def test_of_many_regions_those_that_are_not_well_are_told_and_the_worst_of_each_sector():
    large, now = many_regions()
    exposition = Exposition("0.1.0")
    judge = JudgeMetrics(exposition, large, topic="t")
    judge.standing(with_quality(now, Z7=Quality.BAD, A2=Quality.NULL))
    told = {
        dict(rest)["region"]: dict(rest)["calodqm_region_quality"]
        for (name, *rest), value in values(exposition).items()
        if name == "calodqm_region_quality" and value
    }
    assert {k: v for k, v in told.items() if v != "good"} == {"Z7": "bad", "Z": "bad", "A": "null"}
    assert len(told) == 33
