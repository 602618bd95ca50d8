"""What happens to topics while the service is away or at work: all is counted once, or said to be lost."""

import time
from dataclasses import replace

import pytest
from memory import MemoryLog, MemorySource
from prometheus_client import generate_latest
from stage import DETECTOR, PARTITIONS, Following, Stage
from standings import alarm

from consumers.exactly_once import quality_log
from consumers.exactly_once.resuming import Known, Place, find
from consumers.exactly_once.snapshots import NOTHING, Snapshots
from consumers.score.settings import WorkerSettings
from consumers.score.worker import Worker
from consumers.wire import ranges, topics
from consumers.wire.ranges import Open
from consumers.wire.record import digest
from consumers.wire.user_error import UserError


def work(stage, n, worker=None):
    """Let something come, be scored, and be judged, n times."""
    for _ in range(n):
        stage.produce()
        (worker or stage.workers[-1][0])._step()
        for _ in range(3):
            stage.judge._step()


def staffed(n=100, told=None, **ids):
    """Return a stage with a judge and a worker that has every partition, at work."""
    stage = Stage(0)
    stage.broker.ids |= ids
    stage.start_judge()
    hire(stage, **(told or {}))
    work(stage, n)
    return stage


def hire(stage, **told):
    """Start a worker in place of those before, and give it every partition."""
    stage.workers.clear()
    source = stage.start_worker(**told)
    for partition in range(PARTITIONS):
        stage.assign(partition, source, tell_old=False)


def judged(stage):
    return stage.judge._state.totals["showers"]


def sent(stage):
    return sum(stage.sent.values())


def shown(stage, name):
    lines = generate_latest(stage.registry).decode().splitlines()
    found = [line.rsplit(" ", 1) for line in lines if line.startswith(name)]
    return {series: float(value) for series, value in found}


# The places themselves


def log_of(*epochs, first=0, id_=""):
    """Return a log whose records were written under these epochs."""
    stage = Stage(0)
    for i, epoch in enumerate(epochs):
        stage.broker.epoch = epoch
        stage.broker.append("t", f"{i}/{epoch}".encode(), "k", 0)
    stage.broker.expire("t", 0, first)
    stage.broker.ids["t"] = id_
    return MemoryLog(stage.broker)


def noted(log, end, id_="1"):
    record = log.read("t", end - 1, end)[0]
    return Known(end, id_, record.epoch, digest(record))


def test_a_place_that_still_follows_its_record_is_kept():
    log = log_of(0, 0, 1, 1, 1, id_="1")
    assert find(noted(log, 4), "1", log, "t") == Place(4, 4)


def test_what_expired_before_it_was_read_is_told():
    log = log_of(0, 0, 0, 0, first=3, id_="1")
    place = find(Known(1, "1", 0, "x"), "1", log, "t")
    assert (place.begin, place.expired, place.cut) == (3, 2, 0)


@pytest.mark.parametrize("then", [(0, 0), (0, 0, 2), (0, 0, 2, 2, 2, 3, 3)])
def test_a_log_that_was_cut_off_is_gone_on_with_where_it_parted(then):
    known = noted(log_of(0, 0, 1, 1, 1, id_="1"), 5)
    place = find(known, "1", log_of(*then, id_="1"), "t")
    assert (place.begin, place.expired, place.cut) == (2, 0, 3)


def test_a_topic_of_another_id_is_read_from_its_start():
    known = noted(log_of(0, 0, 0, id_="1"), 2)
    place = find(known, "2", log_of(3, 3, 3, 3, id_="2"), "t")
    assert place == Place(0, 2, again=True)
    assert place.expired == place.cut == 0


def test_a_topic_out_of_a_backup_is_known_by_its_record():
    log = log_of(0, 0, 0, 0, id_="2")
    assert find(noted(log, 3), "2", log, "t") == Place(3, 3)


def test_without_ids_another_record_in_the_same_place_is_another_log():
    known = noted(log_of(0, 0, 0), 2, "")
    other = log_of(0)
    other.broker.now_ms += 1
    for _ in range(4):
        other.broker.append("t", b"other", "k", 0)
    assert find(known, "", other, "t") == Place(0, 2, again=True)


