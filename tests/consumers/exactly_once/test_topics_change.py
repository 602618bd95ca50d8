"""What happens to topics while the service is away or at work: all is counted once, or said to be lost."""

import time
from dataclasses import replace

import pytest
from memory import MemoryLog
from staffed import hire, judged, sent, shown, staffed, work
from stage import PARTITIONS, Stage
from standings import alarm

from consumers.exactly_once import quality_log
from consumers.exactly_once.snapshots import NOTHING, Snapshots
from consumers.wire import ranges, topics
from consumers.wire.ranges import Open
from consumers.wire.user_error import UserError

# The windows topic


@pytest.mark.slow
def test_a_judge_counts_ranges_whose_opens_have_expired():
    stage = staffed()
    stage.broker.expire(topics.WINDOWS, 0, 20)
    kept = [ranges.header(r.value) for r in stage.broker.topics[topics.WINDOWS, 0][20:]]
    left = sum(entry.showers for entry in kept if not isinstance(entry, Open))
    stage.start_judge()
    for _ in range(60):
        stage.judge._step()
    assert judged(stage) == left > 0
    work(stage, 50)
    assert judged(stage) > left + 50


@pytest.mark.slow
@pytest.mark.parametrize("id_", ["", "2"])
def test_a_windows_topic_that_is_made_again_goes_on_from_the_newest_snapshot(id_):
    stage = staffed(200, **{topics.WINDOWS: id_ and "1"})
    stage.judge._snapshot()
    stage.broker.make_again(topics.WINDOWS, id_)
    for _ in range(2):
        stage.start_judge()
        hire(stage)
        work(stage, 60)
        stage.judge._snapshot()
    assert stage.finish().showers == stage.sent


@pytest.mark.slow
@pytest.mark.parametrize("id_", ["", "2"])
def test_a_windows_topic_that_is_made_again_under_a_judge_at_work_costs_nothing(id_):
    stage = staffed(200, **{topics.WINDOWS: id_ and "1"})
    stage.judge._snapshot()
    stage.broker.make_again(topics.WINDOWS, id_)
    work(stage, 100)
    assert stage.finish().showers == stage.sent


@pytest.mark.slow
@pytest.mark.parametrize("restarted", [False, True])
def test_a_windows_topic_that_becomes_shorter_costs_nothing(restarted, caplog):
    stage = staffed(100, **{topics.WINDOWS: "1"})
    stage.judge._snapshot()
    stage.broker.cut(topics.WINDOWS, 0, len(stage.broker.topics[topics.WINDOWS, 0]) - 9)
    if restarted:
        stage.start_judge()
    work(stage, 60)
    hire(stage)
    work(stage, 30)
    assert stage.finish().showers == stage.sent
    assert "calo.windows.v1[0] became shorter" in caplog.text


# Snapshots


@pytest.mark.slow
def test_an_older_snapshot_is_taken_up_where_the_newest_is_damaged():
    stage = staffed(100)
    stage.judge._snapshot()
    older = stage.judge._manifest
    work(stage, 50)
    stage.judge._snapshot()
    newest = stage.judge._manifest
    state = stage.broker.topics[topics.STATE, 0]
    offset = newest.chunks[0]
    record = state[offset]
    state[offset] = type(record)(
        record.topic, 0, offset, record.timestamp_ms, record.key, record.value[:-1]
    )
    stage.start_judge()
    stage.judge._step()
    assert stage.judge._manifest == older
    assert stage.finish().showers == stage.sent


@pytest.mark.slow
def test_the_snapshot_written_last_is_the_newest_wherever_it_stands():
    stage = staffed(100)
    stage.judge._snapshot()
    stage.broker.make_again(topics.WINDOWS)
    work(stage, 10)
    stage.judge._snapshot()
    snapshots = Snapshots(MemoryLog(stage.broker))
    reached = [manifest.at for manifest in snapshots.found()]
    assert snapshots.newest().at == reached[0] < max(reached)


@pytest.mark.slow
def test_without_the_state_topic_a_judge_comes_to_the_same():
    stage = staffed(60)
    stage.judge._snapshot()
    before = judged(stage)
    stage.broker.make_again(topics.STATE)
    stage.start_judge()
    for _ in range(80):
        stage.judge._step()
    assert judged(stage) == before
    assert stage.finish().showers == stage.sent


