"""The ingest against a real broker: bad records, bad brokers, bad settings."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, closing, suppress

import psutil
import pytest
from blocks import GEOMETRY, block
from guard import Guard
from hostile import corpus
from services import ROOT, Services, newest_manifest
from waiting import wait_until

from consumers.app.embedded import EmbeddedBroker
from consumers.kafka.admin import ensure_topics
from consumers.kafka.connection import Connection
from consumers.kafka.log import KafkaLog
from consumers.kafka.sink import KafkaSink
from consumers.kafka.source import KafkaSource
from consumers.wire import topics
from consumers.wire.arrow_form import encode
from consumers.wire.codec import MAX_BYTES


@pytest.fixture(scope="module")
def broker():
    with EmbeddedBroker() as started:
        ensure_topics(Connection(started.bootstrap), partitions=4)
        yield started


@pytest.fixture
def services(broker, tmp_path):
    started = Services(broker.bootstrap, tmp_path)
    yield started
    started.end()


def run(*arguments, **variables):
    return subprocess.run(
        [sys.executable, "-m", "consumers", *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_log_is_read_to_its_end_and_between_offsets(broker):
    connection = Connection(broker.bootstrap)
    sink, log = KafkaSink(connection), KafkaLog(connection)
    offsets = [sink.append(topics.MODELS, b"%d" % i, key="k").offset() for i in range(7)]
    first = offsets[0]
    read = list(log.read(topics.MODELS, first + 2, first + 6))
    assert [record.value for record in read] == [b"2", b"3", b"4", b"5"]
    assert list(log.read(topics.MODELS, 0, 0)) == []
    assert [record.offset for record in log.read_all(topics.MODELS, first)] == offsets
    assert list(log.read_all(topics.ANOMALIES)) == []
    log.close()
    sink.close()


def test_a_group_hands_partitions_over_when_a_member_leaves(broker):
    connection = Connection(broker.bootstrap)
    held = {1: set(), 2: set()}

    def turn(number, source):
        source.poll(0.1)
        came, went = source.changes()
        held[number] = (held[number] - went) | came

    # The broker's group takes 5 to 30 s to settle; a source left open would outlive the broker.
    with (
        closing(KafkaSource(connection, topics.SHOWERS, "handing-over", session_s=2)) as first,
        ExitStack() as later,
    ):
        wait_until(lambda: turn(1, first) or len(held[1]) == 4, 60, "all partitions")
        second = KafkaSource(connection, topics.SHOWERS, "handing-over", session_s=2)
        later.enter_context(closing(second))
        wait_until(
            lambda: turn(1, first) or turn(2, second) or (len(held[1]), len(held[2])) == (2, 2),
            100,
            "partitions to be shared",
        )
        assert not held[1] & held[2]
        first.close()
        wait_until(lambda: turn(2, second) or len(held[2]) == 4, 100, "those of the one that left")


def test_hostile_records_are_rejected_and_counted_and_the_worker_stays_up(services):
    connection = Connection(services.bootstrap)
    services.start("service", "run")
    sink = KafkaSink(connection)
    payloads = [p for p in corpus() if p.value is not None and len(p.value) < MAX_BYTES]
    good = bad = 0
    for i, payload in enumerate(payloads):
        sink.append(topics.SHOWERS, payload.value, key="bad", partition=i % 4)
        bad += 1
        if i % 20 == 0:
            value = encode(block(8, i, seq=i), GEOMETRY)
            sink.append(topics.SHOWERS, value, key="good", partition=i % 4)
            good += 8
    stranger = block(4)
    stranger.region[:] = 999
    sink.append(topics.SHOWERS, encode(stranger, GEOMETRY), key="bad", partition=0).offset()
    sink.close()

    def counted():
        totals = newest_manifest(services.bootstrap).totals
        return totals.get("records", 0) >= bad + 1 + good // 8

    wait_until(counted, 60, "all records to be counted")
    totals = dict(newest_manifest(services.bootstrap).totals)
    assert services.children["service"].poll() is None
    assert services.stop("service") == 0
    assert totals.pop("showers") == good
    totals.pop("records")
    totals.pop("missing")
    assert totals["region"] == 1
    assert sum(totals.values()) == bad + 1
    letters = dead_letters(connection)
    assert len(letters) == bad + 1
    reasons = [letter["reason"] for letter in letters]
    for reason in {payload.reason.value for payload in payloads}:
        assert reasons.count(reason) == totals[reason]


def dead_letters(connection):
    log = KafkaLog(connection)
    found = {}
    for record in log.read_all(topics.REJECTS):
        letter = json.loads(record.value)
        found[letter["partition"], letter["offset"]] = letter
    log.close()
    return list(found.values())


def test_a_broker_that_is_not_there_is_said_in_one_line():
    done = run("flags", "export", "--run", "1", "--bootstrap", "127.0.0.1:1")
    assert done.returncode == 2
    assert done.stderr.startswith("calodqm flags: broker 127.0.0.1:1: ")
    assert done.stderr.count("\n") == 1


def test_a_misspelt_setting_ends_the_program_with_one_line():
    done = run("score", CALODQM_BOOTSTRAPS="x:1")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "CALODQM_BOOTSTRAPS" in done.stderr


def test_a_damaged_artefact_ends_the_program_with_one_line(tmp_path):
    done = run("judge", "--artefact", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert str(tmp_path) in done.stderr


def test_the_broker_ends_with_the_program_that_started_it(tmp_path):
    code = (
        "import time\nfrom consumers.app.embedded import EmbeddedBroker\n"
        "with EmbeddedBroker() as b:\n    print(b.pid, flush=True)\n    time.sleep(60)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    pid = int(child.stdout.readline())
    assert psutil.pid_exists(pid)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    wait_until(lambda: not psutil.pid_exists(pid), 10, "the broker to end")


def test_too_much_memory_in_the_broker_is_said(tmp_path):
    from consumers.wire.user_error import UserError

    with EmbeddedBroker(memory_limit=1) as small:
        if small.name == "tansu":
            with pytest.raises(UserError, match="all in memory"):
                small.check()


@pytest.mark.timed
def test_the_demo_finds_its_fault_and_leaves_nothing_running():
    mark = f"demo of test process {os.getpid()}"
    began = time.monotonic()
    done = run(
        *("demo", "--fault-at", "15", "--until-alarm", "--seconds", "90", "--json"),
        *("--http-port", "0"),
        MARK_OF_TEST=mark,
    )
    told = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr[-500:]
    assert told["false_alarms"] == 0
    assert "B2" in told["alarm"]
    assert told["seconds_to_alarm"] < 60
    assert time.monotonic() - began < 120
    assert marked(mark) == []


def marked(mark):
    """Return the processes that inherited an environment; those of other tests run beside."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it ended meanwhile, or is another user's
            if process.environ().get("MARK_OF_TEST") == mark:
                found.append(process)
    return found


def test_a_refused_password_ends_the_program_with_one_line():
    with Guard() as guard:
        done = run(
            "judge",
            CALODQM_BOOTSTRAP=guard.address,
            CALODQM_HTTP_PORT="0",
            CALODQM_SECURITY_PROTOCOL="SASL_PLAINTEXT",
            CALODQM_SASL_MECHANISM="PLAIN",
            CALODQM_SASL_USERNAME="ada",
            CALODQM_SASL_PASSWORD="wrong",  # noqa: S106
        )
    assert guard.refusals > 0
    assert done.returncode == 2
    assert "refuses us" in done.stderr
    assert "wrong" not in done.stderr
    assert done.stderr.count("\n") == 1
