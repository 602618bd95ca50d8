"""Records that Kafka's codecs compress, by another client's producer: every one is judged."""

import pytest
from blocks import GEOMETRY, block
from confluent_kafka import Producer
from services import Services, newest_manifest
from waiting import wait_until

from consumers.app.embedded import EmbeddedBroker
from consumers.kafka.admin import ensure_topics
from consumers.kafka.connection import Connection
from consumers.wire import topics
from consumers.wire.arrow_form import encode

# A client of kafka-python that is asked often may leave a socket to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
EACH = 8


@pytest.mark.slow
def test_records_in_each_of_kafkas_codecs_are_judged(tmp_path):
    with EmbeddedBroker() as broker:
        ensure_topics(Connection(broker.bootstrap), partitions=len(CODECS))
        services = Services(broker.bootstrap, tmp_path)
        try:
            services.start("service", "run")
            for partition, codec in enumerate(CODECS):
                producer = Producer(
                    {"bootstrap.servers": broker.bootstrap, "compression.type": codec}
                )
                showers = block(EACH, partition, producer=codec)
                # Zeros, for a client sends what does not shrink as it is.
                showers.showers.cells[:] = 0.0
                value = encode(showers, GEOMETRY, compression=None)
                producer.produce(topics.SHOWERS, value, key=codec, partition=partition)
                assert producer.flush(30) == 0
            wait_until(
                lambda: newest_manifest(broker.bootstrap).totals.get("records", 0) == len(CODECS),
                90,
                "a record in each codec to be judged",
            )
            assert newest_manifest(broker.bootstrap).totals["showers"] == len(CODECS) * EACH
        finally:
            services.end()
