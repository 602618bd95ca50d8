"""What the windows of a lumisection come to is kept: exact, in parts that add up, written once."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from memory import MemoryLog
from stage import FIRST, MODELS, PARTITIONS, Stage

from consumers.cli import kept
from consumers.exactly_once import contents
from consumers.exactly_once.contents import Contents
from consumers.judge.sums import LONGEST_S, WAIT_S, SumKey, Sums
from consumers.wire import lumisection_form, topics
from consumers.wire.contents_form import RunEntry


def at_work(n, seed=7):
    stage = Stage(seed)
    stage.start_judge()
    source = stage.start_worker()
    for partition in range(PARTITIONS):
        stage.assign(partition, source, tell_old=False)
    for _ in range(n):
        stage.produce()
        stage.step_worker()
        stage.judge._step()
    return stage


def written(stage):
    return stage.broker.topics[topics.LUMISECTIONS, 0]


def sums(stage, monkeypatch):
    """Return the showers of each lumisection of run 1, by what is kept."""
    listed = Contents("", runs={1: RunEntry(1, 0, 1)})
    monkeypatch.setattr(contents, "read", lambda _: listed)
    found = kept.parts(MemoryLog(stage.broker), 1)
    return {w.key.lumisection: w.n for w in kept.windows(found, FIRST, MODELS[FIRST].form)}


@pytest.mark.slow
def test_the_sum_of_a_lumisection_is_the_sum_of_its_windows_also_of_those_that_came_late(
    monkeypatch,
):
    stage = at_work(120)
    state = stage.judge._state
    at_once = stage.judge._taking
    at_once._sum_up(state.at, all_=True)
    for _ in range(60):
        stage.produce()
        stage.step_worker()
        stage.judge._step()
    stage.finish()
    at_once._sum_up(state.at, all_=True)
    assert len(written(stage)) == 2
    assert sums(stage, monkeypatch) == {1: sum(stage.sent.values())}


@pytest.mark.slow
def test_a_judge_that_begins_again_at_its_snapshot_writes_the_same_parts(monkeypatch):
    stage = at_work(100)
    stage.judge._snapshot()
    for _ in range(50):
        stage.produce()
        stage.step_worker()
        stage.judge._step()
    state = stage.judge._state
    stage.judge._taking._sum_up(state.at, all_=True)
    stage.start_judge()
    for _ in range(60):
        stage.judge._step()
    again = stage.judge._state
    assert again.at == state.at
    stage.judge._taking._sum_up(again.at, all_=True)
    parts = Counter(record.key for record in written(stage))
    assert list(parts.values()) == [2]
    assert sums(stage, monkeypatch)[1] == sum(stage.judge._state.monitor.showers.values())


@pytest.mark.slow
def test_a_lumisection_is_written_when_it_is_over_and_one_without_end_in_parts():
    stage = at_work(60)
    (window,) = [sum_.window for sum_ in stage.judge._state.sums.pending.values()]
    found = Sums()
    written_ = []
    for second in range(2 * LONGEST_S + 50):
        key = window.key._replace(lumisection=1 + (second > LONGEST_S + 20), second=second)
        found.add([type(window)(**{**_fields(window), "key": key})], "m")
        written_ += [(second, k.lumisection, s.seconds) for k, s in found.due()]
    assert written_[0] == (LONGEST_S, 1, LONGEST_S + 1)
    assert written_[1] == (LONGEST_S + 20 + WAIT_S, 1, 20)
    assert SumKey(1, 2, "m") in found.pending


def _fields(window):
    return {name: getattr(window, name) for name in window.__dataclass_fields__}


@pytest.mark.slow
def test_a_part_comes_back_as_it_was():
    stage = at_work(60)
    state = stage.judge._state
    ((key, sum_),) = state.sums.due(all_=True)
    part = sum_.part(key, 99)
    value = lumisection_form.encode(part, sum_.window, state.primary.model.form)
    told = lumisection_form.header(value)
    assert replace(told, sparse_bytes=0) == part
    back = lumisection_form.window(value, state.primary.model.form)
    assert back.n == sum_.window.n
    for name in _fields(sum_.window):
        assert np.array_equal(getattr(back, name), getattr(sum_.window, name)), name
