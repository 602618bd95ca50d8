"""What a real broker says of the end of a partition, and when it said so."""

import os
import signal

import pytest
from waiting import wait_until

from consumers.app.embedded import EmbeddedBroker
from consumers.cli import on_topics
from consumers.kafka import log as log_module
from consumers.kafka.admin import BROKER_TIME, TIME_STAMPS, ensure_topics
from consumers.kafka.connection import Connection
from consumers.kafka.log import KafkaLog
from consumers.kafka.sink import KafkaSink
from consumers.kafka.source import KafkaSource
from consumers.kafka.survey import survey
from consumers.wire import topics

MANY, FIRST = 20, 5
"""Records of a partition, of which so many are taken at once."""


@pytest.mark.timed
def test_a_broker_that_hangs_has_not_answered_and_one_that_has_nothing_new_has():
    with EmbeddedBroker() as broker:
        connection = Connection(broker.bootstrap)
        ensure_topics(connection, partitions=2)
        source = KafkaSource(connection, topics.SHOWERS, "answers", session_s=30.0)

        def ages():
            source.poll(0.2)
            came, _ = source.changes()
            source.start(dict.fromkeys(came))
            return [lag.age_s for lag in source.lag([0, 1]).values()]

        try:
            wait_until(lambda: max(ages()) < 1, 60, "both partitions to be answered for")
            wait_until(
                lambda: max(ages()) < 1 and all(lag.none for lag in source.lag([0, 1]).values()),
                20,
                "no lag",
            )
            os.kill(broker.pid, signal.SIGSTOP)
            try:
                wait_until(lambda: min(ages()) > 3, 30, "the answers to be old")
            finally:
                os.kill(broker.pid, signal.SIGCONT)
            wait_until(lambda: max(ages()) < 1, 60, "answers again")
        finally:
            source.close()


def test_the_brokers_clock_writes_the_times_of_records_on_every_topic_of_ours():
    with EmbeddedBroker() as broker:
        connection = Connection(broker.bootstrap)
        made = ensure_topics(connection, partitions=2)
        assert topics.RUNS in made
        whose = {n: t.configs[TIME_STAMPS] for n, t in survey(connection, made, ()).topics.items()}
        assert whose == dict.fromkeys(made, BROKER_TIME)


def test_where_a_log_ends_is_seen_by_reading_though_the_broker_tells_where_its_last_batch_begins(
    monkeypatch,
):
    monkeypatch.setattr(log_module, "SILENCE_S", 1.0)
    with EmbeddedBroker() as broker:
        connection = Connection(broker.bootstrap)
        ensure_topics(connection, partitions=1)
        sink, log = KafkaSink(connection), KafkaLog(connection)
        try:
            for append in [
                sink.append(topics.SHOWERS, b"x", key="A", partition=0) for _ in range(18)
            ]:
                append.offset()
            _, end = log.bounds(topics.SHOWERS)
            assert on_topics._reaches(log, topics.SHOWERS, 0, end, 18)
            assert not on_topics._reaches(log, topics.SHOWERS, 0, end, 19)
        finally:
            log.close()
            sink.close()


def test_what_lies_in_the_last_batch_is_lag_too():
    with EmbeddedBroker() as broker:
        connection = Connection(broker.bootstrap)
        ensure_topics(connection, partitions=1)
        sink = KafkaSink(connection)
        source = KafkaSource(
            connection, topics.SHOWERS, "answers", session_s=30.0, max_records=FIRST
        )
        try:
            under_way = [
                sink.append(topics.SHOWERS, b"x", key="A", partition=0) for _ in range(MANY)
            ]
            assert [append.offset() for append in under_way][-1] == MANY - 1
            source.identity()

            def some():
                source.start(dict.fromkeys(source.changes()[0]))
                return source.poll(0.2)

            assert len(wait_until(some, 60, "the first records")) == FIRST
            wait_until(lambda: source.lag([0])[0].age_s < 1, 20, "an answer")
            assert source.lag([0])[0].records == MANY - FIRST
        finally:
            source.close()
            sink.close()
