"""The doctor before real brokers: what it says of rights, copies and a first start."""

import json

import pytest
from apache import Cluster, needs_apache

from consumers.app.embedded import EmbeddedBroker
from consumers.cli.command import main
from consumers.kafka.admin import ensure_topics
from consumers.kafka.connection import Connection
from consumers.wire import topics

USER, PASSWORD = "monitor", "pw-of-monitor"


@pytest.fixture
def ask(capsys):
    """Return what the doctor is not content with, by what it looked at."""

    def call(bootstrap, *more):
        main(["doctor", "--json", "--bootstrap", bootstrap, *more])
        found = json.loads(capsys.readouterr().out)
        return {finding["what"]: finding["text"] for finding in found if not finding["well"]}

    return call


def test_before_the_first_start_it_waits_for_nothing_and_blames_no_clock(ask):
    with EmbeddedBroker() as broker:
        said = ask(broker.bootstrap)
    assert set(said.values()) == {"is not there"}
    assert f"topic {topics.STATE}" in said


def test_names_of_several_brokers_are_shown_in_full(capsys):
    names = ",".join(f"broker-{i}.a-long-name-of-a-site.example:9092" for i in range(3))
    assert main(["doctor", "--bootstrap", names]) == 1
    assert f"broker {names}: " in capsys.readouterr().out


@pytest.fixture(scope="module")
def guarded():
    """A broker with an authorizer; the user may do what the service does."""
    with Cluster(users={USER: PASSWORD}, acls=True) as cluster:
        ensure_topics(Connection(cluster.inside), partitions=2)
        for name in (*topics.RIGHTS["score"], *topics.RIGHTS["judge"]):
            rights = [topics.RIGHTS[role].get(name, frozenset()) for role in ("score", "judge")]
            cluster.allow(USER, name, *(rights[0] | rights[1]), "DESCRIBE_CONFIGS")
        cluster.allow(USER, "calodqm", "READ", kind="GROUP")
        yield cluster


@pytest.fixture
def as_user(monkeypatch):
    for name, value in {
        "SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "SASL_MECHANISM": "SCRAM-SHA-512",
        "SASL_USERNAME": USER,
        "SASL_PASSWORD": PASSWORD,
    }.items():
        monkeypatch.setenv(f"CALODQM_{name}", value)


@needs_apache
def test_a_right_that_is_taken_away_is_seen_without_writing_anything(guarded, ask, as_user):
    assert ask(guarded.bootstrap) == {}
    taken = ((topics.QUALITY, "WRITE"), (topics.REJECTS, "WRITE"), (topics.SHOWERS, "READ"))
    for name, operation in taken:
        guarded.forbid(USER, name, operation)
    said = ask(guarded.bootstrap)
    assert said[f"topic {topics.QUALITY}"] == "no right to write"
    assert f"topic {topics.REJECTS}" in said
    assert f"topic {topics.SHOWERS}" in said
    assert len(said) == 3
    for name, operation in taken:
        guarded.allow(USER, name, operation)


@needs_apache
def test_one_copy_on_three_brokers_is_said_to_be_unsafe(ask):
    with Cluster(3) as cluster:
        ensure_topics(Connection(cluster.inside), partitions=2, replication=1)
        said = ask(cluster.inside)
    assert "1 copy on 3 brokers" in said[f"topic {topics.STATE}"]
