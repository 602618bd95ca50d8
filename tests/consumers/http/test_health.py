"""Health: ready means that reads and writes went through within the session."""

import math

import pytest
from memory import MemoryBroker, MemorySource

from consumers.app.watched import WatchedSink, WatchedSource
from consumers.http.health import Health
from consumers.http.page import Page
from consumers.wire import topics
from consumers.wire.record import Lag, Unavailable


class Clock:
    def __init__(self):
        self.s = 100.0

    def __call__(self):
        return self.s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def health(clock):
    health = Health(patience_s=10.0, now=clock)
    health.ready("worker", yes=True)
    return health


def sink(health, broker):
    return WatchedSink(broker.clients(None).sink, health, "worker")


class SlowSink:
    """Takes records, and says that they are safe when it is told to."""

    def __init__(self):
        self.safe = []

    def append(self, *_, **__):
        return self

    def once_safe(self, act):
        self.safe.append(act)


def test_a_job_whose_writes_do_not_go_through_is_not_ready_and_says_so(health, clock):
    inner = SlowSink()
    WatchedSink(inner, health, "worker").append(topics.WINDOWS, b"x", key="k")
    clock.s += 12
    reply = health.ready_reply()
    assert reply.status == 503
    assert b"worker waits for calo.windows.v1 to take a record since " in reply.body
    assert b" UTC, 12 s" in reply.body
    inner.safe.pop()()  # whether or not anybody asked for its offset
    assert health.ready_reply().status == 200


def test_a_job_that_begins_anew_still_waits_for_what_did_not_go_through(health, clock):
    broker = MemoryBroker(down=True)
    for _ in range(3):
        with pytest.raises(Unavailable):
            sink(health, broker).append(topics.WINDOWS, b"x", key="k")
        health.ready("worker", yes=True)
        clock.s += 6
    assert b"18 s" in health.ready_reply().body
    broker.down = False
    sink(health, broker).append(topics.WINDOWS, b"x", key="k")
    assert health.ready_reply().status == 200


def test_a_partition_that_nobody_answers_for_makes_a_job_unready(health, clock, monkeypatch):
    inner = MemorySource(MemoryBroker(), topics.SHOWERS)
    source = WatchedSource(inner, health, "worker")
    inner.positions = {2: 0}
    monkeypatch.setattr(MemorySource, "lag", lambda *_: {2: Lag(math.nan, math.inf)})
    source.lag([2])
    clock.s += 11
    assert b"worker waits for an answer for partition 2" in health.ready_reply().body
    monkeypatch.undo()
    source.lag([2])
    assert health.ready_reply().status == 200


def test_a_job_without_a_partition_waits_for_nothing(health, clock):
    source = WatchedSource(MemorySource(MemoryBroker(), topics.SHOWERS), health, "worker")
    health.waits("worker", "anything")
    clock.s += 60
    source.lag([])
    assert health.ready_reply().status == 200


def test_the_page_says_what_is_waited_for(health, clock):
    page = Page(stuck=health.stuck)
    assert b'"broker":{"text":"answers","worry":false}' in page.reply("/api/state", {}).body
    health.waits("judge", "calo.quality.v1 to take a record")
    clock.s += 60
    assert b"judge waits for calo.quality.v1" in page.reply("/api/state", {}).body
