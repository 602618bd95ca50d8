"""Admin: what there must be, made and described."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

from kafka import KafkaAdminClient
from kafka import errors as kafka_errors
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic

from consumers.kafka.connection import opened, translated
from consumers.wire import topics
from consumers.wire.record import MAX_RECORD_BYTES, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.kafka.connection import Connection

logger = logging.getLogger(__name__)

TIME_STAMPS = "message.timestamp.type"
BROKER_TIME = "LogAppendTime"
"""The broker's clock is the only one that two processes share."""

_DAY_MS = 24 * 3600 * 1000
_CONFIGS: dict[str, dict[str, str]] = {
    topics.SHOWERS: {"retention.ms": str(2 * _DAY_MS)},
    topics.WINDOWS: {"retention.ms": str(2 * _DAY_MS)},
    topics.RUNS: {"retention.ms": str(30 * _DAY_MS)},
    # A segment that is still written to is not compacted, and brokers fill them to a GiB.
    topics.STATE: {"cleanup.policy": "compact", "segment.bytes": str(64 << 20)},
    topics.MODELS: {"cleanup.policy": "compact"},
    topics.QUALITY: {"retention.ms": "-1"},
    topics.LUMISECTIONS: {
        "cleanup.policy": "compact,delete",
        "retention.ms": str(366 * _DAY_MS),
        "segment.ms": str(_DAY_MS),
    },
    topics.CONTENTS: {"cleanup.policy": "compact", "segment.ms": str(_DAY_MS)},
    topics.ANOMALIES: {"retention.ms": str(7 * _DAY_MS)},
    topics.REJECTS: {"retention.ms": str(7 * _DAY_MS)},
}

_ALL = {TIME_STAMPS: BROKER_TIME}
"""Settings of every topic of ours."""

COPIES = 3
"""Copies of a topic that are made without being told otherwise, where there are brokers enough."""

STATE = {
    topics.WINDOWS,
    topics.STATE,
    topics.QUALITY,
    topics.LUMISECTIONS,
    topics.MODELS,
}
"""Topics whose loss loses what was counted, judged or ordered."""

_LARGE = {topics.WINDOWS, topics.ANOMALIES, topics.QUALITY, topics.LUMISECTIONS}
"""Topics whose records may be larger than most brokers take without being told."""


def ensure_topics(
    connection: Connection,
    *,
    partitions: int,
    replication: int | None = None,
    showers: str = topics.SHOWERS,
) -> list[str]:
    """Create the topics that do not exist yet and return their names.

    The windows, state and quality topics have one partition each: their order is the state.

    Parameters
    ----------
    replication
        Copies of each; None: what the cluster can give, up to `COPIES`.
    """
    names = {**_CONFIGS, showers: _CONFIGS[topics.SHOWERS]}
    if showers != topics.SHOWERS:
        del names[topics.SHOWERS]
    with opened_admin(connection) as admin:
        there = set(_topic_names(admin))
        missing = sorted(name for name in names if connection.there(name) not in there)
        copies = _copies(admin) if missing and replication is None else replication or 1
        for name in missing:
            n = partitions if name == showers else 1
            configs = _making(name, names[name], copies)
            _create(admin, NewTopic(connection.there(name), n, copies, topic_configs=configs))
    return missing


@contextmanager
def opened_admin(connection: Connection) -> Iterator[Any]:
    """Open a client for as long as the block lasts; its errors are ours."""
    admin = opened(KafkaAdminClient, connection)
    with translated():
        try:
            yield admin
        finally:
            admin.close()


def describe_topics(connection: Connection) -> dict[str, int]:
    """Return the number of partitions of every topic, by the cluster's names."""
    with opened_admin(connection) as admin:
        found = admin.describe_topics()
    return {topic["name"]: len(topic["partitions"]) for topic in found}


_NO_ID = {"None", str(UUID(int=0))}


def topic_id(connection: Connection, topic: str) -> str:
    """Return the id of a topic, empty where the broker has none: a topic made again has another."""
    with opened_admin(connection) as admin:
        name = connection.there(topic)
        found = admin.describe_topics([name])
    ids = [str(described.get("topic_id")) for described in found if described["name"] == name]
    return ids[0] if ids and ids[0] not in _NO_ID else ""


def broker_settings(connection: Connection, *names: str) -> dict[str, str]:
    """Return settings of one of the brokers; empty where they may not be looked at."""
    try:
        with opened_admin(connection) as admin:
            some = str(admin.describe_cluster()["brokers"][0]["broker_id"])
            asked = ConfigResource(ConfigResourceType.BROKER, some, list(names))
            found = admin.describe_configs([asked], config_filter="all")["broker"][some]
    except (Refused, Unavailable, LookupError):
        return {}
    return {name: str(found[name]["value"]) for name in names if name in found}


def _copies(admin: Any) -> int:
    """Return how many copies of a topic the cluster can give, up to `COPIES`."""
    brokers = len(admin.describe_cluster()["brokers"])
    copies = min(COPIES, max(1, brokers))
    logger.info(
        "%s of each topic: the cluster has %s", _many(copies, "copy", "copies"),
        _many(brokers, "broker", "brokers"),
    )  # fmt: skip
    return copies


def _many(n: int, one: str, more: str) -> str:
    return f"{n} {one if n == 1 else more}"


def wanted(name: str) -> dict[str, str]:
    """Return the settings that the design needs of a topic; some may be more."""
    configs = {"cleanup.policy": "delete", **_ALL, **_CONFIGS[name]}
    return configs | ({"max.message.bytes": str(MAX_RECORD_BYTES)} if name in _LARGE else {})


def _making(name: str, given: dict[str, str], copies: int) -> dict[str, str]:
    """Return the settings that a topic is made with."""
    configs = {"max.message.bytes": str(MAX_RECORD_BYTES), **_ALL, **given}
    if name in STATE and copies >= COPIES:
        # What is acknowledged survives the loss of a broker, and one that is away stops nobody.
        configs["min.insync.replicas"] = str(copies - 1)
    return configs


def _create(admin: Any, topic: NewTopic) -> None:
    answer = admin.create_topics([topic], raise_errors=False)["topics"][0]
    kind = kafka_errors.for_code(answer["error_code"])
    if kind is kafka_errors.TopicAlreadyExistsError:  # somebody else did, meanwhile
        logger.info("topic %s exists", topic.name)
    elif kind is not kafka_errors.NoError:
        said = answer.get("error_message") or kind.description or ""
        raise kind(f"topic {topic.name} cannot be made: {said.strip()} ({_asked(topic)})")


def _asked(topic: NewTopic) -> str:
    """Return the settings that a topic was asked for with."""
    return (
        f"CALODQM_PARTITIONS={topic.num_partitions}, CALODQM_REPLICATION={topic.replication_factor}"
        f"; or make it by hand"
    )


def _topic_names(admin: Any) -> list[str]:
    return [t["name"] if isinstance(t, dict) else str(t) for t in admin.list_topics()]
