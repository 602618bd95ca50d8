"""Replay: the past is found by its time, and scored again by another model where it has to be."""

import numpy as np
import pytest
from memory import MemoryLog, PlainScorer
from stage import FIRST, MODELS, PARTITIONS, SECOND, Stage

from consumers.cli import replay
from consumers.cli.replay import MARGIN_S
from consumers.score.scoring import ScoringModel
from consumers.wire import topics


@pytest.fixture(scope="module")
def stage():
    stage = Stage(0)
    source = stage.start_worker()
    for partition in range(PARTITIONS):
        stage.assign(partition, source, tell_old=False)
    for _ in range(100):
        stage.produce()
        stage.workers[-1][0]._step()
    for _ in range(10):
        stage.workers[-1][0]._step()
    return stage


@pytest.fixture
def log(stage):
    return MemoryLog(stage.broker)


def within(stage, begin, end):
    return sum(n for (*_, second), n in stage.sent.items() if begin <= second < end)


def bounds(stage):
    seconds = [second for *_, second in stage.sent]
    return min(seconds) + 3, max(seconds) - 3


@pytest.mark.slow
def test_the_windows_of_a_range_come_back(stage, log):
    begin, end = bounds(stage)
    found = replay.find(log, FIRST, MODELS[FIRST].form, begin, end)
    windows = replay.recorded(found, begin, end)
    assert sum(window.n for window in windows) == within(stage, begin, end) > 0


class ThreeScorer(PlainScorer):
    hash = "c" * 64
    shape = (1, 2, 4)
    score_names = ("first", "second")

    def score(self, showers, absent=None, hidden=None):
        scored = super().score(showers)
        twice = {name: np.tile(getattr(scored, name), 2) for name in ("scores", "p", "bins")}
        return type(scored)(
            **{n: twice.get(n, getattr(scored, n)) for n in scored.__dataclass_fields__}
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", [MODELS[SECOND], ScoringModel(ThreeScorer(), (), np.full((1, 3), 0.1))]
)
def test_a_model_of_another_form_scores_the_showers_again(stage, log, model):
    begin, end = bounds(stage)
    found = replay.find(log, model.hash, model.form, begin, end)
    assert found
    assert {f.model for f in found} == {FIRST}
    windows = replay.rescored(log, found, model, begin, end)
    assert sum(window.n for window in windows) == within(stage, begin, end)
    assert {window.score_bins.max() >= 0 for window in windows} == {True}


def test_only_what_was_appended_about_the_time_is_read(stage, log, monkeypatch):
    read = []
    monkeypatch.setattr(replay, "MARGIN_S", 0)
    records = log.broker.topics[topics.WINDOWS, 0]
    middle = records[len(records) // 2].timestamp_ms
    monkeypatch.setattr(
        MemoryLog, "read_all", lambda _, topic, begin=None: read.append((topic, begin)) or []
    )
    replay.find(log, FIRST, MODELS[FIRST].form, -(-middle // 1000), middle // 1000 + 5)
    ((topic, since),) = read
    assert topic == topics.WINDOWS
    assert all(r.timestamp_ms < -(-middle // 1000) * 1000 for r in records[:since])
    assert MARGIN_S == 3600


def test_a_range_whose_open_has_expired_is_found(stage, log):
    begin, end = bounds(stage)
    stage.broker.expire(topics.WINDOWS, 0, 20)
    found = replay.find(log, FIRST, MODELS[FIRST].form, begin, end)
    stage.broker.expire(topics.WINDOWS, 0, 0)
    assert found


@pytest.mark.slow
def test_showers_of_a_topic_that_was_made_again_are_not_taken_for_those_of_before(log, caplog):
    begin, end = 0, 2**60
    found = replay.find(log, FIRST, MODELS[FIRST].form, begin, end)
    log.broker.ids[topics.SHOWERS] = "2"
    try:
        assert replay.rescored(log, found, MODELS[SECOND], begin, end) == []
    finally:
        log.broker.ids.clear()
    assert "made again since" in caplog.text
