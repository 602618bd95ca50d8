"""What the doctor says of a cluster: rights, copies, configurations, first start."""

import time
from dataclasses import replace

import pytest
from stage import Stage

from consumers.cli.cluster import Part, clocks, findings
from consumers.kafka.admin import wanted
from consumers.kafka.survey import Survey, TopicFacts
from consumers.wire import topics

PART = Part(topics.SHOWERS, "calodqm", ("score", "judge"))
GOOD = {
    name: TopicFacts(
        partitions=4 if name == topics.SHOWERS else 1,
        copies=3,
        rights=rights | {"DESCRIBE"},
        configs=wanted(name) | {"min.insync.replicas": "2"},
    )
    for name, rights in PART.rights().items()
}
WELL = Survey(3, GOOD, frozenset(), {group: frozenset({"READ"}) for group in PART.groups()})


def bad(seen, part=PART):
    """Return what is not well, as one text."""
    return "\n".join(f"{f.what}: {f.text}; {f.mend}" for f in findings(part, seen) if not f.well)


def with_topic(name, **changes):
    return replace(WELL, topics=GOOD | {name: replace(GOOD[name], **changes)})


def with_config(name, **configs):
    named = {key.replace("_", "."): value for key, value in configs.items()}
    return with_topic(name, configs=dict(GOOD[name].configs) | named)


def test_a_cluster_as_the_design_needs_it_is_well():
    assert not bad(WELL)
    assert "4 partitions, 3 copies" in [f.text for f in findings(PART, WELL)]


@pytest.mark.parametrize(
    ("name", "operation"),
    [(name, operation) for name, rights in PART.rights().items() for operation in sorted(rights)],
)
def test_every_right_that_is_missing_is_named(name, operation):
    said = bad(with_topic(name, rights=GOOD[name].rights - {operation}))
    assert said.startswith(f"topic {name}: no right to {operation.lower()}; kafka-acls --add")
    assert f"--topic {name} --operation {operation.title()}" in said


def test_a_broker_that_cannot_say_what_is_allowed_is_not_blamed():
    assert not bad(with_topic(topics.WINDOWS, rights=None))


def test_a_group_that_may_not_be_joined_is_named():
    said = bad(replace(WELL, groups={"calodqm": frozenset({"DESCRIBE"})}))
    assert said.startswith("group calodqm: no right to read")


def test_a_topic_that_may_not_be_seen_is_not_called_absent():
    hidden = {name: facts for name, facts in GOOD.items() if name != topics.STATE}
    said = bad(replace(WELL, topics=hidden, hidden=frozenset({topics.STATE})))
    assert "no right to describe" in said
    assert "is not there" in bad(replace(WELL, topics=hidden))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (with_topic(topics.STATE, copies=1), "1 copy on 3 brokers: the loss of one may lose it"),
        (with_topic(topics.WINDOWS, partitions=2), "it must have one"),
        (with_config(topics.WINDOWS, min_insync_replicas="3"), "a broker away stops us"),
        (with_config(topics.WINDOWS, min_insync_replicas="1"), "on one broker alone"),
        (with_config(topics.WINDOWS, retention_ms="86400000"), "retention.ms is 86400000"),
        (with_config(topics.QUALITY, retention_ms="604800000"), "not -1"),
        (with_config(topics.QUALITY, retention_bytes="1000000"), "retention.bytes is 1000000"),
        (with_config(topics.STATE, cleanup_policy="delete"), "cleanup.policy is delete"),
        (with_config(topics.WINDOWS, cleanup_policy="compact"), "cleanup.policy is compact"),
        (with_config(topics.WINDOWS, max_message_bytes="1048588"), "max.message.bytes is 1048588"),
        (with_config(topics.SHOWERS, message_timestamp_type="CreateTime"), "not LogAppendTime"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_configuration_that_loses_something_is_told_with_its_mend(changed, said):
    found = bad(changed)
    assert said in found
    assert "; kafka-" in found or "create it anew" in found


def test_more_than_the_design_needs_is_well():
    assert not bad(with_config(topics.WINDOWS, retention_ms="-1"))
    assert not bad(with_config(topics.WINDOWS, max_message_bytes=str(64 << 20)))


def test_one_broker_with_one_copy_is_well():
    one = {name: replace(facts, copies=1, configs=wanted(name)) for name, facts in GOOD.items()}
    assert not bad(replace(WELL, brokers=1, topics=one))


def test_a_part_is_asked_for_its_own_rights_only():
    workers = Part(topics.SHOWERS, "calodqm", ("score",))
    assert topics.QUALITY not in workers.rights()
    assert workers.groups() == ["calodqm"]
    assert "WRITE" in Part("x", "g", ("judge", "page")).rights()[topics.WINDOWS]


def test_what_to_type_has_the_names_that_the_cluster_knows():
    part = replace(PART, there="ecal.{}".format)
    said = bad(with_topic(topics.STATE, rights=frozenset()), part)
    assert said.startswith("topic ecal.calo.state.v1: no right to read")
    assert "--topic ecal.calo.state.v1 " in said


def test_the_clock_of_a_worker_is_compared_with_the_brokers_by_its_least_delayed_word():
    stage = Stage(1)
    source = stage.start_worker(heartbeat_s=-1.0)
    stage.assign(0, source, tell_old=False)
    for ahead_s in (0.0, 40.0):
        for delay_ms in (30, 9000, 10):
            stage.broker.now_ms = int((time.time() - ahead_s) * 1000) + delay_ms
            stage.step_worker()
        off = clocks(stage.broker.topics[topics.WINDOWS, 0])
        assert off["w0"] == pytest.approx(ahead_s, abs=1.0)
