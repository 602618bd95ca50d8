"""A judge without a snapshot, or with an old one, judges live at once, and catches up beside."""

from collections import Counter

import pytest
from memory import CountingMonitor
from prometheus_client import generate_latest
from stage import PARTITIONS, Stage
from standings import alarm, standing

from consumers.exactly_once import quality_log, snapshots
from consumers.exactly_once.fence import Fence
from consumers.exactly_once.snapshots import NOTHING, Snapshots, read_back
from consumers.judge.deputy import mask
from consumers.wire import topics
from consumers.wire.ranges import Stream
from monitor.quality.acknowledgements import Masked

LIVE = {"behind": 20, "live_s": 0.04}


def at_work(n, seed=5):
    """Return a stage with n turns of a producer, a worker and a judge behind it."""
    stage = Stage(seed)
    stage.start_judge()
    source = stage.start_worker()
    for partition in range(PARTITIONS):
        stage.assign(partition, source, tell_old=False)
    go_on(stage, n)
    return stage


def go_on(stage, n):
    """Let n data-seconds come, and then the judge catch up, as slow as the machine may be."""
    for _ in range(n):
        stage.produce()
        stage.step_worker()
        stage.judge._step()
    for _ in range(1000):
        if stage.judge._deputy is None:
            return
        stage.judge._step()


def sent(stage):
    return sum(stage.sent.values())


def windows_end(stage):
    return len(stage.broker.topics[topics.WINDOWS, 0])


def live_at_once(stage):
    """Let the judge step until it is where the log ends; return how many steps that took."""
    for n in range(1, 100):
        stage.judge._step()
        if stage.judge._state.at == windows_end(stage):
            return n
    raise AssertionError(stage.judge._state.at)


def lose_state(stage):
    stage.broker.make_again(topics.STATE)


def damage_state(stage):
    log = stage.broker.topics[topics.STATE, 0]
    for i, record in enumerate(log):
        if record.key.startswith(b"chunk"):
            log[i] = type(record)(
                record.topic, 0, i, record.timestamp_ms, record.key, b"damaged", record.epoch
            )


def leave_it(stage):
    """Let the judge have been away for long."""


@pytest.mark.slow
@pytest.mark.parametrize("what", [lose_state, damage_state, leave_it])
def test_a_judge_is_live_at_once_and_comes_to_the_same_as_if_nothing_had_happened(
    what, monkeypatch
):
    stage = at_work(40)
    stage.judge._snapshot()
    for _ in range(160):  # nobody judges
        stage.produce()
        stage.step_worker()
    what(stage)
    stage.start_judge(**LIVE)
    monkeypatch.setattr(stage.judge, "_catch_up", lambda _: None)
    stage.judge._step()
    behind = stage.judge._deputy.owed
    assert behind > 40
    assert live_at_once(stage) < 30
    assert stage.judge._whole.totals["showers"] < sent(stage)
    monkeypatch.undo()
    go_on(stage, 50)
    assert stage.judge._deputy is None
    stage.finish()
    judge = stage.judge._state
    assert judge.totals["showers"] == sent(stage)
    assert judge.monitor.showers == stage.sent
    assert judge.monitor.order == sorted(judge.monitor.order)


@pytest.mark.slow
def test_a_page_of_before_goes_on_while_a_deputy_judges(monkeypatch):
    stage = at_work(40)
    first = min(stage.judge._state.monitor.showers)

    def told(monitor):  # a page since the first second, which is in the snapshot
        return standing(alarms=(alarm(),) if first in monitor.showers else (), latents=None)

    stage.judge._snapshot()
    for _ in range(160):  # nobody judges
        stage.produce()
        stage.step_worker()
    monkeypatch.setattr(CountingMonitor, "standing", told)
    stage.start_judge(**LIVE, show_s=-1.0)
    monkeypatch.setattr(stage.judge, "_catch_up", lambda _: None)
    assert open_pages(stage) is None
    live_at_once(stage)
    stage.judge._step()
    assert stage.judge._deputy is not None
    assert open_pages(stage) == 1
    monkeypatch.undo()
    monkeypatch.setattr(CountingMonitor, "standing", told)
    go_on(stage, 50)
    assert stage.judge._deputy is None
    assert open_pages(stage) == 1


def open_pages(stage):
    """Return how many pages the metrics tell of; None if they tell of no alarms at all."""
    told = [
        float(line.rsplit(" ", 1)[1])
        for line in generate_latest(stage.registry).decode().splitlines()
        if line.startswith("calodqm_alarms_open{") and 'severity="page"' in line
    ]
    return sum(told) if told else None


@pytest.mark.slow
def test_a_judge_that_dies_while_it_catches_up_goes_on_where_it_was():
    stage = at_work(200)
    lose_state(stage)
    for _ in range(3):
        stage.start_judge(**LIVE)
        stage.judge._catch_up = lambda _: None
        stage.judge._step()
        deputy = stage.judge._deputy
        for _ in range(20):
            deputy.past.take(
                next(iter(deputy.log.read(topics.WINDOWS, deputy.past.state.at, 10**9)))
            )
        stage.judge._snapshot()
        assert Snapshots(deputy.log).newest().at == deputy.past.state.at
    stage.start_judge(**LIVE)
    go_on(stage, 50)
    stage.finish()
    assert stage.judge._state.totals["showers"] == sent(stage)
    said = quality_log.read(stage.broker.topics[topics.QUALITY, 0])
    counts = Counter(quality_log.identity(record) for record in said)
    assert not [key for key, n in counts.items() if n > 1]


@pytest.mark.slow
def test_workers_open_their_partitions_while_the_judge_catches_up_and_nothing_counts_twice():
    stage = at_work(200)
    lose_state(stage)
    stage.start_judge(**LIVE)
    stage.judge._step()
    stage.judge._snapshot()
    source = stage.start_worker()
    for partition in range(PARTITIONS):
        stage.assign(partition, source, tell_old=True)
    go_on(stage, 60)
    stage.finish()
    assert stage.judge._state.totals["showers"] == sent(stage)


@pytest.mark.slow
def test_with_little_to_read_there_is_no_deputy():
    stage = at_work(30)
    lose_state(stage)
    stage.start_judge(behind=2000)
    stage.judge._step()
    assert stage.judge._deputy is None


def test_a_deputy_masks_what_was_masked():
    stage = at_work(5)
    heard = []
    stage.judge._state.monitor.acknowledge = lambda act: heard.append(act) or ()
    mask(stage.judge._state, Masked((1, 99), ((2, (3,)),)))
    assert [(m.region, m.cells) for m in heard[0].masks] == [(1, ()), (2, (3,))]


@pytest.mark.slow
@pytest.mark.parametrize("look", [2, 4, 16, 10**9])
def test_the_last_word_on_every_stream_is_found_from_the_end(look, monkeypatch):
    stage = at_work(150)
    monkeypatch.setattr(snapshots, "LOOK_FIRST", look)
    log = stage.judge._log
    end = windows_end(stage)
    streams = [Stream(topics.SHOWERS, "", p) for p in range(PARTITIONS)]
    whole = read_back(log, lambda: NOTHING, end, [Stream("never.seen", "", 0)])
    found = read_back(log, lambda: NOTHING, end, streams)
    assert isinstance(found, Fence)
    for stream in streams:
        assert found.ends[stream] == whole.ends[stream]
        assert found.seqs[stream] == whole.seqs[stream]
        assert found.tails[stream] == whole.tails[stream]
    assert (found.since > 0) == (look < end)