# Workers that do not count


@pytest.mark.slow
def test_a_worker_that_another_fenced_off_opens_anew_once_that_one_is_gone(caplog):
    stage = staffed(30, {"patience_s": 0.2})
    ours = stage.workers[-1][0]
    other = stage.start_worker(name="theirs")  # of another group: nobody tells ours
    theirs = stage.workers[-1][0]
    other.give(*range(PARTITIONS))
    work(stage, 20, theirs)
    stage.workers.pop()
    for _ in range(300):
        work(stage, 1, ours)
        if judged(stage) == sent(stage):
            break
    assert "theirs opened it" in caplog.text
    assert sum(shown(stage, "calodqm_partitions_reopened_total").values()) == PARTITIONS
    work(stage, 30, ours)
    assert stage.finish().showers == stage.sent


def test_a_second_service_on_the_windows_topic_is_refused_before_it_disturbs_the_first():
    stage = staffed(5, {"group": "first"})
    stage.broker.now_ms = int(time.time() * 1000)
    ours = stage.workers[-1][0]
    work(stage, 10, ours)
    before = len(stage.broker.topics[topics.WINDOWS, 0])
    source = stage.start_worker(topic="calo.other.v1", group="second")
    source.give(0)
    second = stage.workers[-1][0]
    with pytest.raises(UserError, match=r"w0 of group first says windows of calo\.showers\.v1"):
        second._step()
    assert len(stage.broker.topics[topics.WINDOWS, 0]) == before
    stage.broker.now_ms += 1
    for offset, record in enumerate(stage.broker.topics[topics.WINDOWS, 0]):  # it has stopped
        old = replace(record, timestamp_ms=record.timestamp_ms - 20_000)
        stage.broker.topics[topics.WINDOWS, 0][offset] = old
    source.give(0)
    second._step()


@pytest.mark.slow
def test_a_range_that_cannot_be_read_is_lost_and_no_other():
    stage = staffed(30)
    windows = stage.broker.topics[topics.WINDOWS, 0]
    before = len(windows)
    stage.produce()
    while len(windows) == before:
        stage.workers[-1][0]._step()
    offset = len(windows) - 1
    lost = ranges.header(windows[offset].value)
    windows[offset] = replace(windows[offset], value=b"\0" * 40)
    work(stage, 30)
    stage.finish()
    assert judged(stage) == sent(stage) - lost.showers
    told = stage.judge._state.tally["records_lost/unreadable"]
    assert told == lost.end - lost.begin > 0


# The quality topic


def test_a_quality_topic_that_is_made_again_is_spoken_on():
    stage = Stage(0)
    sink, log = stage.broker.clients(None).sink, MemoryLog(stage.broker)
    first = quality_log.take_office(sink, log, "A", NOTHING)
    for _ in range(5):
        first.publish(alarm(place="A1"), 1)
    first.settle()
    stage.broker.make_again(topics.QUALITY)
    assert first.publish(alarm(place="B1"), 2)
    manifest = replace(NOTHING, quality_at=first.reached, office=first.token)
    second = quality_log.take_office(sink, log, "B", manifest)
    assert second.publish(alarm(place="B2"), 3)
    read = quality_log.read(log.read_all(topics.QUALITY))
    assert [record.place for record in read] == ["B1", "B2"]


def test_an_alarm_that_a_deposed_judge_spoke_of_is_said_by_its_successor():
    stage = Stage(0)
    sink, log = stage.broker.clients(None).sink, MemoryLog(stage.broker)
    first = quality_log.take_office(sink, log, "A", NOTHING)
    second = quality_log.take_office(sink, log, "B", NOTHING)
    said, missed = alarm(place="A1"), alarm(place="B2")
    second.publish(said, 1)
    second.settle()
    manifest = replace(NOTHING, quality_at=second.reached, office=second.token)
    first.publish(missed, 2)  # it wakes up, and does not know yet
    third = quality_log.take_office(sink, log, "C", manifest)
    assert third.publish(missed, 3)
    third.settle()
    read = quality_log.read(log.read_all(topics.QUALITY))
    assert [record.place for record in read] == ["A1", "B2"]
