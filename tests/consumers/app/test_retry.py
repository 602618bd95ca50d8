"""A job is run again while the broker is away, and for a while where it was let in and is not."""

import threading

import pytest

from consumers.app import retry
from consumers.wire.record import Denied, Refused, Unavailable


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(retry, "LONGEST_WAIT_S", 0.02)


def play(*ends, patience_s=0.0):
    """Run a job that ends so, one after the other, then is told to stop; return what was told."""
    stopping, told, left = threading.Event(), [], list(ends)

    def job():
        if not left:
            stopping.set()
            return
        raise left.pop(0)

    def waits(name, why):
        told.append((name, why))

    retry.keep_running(job, "worker", stopping, patience_s=patience_s, waits=waits)
    return told


def test_who_was_never_let_in_is_not_tried_again():
    with pytest.raises(Denied):
        play(Denied("wrong password"))


def test_who_was_let_in_is_tried_again_and_says_what_it_waits_for():
    told = play(Denied("certificate expired"), Denied("no such file"), patience_s=60)
    assert told == [("worker", "certificate expired"), ("worker", "no such file")]


def test_patience_has_an_end():
    denials = [Denied(f"number {i}") for i in range(100)]
    with pytest.raises(Denied) as last:
        play(*denials, patience_s=0.1)
    assert last.value is not denials[0]
    assert last.value is not denials[-1]


def test_a_broker_that_is_away_is_no_denial():
    told = play(Denied("expired"), Unavailable("gone"), patience_s=60)
    assert told[-1] == ("worker", "")


def test_what_is_refused_for_good_ends_at_once_whatever_the_patience():
    with pytest.raises(Refused, match="replication"):
        play(Refused("replication"), patience_s=600)
