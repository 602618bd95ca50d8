"""The exported series: born at zero, counted in batches, clean for promtool, bounded in number."""

import subprocess
import time
import timeit
from dataclasses import replace

import numpy as np
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from standings import (
    CARD,
    DETECTOR,
    EXPECTED_RATE,
    SECOND,
    alarm,
    count,
    expositions,
    latents,
    scored,
    standing,
    with_quality,
)

from models.scoring.scales import LEVELS, P_EDGES
from monitor.detector.tree import Level, grid
from monitor.display.latents import LatentMoments, ReferenceMoments
from monitor.display.metrics.exposition import Exposition
from monitor.display.metrics.judge import JudgeMetrics, JudgeRole
from monitor.display.metrics.showers import EXEMPLAR_ROOM, SKIPPED
from monitor.display.metrics.spectra import MAX_ALARMS
from monitor.display.metrics.worker import WorkerMetrics
from monitor.display.standing import Acknowledged, RegionNow, Spectrum
from monitor.quality.alarms import CellShare, Severity
from monitor.quality.quality import Quality
from monitor.quality.rejection import Rejection
from monitor.quality.run_acts import RunNow

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def where(index):
    return {"event": str(10**15 + index), "record": f"calo.showers.v1/3/{index}"}


def values(exposition):
    text, _ = exposition.render(OPEN_METRICS)
    return {
        (s.name, *sorted(s.labels.items())): s.value
        for family in text_string_to_metric_families(text.decode())
        for s in family.samples
    }


def filled(boost=0.0):
    exposition, worker, judge = expositions()
    worker.consumed(40)
    worker.rejected(Rejection.SCHEMA, 2)
    worker.assigned([0, 3])
    worker.lag(3, 7, 0.2)
    worker.model("flux", "5f" * 32, "3", CARD)
    batch = scored(excess=boost)
    region = np.random.default_rng(1).integers(0, 16, batch.n)
    count(worker, batch, region, EXPECTED_RATE, where=where, at=float(SECOND))
    worker.stage("score", 0.02)
    worker.published(SECOND * 10**9, 456_789, 12, SECOND + 1.5)
    judge.counted({"showers_judged": batch.n, "ranges_refused/fenced": 1, "alarms_raised/page": 1})
    judge.state(JudgeRole.ACTIVE)
    judge.standing(with_quality(standing(alarms=(alarm(),)), B2=Quality.BAD))
    return exposition, worker, judge, batch, region


def test_every_label_set_is_born_at_zero():
    exposition, _, judge = expositions()
    judge.standing(standing())
    seen = values(exposition)
    for region in DETECTOR.regions:
        label = ("region", region.name)
        assert seen["calodqm_showers_scored_total", label] == 0
        assert seen["calodqm_anomaly_score_bucket", ("le", "+Inf"), label] == 0
        for level in ("0.1", "0.01", "0.001"):
            assert seen["calodqm_anomalous_showers_total", ("level", level), label] == 0
            assert seen["calodqm_expected_anomalous_showers_total", ("level", level), label] == 0
        for reason in SKIPPED:
            assert seen["calodqm_showers_skipped_total", ("reason", reason), label] == 0
        for severity in Severity:
            place = (("level", "region"), ("place", region.name), ("severity", severity.value))
            assert seen["calodqm_alarms_open", *place] == 0
    assert seen["calodqm_records_rejected_total", ("reason", "geometry")] == 0
    assert seen["calodqm_ranges_refused_total", ("reason", "gap")] == 0
    assert seen["calodqm_alarms_raised_total", ("severity", "page")] == 0


def test_a_batch_is_counted_by_region_as_one_by_one():
    exposition, _, _, batch, region = filled(boost=0.01)
    seen = values(exposition)
    for r in DETECTOR.regions:
        label, mine = ("region", r.name), batch.p_combined[region == r.id]
        assert seen["calodqm_showers_scored_total", label] == len(mine)
        for alpha in LEVELS:
            level = ("level", f"{alpha:g}")
            assert seen["calodqm_anomalous_showers_total", level, label] == (mine <= alpha).sum()
            assert seen["calodqm_expected_anomalous_showers_total", level, label] == pytest.approx(
                len(mine) * alpha
            )
        at_most_2 = seen["calodqm_anomaly_score_bucket", ("le", "2.0"), label]
        assert at_most_2 == (mine >= 0.01).sum()
        assert seen["calodqm_anomaly_score_sum", label] == pytest.approx(-np.log10(mine).sum())


