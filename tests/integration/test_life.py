"""The life of a service: pages before the broker, ends in time, IPv6, a fixed name that two have."""

import socket
import time

import pytest
import requests
from apache import Cluster, home, needs_apache
from services import Services
from waiting import wait_until

from consumers.app.embedded import EmbeddedBroker, free_port
from consumers.kafka.admin import ensure_topics
from consumers.kafka.connection import Connection

IN_TIME_S = 20
"""Ten on a machine that is not busy; without a limit of its own it took 34 on one that is not."""


@pytest.fixture
def services(tmp_path):
    made = Services("127.0.0.1:1", tmp_path)
    yield made
    made.end()


def page(port, path, host="127.0.0.1"):
    return requests.get(f"http://{host}:{port}{path}", timeout=5)


def serve(services, name, *words, host="127.0.0.1", **variables):
    """Start a service and return its port once its pages answer."""
    port = free_port()
    given = {"http_port": port, "http_host": host} | variables
    services.environment = {f"CALODQM_{k.upper()}": str(v) for k, v in given.items()}
    services.start(name, *words)
    where = f"[{host}]" if ":" in host else host
    wait_until(lambda: page(port, "/healthz", where).ok, 120, "its pages")
    return port


def test_the_pages_answer_before_the_broker_does_and_the_end_comes_in_time(services):
    port = serve(services, "run", "run")
    reply = page(port, "/readyz")
    assert reply.status_code == 503
    assert "topics" in reply.text
    child = services.children["run"]
    began = time.monotonic()
    assert services.stop("run") == 0
    assert time.monotonic() - began < IN_TIME_S
    assert child.returncode == 0


def test_a_service_whose_broker_is_away_ends_in_time(services):
    with EmbeddedBroker() as broker:
        services.bootstrap = broker.bootstrap
        port = serve(services, "run", "run")
        wait_until(lambda: page(port, "/readyz").ok, 120, "readiness")
        services.wait_for("run", "in office", 120)
        broker.kill()
        time.sleep(3)  # clients have noticed, and wait for it
        began = time.monotonic()
        assert services.stop("run") == 0
        assert time.monotonic() - began < IN_TIME_S


@pytest.mark.parametrize("host", ["::1", "::"])
def test_pages_listen_where_there_is_ipv6_only(services, host):
    if not has_ipv6():
        pytest.skip("no IPv6 here")
    port = serve(services, "judge", "judge", host=host)
    assert page(port, "/metrics", "[::1]").ok


@pytest.mark.parametrize("kind", ["embedded", pytest.param("apache", marks=needs_apache)])
def test_a_service_works_with_a_broker_at_an_ipv6_address(services, kind):
    """One of the two advertises the address with its brackets, the other without."""
    if not has_ipv6():
        pytest.skip("no IPv6 here")
    where = str(home()) if kind == "apache" else ""
    with EmbeddedBroker(host="[::1]", home=where) as broker:
        services.bootstrap = broker.bootstrap
        services.start("run", "run")
        services.wait_for("run", "in office", 120)
        services.wait_for("run", "partitions: [0", 120)
        assert services.stop("run") == 0


def has_ipv6():
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


@needs_apache
def test_of_two_with_one_fixed_name_the_fenced_one_stops_and_names_the_other(services):
    with Cluster() as cluster:
        ensure_topics(Connection(cluster.inside), partitions=2)
        services.bootstrap = cluster.inside
        services.environment = {"CALODQM_INSTANCE": "worker-1"}
        first = services.start("one", "score")
        services.wait_for("one", "partitions: [0, 1]", 180)
        services.start("two", "score")
        wait_until(lambda: first.poll() is not None, 120, "the end of the first")
        assert first.returncode == 2
        line = services.log("one").strip().splitlines()[-1]
        assert line.endswith(
            "CALODQM_INSTANCE=worker-1 is the name of another process as well: two"
        )
        assert services.children["two"].poll() is None
