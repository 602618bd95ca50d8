"""Kafka: sources, sinks, logs and topics. The only folder that imports kafka."""

from consumers.kafka.connection import Connection
from consumers.kafka.log import KafkaLog
from consumers.kafka.sink import MAX_RECORD_BYTES, KafkaSink
from consumers.kafka.source import KafkaSource
from consumers.kafka.topics import describe_topics, ensure_topics

__all__ = [
    "MAX_RECORD_BYTES",
    "Connection",
    "KafkaLog",
    "KafkaSink",
    "KafkaSource",
    "describe_topics",
    "ensure_topics",
]
