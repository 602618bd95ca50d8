"""Connections: nothing stays open of a client that could not be made."""

import gc
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
# The library lets go of its sockets without closing them.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_client_that_finds_nobody_leaves_nothing_open(make):
    process = psutil.Process()
    left = []
    for _ in range(3):
        with pytest.raises(Unavailable):
            make(NOBODY)
        gc.collect()
        left.append((process.num_fds(), threading.active_count()))
    gc.collect()
    assert left[2] <= left[0]
