"""Topics: what there must be, made and described."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from uuid import UUID

from kafka import KafkaAdminClient
from kafka import errors as kafka_errors
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic

from consumers.kafka.connection import opened, translated
from consumers.wire import topics
from consumers.wire.record import MAX_RECORD_BYTES

if TYPE_CHECKING:
    from consumers.kafka.connection import Connection

logger = logging.getLogger(__name__)

TIME_STAMPS = "message.timestamp.type"
BROKER_TIME = "LogAppendTime"
"""The broker's clock is the only one that two processes share."""

_DAY_MS = 24 * 3600 * 1000
_CONFIGS: dict[str, dict[str, str]] = {
    topics.SHOWERS: {"retention.ms": str(2 * _DAY_MS)},
    topics.WINDOWS: {"retention.ms": str(30 * _DAY_MS)},
    topics.RUNS: {"retention.ms": str(30 * _DAY_MS)},
    topics.STATE: {"cleanup.policy": "compact"},
    topics.REFERENCES: {"cleanup.policy": "compact"},
    topics.MODELS: {"cleanup.policy": "compact"},
    topics.QUALITY: {"retention.ms": "-1"},
    topics.ANOMALIES: {"retention.ms": str(7 * _DAY_MS)},
    topics.REJECTS: {"retention.ms": str(7 * _DAY_MS)},
}


def ensure_topics(
    connection: Connection, *, partitions: int, replication: int = 1, showers: str = topics.SHOWERS
) -> list[str]:
    """Create the topics that do not exist yet and return their names.

    The windows, state and quality topics have one partition each: their order is the state.
    """
    names = {**_CONFIGS, showers: _CONFIGS[topics.SHOWERS]}
    if showers != topics.SHOWERS:
        del names[topics.SHOWERS]
    admin = opened(KafkaAdminClient, connection)
    with translated():
        try:
            missing = sorted(set(names) - set(_topic_names(admin)))
            for name in missing:
                _create(admin, name, partitions if name == showers else 1, replication, names[name])
        finally:
            admin.close()
    return missing


def describe_topics(connection: Connection) -> dict[str, int]:
    """Return the number of partitions of every topic."""
    admin = opened(KafkaAdminClient, connection)
    with translated():
        try:
            found = admin.describe_topics()
        finally:
            admin.close()
    return {topic["name"]: len(topic["partitions"]) for topic in found}


_NO_ID = {"None", str(UUID(int=0))}


def topic_id(connection: Connection, topic: str) -> str:
    """Return the id of a topic, empty where the broker has none: a topic made again has another."""
    admin = opened(KafkaAdminClient, connection)
    with translated():
        try:
            found = admin.describe_topics([topic])
        finally:
            admin.close()
    ids = [str(described.get("topic_id")) for described in found if described["name"] == topic]
    return ids[0] if ids and ids[0] not in _NO_ID else ""


def time_stamps(connection: Connection, names: list[str]) -> dict[str, str]:
    """Return whose clock writes the times of the records of topics, where the broker says so."""
    admin = opened(KafkaAdminClient, connection)
    with translated():
        try:
            asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
            found = admin.describe_configs(asked, config_filter="all").get("topic", {})
        finally:
            admin.close()
    return {
        name: configs[TIME_STAMPS]["value"]
        for name, configs in found.items()
        if TIME_STAMPS in configs
    }


def _create(
    admin: Any, name: str, partitions: int, replication: int, configs: dict[str, str]
) -> None:
    configs = {"max.message.bytes": str(MAX_RECORD_BYTES), TIME_STAMPS: BROKER_TIME, **configs}
    topic = NewTopic(name, partitions, replication, topic_configs=configs)
    try:
        admin.create_topics([topic])
    except kafka_errors.TopicAlreadyExistsError:  # somebody else did, meanwhile
        logger.info("topic %s exists", name)


def _topic_names(admin: Any) -> list[str]:
    return [t["name"] if isinstance(t, dict) else str(t) for t in admin.list_topics()]