def test_the_expectation_follows_the_conditions_of_the_showers():
    exposition, worker, _ = expositions()
    batch = scored(n=1000)
    cell = np.repeat([0, 1], [900, 100])
    rate = np.array([[0.1, 0.01, 0.001], [0.2, 0.02, 0.002]])
    region = np.zeros(1000, np.int64)
    count(worker, replace(batch, condition_cell=cell), region, rate, where=where, at=0.0)
    key = ("calodqm_expected_anomalous_showers_total", ("level", "0.01"), ("region", "A1"))
    assert values(exposition)[key] == pytest.approx(900 * 0.01 + 100 * 0.02)


def test_showers_without_a_finite_score_are_counted_apart():
    exposition, worker, _ = expositions()
    batch = scored(n=100)
    valid = np.arange(100) >= 30
    p = np.where(valid, batch.p_combined, np.nan)
    region = np.full(100, 5)
    count(
        worker,
        replace(batch, valid=valid, p_combined=p),
        region,
        EXPECTED_RATE,
        where=where,
        at=0.0,
    )
    seen = values(exposition)
    assert seen["calodqm_showers_unscored_total", ("region", "B2")] == 30
    assert seen["calodqm_showers_scored_total", ("region", "B2")] == 70
    assert np.isfinite(seen["calodqm_anomaly_score_sum", ("region", "B2")])


def test_an_unknown_region_is_other_and_makes_no_new_series():
    exposition, worker, _ = expositions()
    before = len(values(exposition))
    count(worker, scored(n=3), np.array([16, 65_535, -1]), EXPECTED_RATE, where=where, at=0.0)
    seen = values(exposition)
    assert seen["calodqm_showers_scored_total", ("region", "other")] == 3
    assert len(seen) == before


def test_an_empty_batch_changes_nothing_but_the_batch_count():
    exposition, worker, _ = expositions()
    empty = scored(n=0)
    count(worker, empty, np.zeros(0, np.int64), EXPECTED_RATE, where=where, at=0.0)
    seen = values(exposition)
    assert seen["calodqm_showers_scored_total", ("region", "A1")] == 0
    assert seen["calodqm_batch_showers_count",] == 1


def exemplars(exposition, name):
    text, _ = exposition.render(OPEN_METRICS)
    return {
        tuple(sorted(s.labels.items())): s.exemplar
        for family in text_string_to_metric_families(text.decode())
        for s in family.samples
        if s.name == name and s.exemplar is not None
    }


def test_the_worst_shower_of_a_batch_is_the_exemplar_of_its_region():
    exposition, _, _, batch, region = filled(boost=0.01)
    found = exemplars(exposition, "calodqm_anomalous_showers_total")
    for r in DETECTOR.regions:
        worst = np.flatnonzero(region == r.id)[np.argmin(batch.p_combined[region == r.id])]
        exemplar = found[("level", "0.01"), ("region", r.name)]
        assert exemplar.labels == where(int(worst))
        assert exemplar.value == pytest.approx(-np.log10(batch.p_combined[worst]))
        assert float(exemplar.timestamp) == SECOND


def test_a_bucket_has_an_exemplar_that_lies_in_it():
    exposition, *_ = filled(boost=0.01)
    found = exemplars(exposition, "calodqm_anomaly_score_bucket")
    assert len(found) > 40
    for labels, exemplar in found.items():
        assert 2 <= exemplar.value <= float(dict(labels)["le"])


def test_an_exemplar_too_long_for_openmetrics_is_left_out_and_costs_no_count():
    exposition, worker, _ = expositions()
    batch = scored(n=100, excess=0.5)
    count(
        worker, batch, np.zeros(100, np.int64), EXPECTED_RATE,
        where=lambda _: {"event": "1" * EXEMPLAR_ROOM}, at=0.0,
    )  # fmt: skip
    assert not exemplars(exposition, "calodqm_anomaly_score_bucket")
    assert values(exposition)["calodqm_showers_scored_total", ("region", "A1")] == 100


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


def test_a_region_has_exactly_one_quality():
    exposition, *_ = filled()
    seen = values(exposition)
    label = ("region", "B2")
    states = {
        q: seen["calodqm_region_quality", ("calodqm_region_quality", q), label] for q in Quality
    }
    assert states == {"good": 0, "medium": 0, "bad": 1, "null": 0}