# The showers topic


@pytest.mark.slow
@pytest.mark.parametrize("id_", ["", "2"])
def test_a_showers_topic_that_is_made_again_is_read_from_its_start(id_):
    stage = staffed(**{topics.SHOWERS: id_ and "1"})
    before = judged(stage)
    stage.broker.make_again(topics.SHOWERS, id_)
    work(stage, 60)
    assert stage.finish().showers == stage.sent
    assert judged(stage) > before


@pytest.mark.slow
def test_another_showers_topic_is_read_from_its_start():
    stage = staffed(200)
    for partition in range(PARTITIONS):
        for record in stage.broker.topics[topics.SHOWERS, partition][:20]:
            stage.broker.append("calo.other.v1", record.value, "k", partition)
    source = MemorySource(stage.broker, "calo.other.v1")
    source.give(*range(PARTITIONS))
    settings = WorkerSettings("other", topic="calo.other.v1", emit_s=0.0)
    clients = stage.broker.clients(source)
    worker = Worker(Following(stage), DETECTOR, clients, settings, stage.worker_metrics)
    before = judged(stage)
    for _ in range(40):
        worker._step()
        stage.judge._step()
    again = sum(
        entry.showers
        for record in stage.broker.topics[topics.WINDOWS, 0]
        if getattr(entry := ranges.header(record.value), "topic", "") == "calo.other.v1"
        and not isinstance(entry, Open)
    )
    assert judged(stage) - before == again > 0


@pytest.mark.slow
def test_showers_that_expire_unread_are_lost_and_not_covered(caplog):
    stage = staffed()
    before = judged(stage)
    for _ in range(90):
        stage.produce()
    expired = 0
    for partition in range(PARTITIONS):
        end = len(stage.broker.topics[topics.SHOWERS, partition])
        expired += end - 2 - stage.judge._state.fence.ends[stage_stream(stage, partition)]
        stage.broker.expire(topics.SHOWERS, partition, end - 2)
    hire(stage)
    work(stage, 30)
    assert stage.judge._state.tally["records_lost/expired"] == expired > 30
    assert "records expired unread" in caplog.text
    stage.judge._count()
    assert sum(shown(stage, "calodqm_records_lost_total").values()) == expired
    assert before < judged(stage) < sent(stage)
    loss = stage.judge._state.losses[0]
    assert loss.why == "expired"
    assert stage.start_ns <= loss.since_ns <= loss.until_ns


def stage_stream(stage, partition):
    return next(s for s in stage.judge._state.fence.ends if s.partition == partition)


@pytest.mark.slow
def test_showers_that_expire_before_a_worker_that_is_behind_are_lost_too(caplog):
    stage = staffed()
    for _ in range(30):
        stage.produce()
    for partition in range(PARTITIONS):
        end = len(stage.broker.topics[topics.SHOWERS, partition])
        stage.broker.expire(topics.SHOWERS, partition, end - 1)
    work(stage, 30)
    assert stage.judge._state.tally["records_lost/expired"] > 0
    assert "records expired unread" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("restarted", [False, True])
def test_a_showers_topic_that_becomes_shorter_is_gone_on_with_where_it_parted(restarted, caplog):
    stage = staffed(**{topics.SHOWERS: "1"})
    for partition in range(PARTITIONS):
        end = len(stage.broker.topics[topics.SHOWERS, partition])
        stage.broker.cut(topics.SHOWERS, partition, end - 5)
    before = judged(stage)
    new = sent(stage)
    if restarted:
        for _ in range(40):  # the same offsets come again, and further ones
            stage.produce()
        hire(stage)
    work(stage, 40)
    for _ in range(20):
        stage.workers[-1][0]._step()
        stage.judge._step()
    assert judged(stage) - before == sent(stage) - new
    assert stage.judge._state.tally["records_lost/cut"] == 5 * PARTITIONS
    assert "became shorter" in caplog.text


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
