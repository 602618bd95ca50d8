"""What a broker may do to topics, on Apache Kafka: it needs KAFKA_HOME."""

import math
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from on_kafka import EACH, delete, expire, judged, make, payload, produce, serving
from waiting import wait_until

from consumers.app.embedded import EmbeddedBroker
from consumers.kafka.connection import Connection
from consumers.kafka.source import KafkaSource
from consumers.wire import topics

pytestmark = pytest.mark.skipif(
    not os.environ.get("KAFKA_HOME"), reason="only Apache Kafka does this: set KAFKA_HOME"
)


@pytest.fixture(scope="module")
def broker():
    with EmbeddedBroker() as running:
        yield running


@pytest.fixture
def connection(broker):
    """A connection to a broker with topics that nothing lies on."""
    connection = Connection(broker.bootstrap)
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    there = [name for name in admin.list_topics() if name.startswith("calo.")]
    for name in there:
        delete(admin, name)
    admin.close()
    make(connection)
    return connection


def test_what_a_transaction_took_back_is_not_judged(connection):
    with serving(connection) as service:
        producer = KafkaProducer(
            bootstrap_servers=connection.bootstrap, transactional_id="daq", acks="all"
        )
        producer.init_transactions()
        committed = 0
        for i in range(6):
            producer.begin_transaction()
            for partition in range(2):
                producer.send(topics.SHOWERS, payload(i), b"k", partition=partition)
            producer.flush()
            if i % 3 == 1:
                producer.abort_transaction()
            else:
                producer.commit_transaction()
                committed += 2 * EACH
        producer.close()
        judged(service, committed)
        last = produce(connection, 3)
        judged(service, committed + last)
        wait_until(
            lambda: all(s.caught_up for s in service.worker._stretches.values()), 20, "no lag"
        )


def test_a_showers_topic_made_again_is_read_from_its_start(connection):
    with serving(connection) as service:
        first = produce(connection, 20)
        judged(service, first)
    admin = KafkaAdminClient(bootstrap_servers=connection.bootstrap)
    delete(admin, topics.SHOWERS)
    admin.close()
    make(connection)
    second = produce(connection, 10)
    with serving(connection) as service:
        judged(service, first + second)


def test_a_showers_topic_made_again_under_a_worker_is_read_from_its_start(connection):
    with serving(connection) as service:
        first = produce(connection, 20)
        judged(service, first)
        admin = KafkaAdminClient(bootstrap_servers=connection.bootstrap)
        delete(admin, topics.SHOWERS)
        admin.close()
        make(connection)
        second = produce(connection, 10)
        judged(service, first + second)


def test_showers_that_expired_unread_are_counted_as_lost(connection, caplog):
    with serving(connection) as service:
        first = produce(connection, 20)
        judged(service, first)
    produce(connection, 30)
    expire(connection, topics.SHOWERS, {0: 45, 1: 50})
    with serving(connection) as service:
        judged(service, first + 5 * EACH)
        wait_until(lambda: service.tally("records_lost/expired") == 25 + 30, 20, "the loss")
    assert "25 records of calo.showers.v1[0] expired unread, between 20" in caplog.text


def test_a_windows_topic_made_again_under_the_service_costs_nothing(connection):
    with serving(connection) as service:
        first = produce(connection, 20)
        judged(service, first)
        time.sleep(1)  # for a snapshot
    admin = KafkaAdminClient(bootstrap_servers=connection.bootstrap)
    delete(admin, topics.WINDOWS)
    admin.close()
    make(connection)
    for _ in range(2):
        with serving(connection) as service:
            first += produce(connection, 10)
            judged(service, first)


def test_windows_that_expired_cost_a_judge_with_a_snapshot_nothing(connection):
    with serving(connection) as service:
        first = produce(connection, 20)
        judged(service, first)
        end = service.judge._state.at
    expire(connection, topics.WINDOWS, {0: end})
    first += produce(connection, 10)
    with serving(connection) as service:
        judged(service, first)


@pytest.mark.parametrize("lost", [topics.STATE, None])
def test_a_judge_with_much_before_it_is_live_by_a_deputy_and_comes_to_the_same(
    connection, lost, caplog
):
    with serving(connection) as service:
        first = produce(connection, 20)
        judged(service, first)
        time.sleep(3)  # heartbeats
        if lost is None:  # the judge alone is away
            service.judge._writer = None
            service.judge._source.start({})
            service.judge._take_all = lambda _: None
            first += produce(connection, 20)
            time.sleep(3)
    if lost is not None:
        admin = KafkaAdminClient(bootstrap_servers=connection.bootstrap)
        delete(admin, lost)
        admin.close()
        make(connection)
    with serving(connection, behind=3, live_s=0.5) as service:
        first += produce(connection, 10)
        judged(service, first)
        wait_until(lambda: service.judge._deputy is None, 20, "the deputy to leave")
        wait_until(
            lambda: sum(service.judge._whole.monitor.showers.values()) == first, 30, "all seconds"
        )
    assert "judging live from offset" in caplog.text


def test_lag_is_what_lies_on_the_broker_and_unknown_while_it_hangs(broker, connection):
    source = KafkaSource(connection, topics.SHOWERS, "lag", session_s=6)
    try:
        came = set()

        def joined():
            source.poll(0.1)
            came.update(source.changes()[0])
            return came == {0, 1}

        wait_until(joined, 30, "two partitions")
        source.identity()
        source.start({0: 0, 1: 0})
        source._consumer.pause(*source._consumer.assignment())  # fetches stall
        produce(connection, 5)

        def lags():
            source.poll(0.1)
            return source.lag([0, 1])

        wait_until(lambda: [lag.records for lag in lags().values()] == [5, 5], 20, "a lag")
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            wait_until(lambda: all(math.isnan(lag.records) for lag in lags().values()), 20, "NaN")
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        wait_until(lambda: [lag.records for lag in lags().values()] == [5, 5], 30, "a lag again")
    finally:
        source.close()


@pytest.mark.parametrize("name", [topics.SHOWERS, topics.WINDOWS])
def test_a_topic_that_becomes_shorter_is_gone_on_with_where_it_parted(name, caplog):
    with EmbeddedBroker() as broker:
        connection = Connection(broker.bootstrap)
        make(connection)
        log = Path(broker._folder) / "log"
        with serving(connection) as service:
            first = produce(connection, 20)
            judged(service, first)
        broker.stop()
        kept = {
            folder: shutil.copytree(folder, log.parent / f"kept-{folder.name}")
            for folder in log.glob(f"{name}-*")
        }
        broker.start()
        with serving(connection) as service:
            second = produce(connection, 10)
            judged(service, first + second)
        broker.stop()
        for folder, copy in kept.items():  # a disk out of a backup: the second records are gone
            shutil.rmtree(folder)
            shutil.copytree(copy, folder)
        broker.start()
        third = produce(connection, 15)  # on the showers topic they take the same offsets
        with serving(connection) as service:
            judged(service, first + second + third, 60)
            gone = 20 if name == topics.SHOWERS else 0
            wait_until(lambda: service.tally("records_lost/cut") == gone, 20, "what is gone")
    assert f"{name}[0] became shorter" in caplog.text
