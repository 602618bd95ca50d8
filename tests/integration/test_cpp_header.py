"""The header for C++: when a block goes, what is in it, and what is said where the broker is slow."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from blocks import GEOMETRY, START_NS
from services import ROOT

from consumers.app.embedded import EmbeddedBroker, free_port
from consumers.kafka.admin import ensure_topics
from consumers.kafka.connection import Connection
from consumers.kafka.log import KafkaLog
from consumers.wire import topics
from consumers.wire.codec import decode

pytestmark = [pytest.mark.producers, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Return the program that uses the header, built as the guide says."""
    if not shutil.which("g++") or not Path("/usr/include/librdkafka/rdkafka.h").exists():
        pytest.skip("no g++ or no librdkafka-dev on this machine")
    wheel, made = Path(pa.__file__).parent, tmp_path_factory.mktemp("header") / "header"
    (library,) = (path for path in wheel.glob("libarrow.so.*") if path.suffix[1:].isdigit())
    done = subprocess.run(
        [
            "g++", "-std=c++20", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/deploy/producers",
            "-isystem", wheel / "include", ROOT / "tests" / "support" / "header.cpp", library,
            f"-Wl,-rpath,{wheel}", "-lrdkafka", "-o", made,
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return made


@pytest.fixture(scope="module")
def bootstrap():
    if not os.environ.get("KAFKA_HOME"):
        pytest.skip("Debian's librdkafka cannot talk to the embedded broker")
    with EmbeddedBroker() as broker:
        ensure_topics(Connection(broker.bootstrap), partitions=1)
        yield broker.bootstrap


def lines(program, *words):
    done = subprocess.run(
        [program, *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("ended\n")
    return done.stdout.splitlines()


def blocks(bootstrap):
    """Return key and block of every record, in order."""
    log = KafkaLog(Connection(bootstrap))
    try:
        return [(r.key, decode(r.value, GEOMETRY)) for r in log.read_all(topics.SHOWERS)]
    finally:
        log.close()


def test_a_full_block_goes_and_each_key_counts_from_0(program, bootstrap):
    before = len(blocks(bootstrap))
    assert lines(program, "size", bootstrap) == ["flushed 1 sent 4", "ended"]
    found = blocks(bootstrap)[before:]
    told = sorted((key, b.seq, b.event_id.tolist()) for key, b in found)
    assert told == [(b"A", 0, [0, 1]), (b"A", 1, [2, 3]), (b"A", 2, [5]), (b"B", 0, [4])]
    for _, b in found:
        assert b.producer == "header"
        assert b.time_ns.tolist() == [START_NS + int(event) for event in b.event_id]
        assert b.showers.seeds.tolist() == [7 + int(event) for event in b.event_id]
        assert np.isnan(b.showers.e_inc).all()


def test_a_block_that_is_not_full_goes_when_it_is_old(program, bootstrap):
    (said, _) = lines(program, "age", bootstrap)
    _, _, at_once, _, later, _, took = said.split()
    assert (at_once, later) == ("0", "1")
    assert int(took) >= 300


def test_a_slow_broker_is_waited_for_and_what_is_lost_is_said(program):
    said = lines(program, "slow", f"127.0.0.1:{free_port()}")
    # Three are under way, one waits in its block; the next was not taken, and is once there is room.
    (taken,) = [line.split() for line in said if line.startswith("taken")]
    assert taken[1] == "4"
    assert int(taken[3]) >= 400
    assert "lost 3 sent 0 again 1" in said
    # Those that are under way at the end are told too.
    assert sum(line.startswith("error a record of key A is lost: ") for line in said) == 5
