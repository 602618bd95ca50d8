"""Records on a broker, looked at for the author of a producer."""

import json
import time

import numpy as np
import pytest
from blocks import GEOMETRY, block
from feeding import ask

from consumers.app.embedded import EmbeddedBroker
from consumers.kafka.admin import ensure_topics
from consumers.kafka.connection import Connection
from consumers.kafka.sink import KafkaSink
from consumers.wire import topics
from consumers.wire.arrow_form import encode

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def broker():
    with EmbeddedBroker() as started:
        ensure_topics(Connection(started.bootstrap), partitions=2)
        yield started


def value(seq, *, producer="daq"):
    showers = block(4, seq, producer=producer, seq=seq)
    showers.time_ns[:] = time.time_ns() + np.arange(4)
    return encode(showers, GEOMETRY)


def test_records_of_the_topic_are_checked_and_doctor_says_what_cannot_be_seen(broker):
    sink = KafkaSink(Connection(broker.bootstrap))

    def send(*values):
        for i, sent in enumerate(values):
            sink.append(topics.SHOWERS, sent, key="A", partition=i % 2).offset()

    def doctor():
        found = json.loads(ask(broker.bootstrap, "doctor", "--json")[1])
        return next(finding for finding in found if finding["what"] == "records")

    send(value(0), value(1))
    code, said = ask(broker.bootstrap, "records", "check", "--topic")
    assert code == 0, said
    assert said.count("taken, 4 showers") == 2
    assert "taken and counted" in doctor()["text"]
    send(value(2, producer=""), value(3))
    assert not doctor()["well"]
    assert "nobody would know" in doctor()["text"]
    send(b"hello")
    code, said = ask(broker.bootstrap, "records", "check", "--topic", "--records", "2")
    assert code == 1
    assert "refused, format" in said
    code, said = ask(broker.bootstrap, "records", "check", "--topic", "--from", "oldest", "--records", "2")  # fmt: skip
    assert code == 0, said
    assert f"{topics.SHOWERS}[0]@0: taken" in said
    sink.close()
