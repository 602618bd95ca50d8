"""The exported series: born at zero, counted in batches, clean for promtool, bounded in number."""

import subprocess
from dataclasses import replace

import numpy as np
import pytest
from series import OPEN_METRICS, filled, values
from standings import (
    DETECTOR,
    expositions,
    latents,
    standing,
)

from monitor.detector.tree import grid
from monitor.display.latents import ReferenceMoments
from monitor.display.metrics.exposition import Exposition
from monitor.display.metrics.showers import SKIPPED
from monitor.display.metrics.worker import WorkerMetrics
from monitor.quality.alarms import Severity


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


@pytest.mark.parametrize(
    "accept",
    ["application/openmetrics-text;version=x;q=nan", "text/plain;version=", "x" * 4000, ";;;,,"],
)
def test_a_scraper_that_asks_oddly_is_answered(accept):
    exposition, *_ = expositions()
    body, _ = exposition.render(accept)
    assert b"calodqm_build_info" in body


def test_no_series_comes_twice_whatever_the_references_are():
    exposition, _, judge = expositions()
    three = tuple(
        ReferenceMoments(origin, np.zeros(5), np.ones(5), 1.0) for origin in ("anchored", "live")
    )
    judge.standing(standing(latents=replace(latents(), references=three)))
    text, _ = exposition.render(OPEN_METRICS)
    series = [line.rsplit(" ", 1)[0] for line in text.decode().splitlines() if line[0] != "#"]
    assert len(series) == len(set(series))