def test_lag_of_a_partition_that_moved_away_is_told_no_more():
    exposition, worker, _ = expositions()
    worker.assigned([0, 3])
    worker.lag(3, 70, 0.2)
    worker.assigned([0])
    ours = ("topic", "calo.showers.v1")
    told = {k[1][1] for k in values(exposition) if k[0].endswith("lag_records") and ours in k}
    assert told == {"0"}


@pytest.mark.parametrize("accept", ["", OPEN_METRICS])
def test_promtool_finds_nothing_to_say(accept):
    exposition, *_ = filled(boost=0.01)
    text, content_type = exposition.render(accept)
    assert ("openmetrics" in content_type) == bool(accept)
    if accept:  # promtool 2.42 reads the classic text only; the parser above read this one
        return
    lint = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, timeout=30, check=False
    )
    assert (lint.returncode, lint.stdout, lint.stderr) == (0, b"", b"")


def test_no_series_says_when_it_was_created():
    exposition, *_ = filled()
    assert not [name for name, *_ in values(exposition) if name.endswith("_created")]


def test_the_number_of_series_stays_within_the_budget():
    exposition, *_ = filled(boost=0.01)
    assert len(values(exposition)) < 1_200
    large = Exposition("0.1.0")
    WorkerMetrics(large, grid("large", sectors=16, regions_per_sector=64), topic="t")
    assert len(values(large)) < 2_500


def test_no_label_can_grow_with_the_data():
    exposition, *_ = filled(boost=0.01)
    labels = {label for name, *rest in values(exposition) for label, _ in rest}
    assert not labels & {"event", "run", "lumisection", "offset", "id_event", "producer"}
    named = {name for name, *rest in values(exposition) if "cell" in dict(rest)}
    assert named == {"calodqm_alarm_cell_ratio"}  # at most eight of each of eight alarms


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


def test_the_models_card_is_told_and_forgotten_with_the_model():
    exposition, worker, _ = expositions()
    worker.model("flux", "5f" * 32, "1", CARD)
    seen = values(exposition)
    assert seen["calodqm_model_latent_square", ("sample", "certified")] == 1.0083
    assert (
        seen["calodqm_model_anomalous_ratio", ("level", "0.01"), ("sample", "held_out")] == 0.0145
    )
    worker.model("flux", "6f" * 32, "2")
    assert not [k for k in values(exposition) if k[0].startswith("calodqm_model_latent")]


def test_counting_a_batch_costs_less_than_a_microsecond_a_shower():
    _, worker, _ = expositions()
    batch = scored(excess=1e-3)
    region = np.random.default_rng(1).integers(0, 16, batch.n)
    one = min(
        timeit.repeat(
            lambda: count(worker, batch, region, EXPECTED_RATE, where=where, at=0.0),
            timer=time.process_time,  # what it costs, whoever else computes meanwhile
            number=3,
            repeat=5,
        )
    )
    assert one / 3 / batch.n < 1e-6


def test_a_shower_that_is_not_taken_yet_makes_no_other_look_old():
    exposition, worker, _ = expositions()
    worker.published(SECOND * 10**9, 5, 1, SECOND + 1.0)
    worker.published((SECOND + 7200) * 10**9, 5, 1, SECOND + 2.0)
    assert values(exposition)["calodqm_last_shower_timestamp_seconds",] == SECOND


@pytest.mark.parametrize(
    "accept",
    ["application/openmetrics-text;version=x;q=nan", "text/plain;version=", "x" * 4000, ";;;,,"],
)
def test_a_scraper_that_asks_oddly_is_answered(accept):
    exposition, *_ = expositions()
    body, _ = exposition.render(accept)
    assert b"calodqm_build_info" in body


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


def test_no_series_comes_twice_whatever_the_references_are():
    exposition, _, judge = expositions()
    three = tuple(
        ReferenceMoments(origin, np.zeros(5), np.ones(5), 1.0) for origin in ("anchored", "live")
    )
    judge.standing(standing(latents=replace(latents(), references=three)))
    text, _ = exposition.render(OPEN_METRICS)
    series = [line.rsplit(" ", 1)[0] for line in text.decode().splitlines() if line[0] != "#"]
    assert len(series) == len(set(series))
