"""What happens to the showers topic while the service is away or at work: counted once, or said to be lost."""

import pytest
from memory import MemorySource
from staffed import hire, judged, sent, shown, staffed, work
from stage import DETECTOR, PARTITIONS, Following

from consumers.score.settings import WorkerSettings
from consumers.score.worker import Worker
from consumers.wire import ranges, topics
from consumers.wire.ranges import Open

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
