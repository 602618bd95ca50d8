"""What a broker refuses for good ends the process with one line; Apache Kafka alone refuses so."""

import pytest
from apache import Cluster, needs_apache
from services import Services
from waiting import wait_until

from consumers.app import environment
from consumers.kafka.admin import ensure_topics
from consumers.kafka.connection import Connection
from consumers.kafka.source import KafkaSource
from consumers.kafka.survey import survey
from consumers.wire import topics
from consumers.wire.record import Refused

pytestmark = needs_apache


@pytest.fixture(scope="module")
def cluster():
    """One broker as most are set: a session of less than six seconds is refused."""
    with Cluster(overrides={"group.min.session.timeout.ms": "6000"}) as one:
        yield one


@pytest.fixture(scope="module")
def three():
    with Cluster(3, {"min.insync.replicas": "2"}) as brokers:
        yield brokers


def last_words(cluster, folder, **variables):
    """Return the exit code of a service and the line that it ends with."""
    services = Services(cluster.inside, folder)
    services.environment |= {f"CALODQM_{name.upper()}": value for name, value in variables.items()}
    try:
        child = services.start("judge", "judge")
        wait_until(lambda: child.poll() is not None, 60, "its end")
        return child.returncode, services.log("judge").strip().splitlines()[-1]
    finally:
        services.end()


def test_a_replication_that_cannot_be_had_is_one_line_and_the_end(cluster, tmp_path):
    code, line = last_words(cluster, tmp_path, replication="3", session_s="10")
    assert code == 2
    assert "CALODQM_REPLICATION=3" in line
    assert "1 broker" in line
    assert len(line) < 400


def test_a_session_shorter_than_the_brokers_least_is_one_line_and_the_end(cluster, tmp_path):
    code, line = last_words(cluster, tmp_path, session_s="3", replication="1")
    assert code == 2
    assert "CALODQM_SESSION_S=3" in line
    assert "group.min.session.timeout.ms" in line
    assert "6 to 1800 s" in line


def test_more_partitions_than_a_policy_allows_is_one_line(cluster):
    connection = Connection(cluster.inside)
    with pytest.raises(Refused, match=r"topic calo\.other\.v1.*CALODQM_PARTITIONS=0") as refusal:
        ensure_topics(connection, partitions=0, replication=1, showers="calo.other.v1")
    assert "\n" not in str(refusal.value)


def test_without_a_word_topics_are_kept_as_often_as_the_cluster_can_up_to_three(three, caplog):
    caplog.set_level("INFO")
    connection = Connection(three.inside)
    ensure_topics(connection, partitions=2, replication=None)
    asked = [topics.WINDOWS, topics.SHOWERS]
    # Of three brokers the one that is asked may hear of a new topic after the one that made it.
    seen = wait_until(lambda: len(found := survey(connection, asked, []).topics) == 2 and found)
    assert {facts.copies for facts in seen.values()} == {3}
    assert "3 copies of each topic: the cluster has 3 brokers" in caplog.text
    assert seen[topics.WINDOWS].configs["min.insync.replicas"] == "2"


def test_one_broker_gives_one_copy(cluster, caplog):
    caplog.set_level("INFO")
    # A topic that no test before has made: where all are there, nothing is said.
    ensure_topics(Connection(cluster.inside), partitions=2, showers="calo.one-copy.v1")
    assert "1 copy of each topic: the cluster has 1 broker" in caplog.text


def test_a_member_that_the_group_does_not_take_is_told_the_limits(cluster):
    source = KafkaSource(Connection(cluster.inside), topics.WINDOWS, "short", session_s=3)
    try:
        with pytest.raises(Refused, match="CALODQM_SESSION_S=3"):
            poll_long(source)
    finally:
        source.close()


def poll_long(source):
    for _ in range(50):
        source.poll(0.2)


def test_brokers_know_each_client_by_part_and_name(cluster):
    ensure_topics(Connection(cluster.inside), partitions=2, replication=1)
    given = environment.load({"bootstrap": cluster.inside, "name": "w1", "rack": "hall-3"}, {})
    source = KafkaSource(given.connection("score"), topics.SHOWERS, "named", session_s=10)
    try:
        wait_until(lambda: source.poll(0.2) or source.changes()[0], 60, "an assignment")
        (member,) = cluster.members("named")
    finally:
        source.close()
    assert member["client_id"] == "calodqm/score/w1"
