"""TLS and SASL for real: certificates of a test's own authority, PLAIN and SCRAM, and every refusal."""

import json
import os
import re
import subprocess
import sys

import pytest
import stack
from authority import Authority
from guarded import OWN, guarded
from services import ROOT, Services
from waiting import wait_until

from consumers.app import environment
from consumers.app.embedded import EmbeddedBroker, free_port
from consumers.kafka.admin import describe_topics, ensure_topics
from consumers.kafka.log import KafkaLog
from consumers.kafka.sink import KafkaSink
from consumers.wire import topics
from consumers.wire.record import Refused, Unavailable

# A client of kafka-python whose constructor fails leaves its socket to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
NOT_BELIEVED = "invalid credentials|Invalid username or password"
USER = "ada"
# The tool that tells Apache Kafka of users takes no commas.
PASSWORD = "s3cret with = and ;" if OWN else "s3cret, with = and ,"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def gate(authority):
    """A broker behind TLS and SASL."""
    with guarded(authority, "server", users={USER: PASSWORD}) as made:
        yield made


@pytest.fixture(scope="module")
def by_certificate(authority):
    """A broker that knows its clients by their certificates."""
    with guarded(authority, "strict", by_certificate=True) as made:
        yield made


def variables(port, authority, **changes):
    """Return the environment of a service that may come in."""
    given = {
        "bootstrap": f"localhost:{port}",
        "security_protocol": "SASL_SSL",
        "ssl_cafile": authority.file,
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_username": USER,
        "sasl_password": PASSWORD,
    } | changes
    if given["security_protocol"] == "SSL":
        given |= dict.fromkeys(("sasl_mechanism", "sasl_username", "sasl_password"))
    return {f"CALODQM_{k.upper()}": str(v) for k, v in given.items() if v is not None}


@pytest.fixture
def connect(monkeypatch):
    def made(given):
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        return environment.load({}).connection()

    return made


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_records_go_out_and_come_back_through_tls_and_sasl(mechanism, gate, authority, connect):
    connection = connect(variables(gate.port, authority, sasl_mechanism=mechanism))
    ensure_topics(connection, partitions=1)
    before = gate.let_in
    sink, log = KafkaSink(connection), KafkaLog(connection)
    offset = sink.append(topics.QUALITY, mechanism.encode(), key="k", partition=0).offset()
    assert [r.value.decode() for r in log.read(topics.QUALITY, offset, offset + 1)] == [mechanism]
    sink.close()
    log.close()
    assert before is None or gate.let_in > before  # not by some other way


UNKNOWN = "(unable to get local issuer|self-signed) certificate"
"""What OpenSSL says of an authority that it does not know: the second, where the broker sends it."""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sasl_password": "wrong"}, NOT_BELIEVED),
        ({"sasl_password": "wrong", "sasl_mechanism": "PLAIN"}, NOT_BELIEVED),
        ({"ssl_cafile": "/nowhere/ca.pem"}, "authorities /nowhere/ca.pem: No such file"),
        ({"ssl_cafile": __file__}, "authorities .*: no certificate or crl found"),
        ({"ssl_certfile": "/nowhere/me.pem"}, "certificate /nowhere/me.pem: No such file"),
    ],
    ids=["password", "plain password", "no such file", "not a certificate", "no such cert"],
)  # fmt: skip
def test_who_gives_the_wrong_thing_is_refused_in_one_line(changes, said, gate, authority, connect):
    connection = connect(variables(gate.port, authority, **changes))
    with pytest.raises(Refused, match=said) as refusal:
        describe_topics(connection)
    assert len(str(refusal.value).splitlines()) == 1


def test_a_broker_of_another_authority_is_not_trusted(gate, tmp_path, authority, connect):
    other = Authority(tmp_path, "other")
    connection = connect(variables(gate.port, authority, ssl_cafile=other.file))
    with pytest.raises(Refused, match=f"certificate of localhost:{gate.port}: {UNKNOWN}"):
        describe_topics(connection)


def test_a_certificate_for_another_host_is_not_trusted(authority, connect):
    with guarded(authority, "elsewhere", names="DNS:broker.example") as elsewhere:
        connection = connect(variables(elsewhere.port, authority, security_protocol="SSL"))
        with pytest.raises(Refused, match=r"Hostname mismatch.*not valid for 'localhost'"):
            describe_topics(connection)


def test_a_client_is_known_by_its_certificate(by_certificate, authority, connect):
    certificate, key = authority.sign("me", "DNS:me")
    connection = connect(
        variables(
            by_certificate.port, authority, security_protocol="SSL",
            ssl_certfile=certificate, ssl_keyfile=key,
        )
    )  # fmt: skip
    assert topics.SHOWERS not in describe_topics(connection)


def test_a_client_without_a_certificate_is_told_so(by_certificate, authority, connect):
    connection = connect(variables(by_certificate.port, authority, security_protocol="SSL"))
    # What the broker says of it is lost where its hanging up overtakes it.
    with pytest.raises(
        (Refused, Unavailable), match=r"certificate required|wants a certificate|bad certificate"
    ):
        describe_topics(connection)


def test_a_broker_without_tls_is_not_waited_for_for_ever(authority, connect, monkeypatch):
    monkeypatch.setattr("consumers.kafka.tls.HANDSHAKE_S", 1.0)
    with EmbeddedBroker() as broker:
        port = broker.bootstrap.split(":")[1]
        connection = connect(variables(port, authority))
        with pytest.raises(
            Refused, match=r"is a listener without TLS.*SECURITY_PROTOCOL=PLAINTEXT"
        ):
            describe_topics(connection)


def test_one_broker_of_several_is_enough(gate, authority, connect):
    both = f"localhost:{free_port()},localhost:{gate.port}"
    assert isinstance(describe_topics(connect(variables(0, authority, bootstrap=both))), dict)


# The commands, as an operator starts them


def command(environment, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "consumers", *arguments],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_showers_are_scored_and_judged_through_tls_and_sasl(gate, authority, tmp_path):
    services = Services(f"localhost:{gate.port}", tmp_path)
    port = free_port()
    services.environment |= variables(gate.port, authority) | {"CALODQM_HTTP_PORT": str(port)}
    try:
        services.start("run", "run")
        wait_until(lambda: stack.get(f"http://127.0.0.1:{port}/readyz"), 90)
        services.simulate("--rate", "400")

        def judged():
            now = json.loads(stack.get(f"http://127.0.0.1:{port}/api/state"))["now"]
            return now and sum(now["history"]["showers"]) > 100

        wait_until(judged, 60)
        found = json.loads(command(services.environment, "doctor", "--json").stdout)
        told = {finding["what"]: finding["well"] for finding in found}
        assert told[f"broker localhost:{gate.port}"]
        assert told["judge"]
    finally:
        services.end()


def test_a_command_that_is_refused_says_why_in_one_line(gate, authority, tmp_path):
    other = Authority(tmp_path, "other")
    environment = variables(gate.port, authority, ssl_cafile=other.file)
    done = command(environment, "flags", "export", "--run", "1")
    assert done.returncode == 2
    said = f"calodqm flags: broker localhost:{gate.port}: certificate of localhost:{gate.port}: "
    assert re.fullmatch(f"{said}{UNKNOWN}.*\n", done.stderr)
