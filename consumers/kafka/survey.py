"""Survey: the cluster as it is to us, asked for without writing anything."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kafka import errors as kafka_errors
from kafka.admin import ConfigResource, ConfigResourceType

from consumers.kafka.admin import opened_admin

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from consumers.kafka.connection import Connection

logger = logging.getLogger(__name__)

_UNSAID = (kafka_errors.KafkaError, ValueError, LookupError)
"""What a broker that does not know a question answers: a word of its own, or nonsense."""


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """A topic as the cluster describes it."""

    partitions: int
    copies: int
    """Least over its partitions; 0 if unknown."""

    rights: frozenset[str] | None
    """What we may do with it, by Kafka's names (READ, WRITE, ...); None if the broker cannot say."""

    configs: Mapping[str, str]
    """Settings in force, also those that are the cluster's; empty where they may not be seen."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is."""

    brokers: int
    topics: Mapping[str, TopicFacts]
    """Those that are there, of those asked for."""

    hidden: frozenset[str]
    """Topics that we may not even see: they may be there or not."""

    groups: Mapping[str, frozenset[str]]
    """What we may do with groups, where the broker says."""


def survey(connection: Connection, names: Iterable[str], groups: Iterable[str]) -> Survey:
    """Return what there is of topics and groups, or raise `Refused` or `Unavailable`."""
    with opened_admin(connection) as admin:
        brokers = len(admin.describe_cluster()["brokers"])
        asked = [connection.there(name) for name in names]
        described = {topic["name"]: topic for topic in admin.describe_topics(asked)}
        kinds = {name: kafka_errors.for_code(t["error_code"]) for name, t in described.items()}
        there = {name: t for name, t in described.items() if kinds[name] is kafka_errors.NoError}
        facts = {
            connection.here(name): _facts(topic, _configs(admin, name))
            for name, topic in there.items()
        }
        hidden = frozenset(
            connection.here(name)
            for name, kind in kinds.items()
            if issubclass(kind, kafka_errors.AuthorizationError)
        )
        rights = {group: _group(admin, group) for group in groups}
    return Survey(
        brokers, facts, hidden, {name: may for name, may in rights.items() if may is not None}
    )


def _facts(topic: Mapping[str, Any], configs: Mapping[str, str]) -> TopicFacts:
    operations = topic.get("authorized_operations")
    return TopicFacts(
        partitions=len(topic["partitions"]),
        copies=min((len(p["replica_nodes"]) for p in topic["partitions"]), default=0),
        rights=None if operations is None else frozenset(operations),
        configs=configs,
    )


def _configs(admin: Any, name: str) -> dict[str, str]:
    asked = ConfigResource(ConfigResourceType.TOPIC, name)
    try:
        found = admin.describe_configs([asked], config_filter="all")["topic"][name]
    except _UNSAID as error:
        logger.info("configuration of %s: %s", name, error)
        return {}
    return {key: str(entry["value"]) for key, entry in found.items()}


def _group(admin: Any, group: str) -> frozenset[str] | None:
    try:
        found = admin.describe_groups([group])[group]
    except kafka_errors.AuthorizationError:
        return frozenset()
    except _UNSAID as error:
        logger.info("group %s: %s", group, error)
        return None
    if found.get("error") or found.get("authorized_operations") is None:  # not there yet
        return None
    return frozenset(found["authorized_operations"])
