"""Connections: nothing stays open of a client that could not be made."""

import threading

import psutil
import pytest

from consumers.kafka.connection import Connection
from consumers.kafka.log import KafkaLog
from consumers.kafka.sink import KafkaSink
from consumers.kafka.source import KafkaSource
from consumers.wire.record import Unavailable

NOBODY = Connection("127.0.0.1:1")


@pytest.mark.parametrize(
    "make", [KafkaLog, KafkaSink, lambda connection: KafkaSource(connection, "t", "g")]
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_client_that_finds_nobody_leaves_nothing_open(make):
    process = psutil.Process()
    with pytest.raises(Unavailable):
        make(NOBODY)
    before = process.num_fds(), threading.active_count()
    for _ in range(2):
        with pytest.raises(Unavailable):
            make(NOBODY)
    assert (process.num_fds(), threading.active_count()) <= before
