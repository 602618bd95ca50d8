"""What a worker counts in series: by region, in batches, with exemplars."""

import time
import timeit
from dataclasses import replace

import numpy as np
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from series import OPEN_METRICS, filled, values, where
from standings import (
    CARD,
    DETECTOR,
    EXPECTED_RATE,
    SECOND,
    count,
    expositions,
    scored,
)

from models.scoring.scales import LEVELS
from monitor.display.metrics.showers import EXEMPLAR_ROOM


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


def test_showers_that_the_model_knows_nothing_of_are_counted_apart():
    exposition, worker, _ = expositions()
    unknown = np.arange(100) < 20
    batch = replace(scored(n=100), valid=~unknown, unknown=unknown)
    count(worker, batch, np.full(100, 5), EXPECTED_RATE, where=where, at=0.0)
    seen = values(exposition)
    assert seen["calodqm_showers_unknown_total", ("region", "B2")] == 20
    assert seen["calodqm_showers_unscored_total", ("region", "B2")] == 0


def test_what_is_merged_is_every_table():
    _, worker, _ = expositions()
    counts, total = worker.blank(), worker.blank()
    tables = {name: t for name, t in vars(counts).items() if isinstance(t, np.ndarray)}
    del tables["_row_of"]
    for table in tables.values():
        table.fill(1)
    total.merge(counts)
    assert [name for name in tables if not (getattr(total, name) == 1).all()] == []


def test_some_rows_of_a_batch_are_counted_as_if_they_had_come_alone():
    _, worker, _ = expositions()
    batch, rows = scored(n=400, excess=0.02), np.arange(0, 400, 3)
    region, places = np.arange(400) % 6, rows.tolist()
    some, alone = worker.blank(), worker.blank()
    some.add(batch, region, EXPECTED_RATE, where, 0.0, rows)
    alone.add(batch.rows(rows), region[rows], EXPECTED_RATE, lambda i: where(places[i]), 0.0)
    assert some.scored.sum() == len(rows)
    assert some.level_exemplars
    for name, table in vars(alone).items():
        assert np.array_equal(getattr(some, name), table), name


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


def test_lag_of_a_partition_that_moved_away_is_told_no_more():
    exposition, worker, _ = expositions()
    worker.assigned([0, 3])
    worker.lag(3, 70, 0.2)
    worker.assigned([0])
    ours = ("topic", "calo.showers.v1")
    told = {k[1][1] for k in values(exposition) if k[0].endswith("lag_records") and ours in k}
    assert told == {"0"}


def test_whether_the_model_in_force_is_compiled_is_told():
    exposition, worker, _ = expositions()
    for is_so in (False, True, False):
        worker.compiled(is_so=is_so)
        assert values(exposition)["calodqm_model_compiled",] == is_so


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
