"""Connections: nothing stays open of a client that could not be made."""

import subprocess
import sys

import pytest

# In a process of its own: what a test run remembers of logs and errors holds sockets open too.
SCRIPT = """
import gc, psutil, threading
from consumers.kafka.connection import Connection
from consumers.kafka.log import KafkaLog
from consumers.kafka.sink import KafkaSink
from consumers.kafka.source import KafkaSource
from consumers.wire.record import Unavailable

made = {
    "log": KafkaLog,
    "sink": KafkaSink,
    "source": lambda connection: KafkaSource(connection, "t", "g"),
}
for _ in range(3):
    try:
        made["%s"](Connection("127.0.0.1:1"))
    except Unavailable:
        pass
    gc.collect()
    print(threading.active_count(), psutil.Process().num_fds())
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["log", "sink", "source"])
def test_a_client_that_finds_nobody_leaves_nothing_open(kind):
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT % kind]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    first, *others = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert first[0] == 1
    assert len(others) == 2
    for threads, descriptors in others:
        assert threads == 1
        assert descriptors <= first[1] + 2
