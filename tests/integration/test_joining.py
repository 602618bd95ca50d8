"""A member whose topics change gets its share, however short it waits at a time; on Apache Kafka.

The embedded broker lets a member that is alone wait for others.
"""

import pytest
from apache import Cluster, needs_apache
from waiting import wait_until

from consumers.kafka.admin import ensure_topics
from consumers.kafka.connection import Connection
from consumers.kafka.source import KafkaSource

pytestmark = needs_apache


@pytest.fixture(scope="module")
def connection():
    with Cluster() as cluster:
        yield Connection(cluster.bootstrap)


@pytest.mark.parametrize("wait_s", [0.0, 0.25])
def test_a_topic_that_is_made_after_its_readers_came_is_shared_out(wait_s, connection):
    topic = f"calo.late-{wait_s:g}.v1"
    source = KafkaSource(connection, topic, topic, session_s=6)
    came = set()

    def without_a_share():
        source.poll(0.2)
        return source._consumer._coordinator.stable()

    def shared_out():
        source.poll(wait_s)
        came.update(source.changes()[0])
        return came == {0, 1}

    try:
        wait_until(without_a_share, 20, "a member")
        ensure_topics(connection, partitions=2, replication=1, showers=topic)
        wait_until(shared_out, 20, "its share", every=0.001)
    finally:
        source.close()
