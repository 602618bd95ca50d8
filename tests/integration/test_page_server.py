"""Without a browser: what the server of the page gives and what it refuses."""

import socket
import time

import pytest
import requests
from show import Show
from standings import expositions

from consumers.http.health import HANG_S, Health
from consumers.http.page import ShowerCoordinates
from consumers.http.server import Server

KEPT = ShowerCoordinates("calo.showers.v1", 3, 9_210, 0)


@pytest.fixture(scope="module")
def show():
    made = Show()
    yield made
    made.stop()


def test_probes_tell_a_hanging_loop_and_a_process_that_is_not_ready(show, monkeypatch):
    url = show.server.url

    def status(path):
        reply = requests.get(url + path, timeout=5)
        return reply.status_code, reply.text

    now = time.monotonic()  # stands still: the silence is the same on a slow machine
    monkeypatch.setattr("consumers.http.health.time.monotonic", lambda: now)
    assert status("/healthz") == (200, "ok\n")
    assert status("/readyz")[0] == 503
    for job in ("worker", "judge"):
        show.health.beat(job)
        show.health.ready(job, yes=True)
    assert status("/readyz") == (200, "ready\n")
    show.health.ready("worker", yes=False)
    assert status("/readyz") == (503, "not ready: worker\n")
    monkeypatch.setattr("consumers.http.health.time.monotonic", lambda: now + HANG_S + 1)
    show.health.beat("judge")  # one that goes round does not hide one that hangs
    code, said = status("/healthz")
    assert code == 503
    assert said.startswith("worker silent for 31 s")
    assert "judge" not in said


def test_pictures_come_as_png_and_svg_by_coordinates(show):
    place = f"{show.server.url}/pictures/{KEPT.topic}/{KEPT.partition}/{KEPT.offset}/{KEPT.row}"
    for kind, start in (("png", b"\x89PNG"), ("svg", b"<svg")):
        reply = requests.get(f"{place}.{kind}?theme=dark", timeout=5)
        assert reply.content.startswith(start)
        assert "max-age" in reply.headers["Cache-Control"]


@pytest.mark.parametrize(
    "path",
    [
        "/pictures/calo.showers.v1/3/99999/0.png",  # not kept
        "/pictures/calo.showers.v1/3/9210/0.gif",
        "/pictures/calo.showers.v1/3/9210/0.svg?theme=pink",
        "/pictures/../../../etc/passwd",
        "/pictures/%2e%2e/%2e%2e/etc/passwd",
        "/pictures/t/-1/0/0.png",
        "/pictures/t/1/" + "9" * 30 + "/0.png",
        "/runbooks/../../pyproject",
        "/runbooks/%2e%2e%2fgenerate",
        "/runbooks/NoSuchPage",
        "/page.py",
        "/api/",
        "//etc/passwd",
    ],
)
def test_what_is_not_there_is_a_plain_404(show, path):
    connection = requests.Session()
    request = requests.Request("GET", show.server.url).prepare()
    request.url = show.server.url + path
    reply = connection.send(request, timeout=5)
    assert (reply.status_code, reply.text) == (404, "not found\n")


@pytest.mark.parametrize("path", ["/api/state", "/act"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_changed_over_http(show, method, path):
    assert requests.request(method, f"{show.server.url}{path}", timeout=5).status_code == 501


def test_every_reply_forbids_scripts_and_frames_from_outside(show):
    for path in ("/", "/api/state", "/metrics", "/nothing"):
        headers = requests.get(show.server.url + path, timeout=5).headers
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_what_is_no_address_is_refused(show):
    host = show.server.url.removeprefix("http://")
    with socket.create_connection(host.split(":"), 10) as one:
        one.sendall(f"GET http://[ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert b" 400 " in one.recv(1000)


def test_head_gives_the_headers_alone(show):
    reply = requests.head(show.server.url, timeout=5)
    assert reply.status_code == 200
    assert int(reply.headers["Content-Length"]) > 1000
    assert reply.content == b""


def test_a_worker_without_a_page_has_metrics_and_says_what_it_is():
    exposition, *_ = expositions()
    server = Server(exposition, Health())
    server.start()
    try:
        assert "A score worker" in requests.get(server.url, timeout=5).text
        assert requests.get(f"{server.url}/metrics", timeout=5).status_code == 200
        assert requests.get(f"{server.url}/api/state", timeout=5).status_code == 404
    finally:
        server.stop()


def test_runbooks_can_be_read_from_the_page(show):
    reply = requests.get(f"{show.server.url}/runbooks/hot", timeout=5)
    assert "**It means:**" in reply.text
