"""What is said of runs is passed on until it is seen, and counts once."""

from consumers.judge.relay import AGAIN_S, KEPT, Relay
from consumers.wire.record import Record


def said(*values):
    return [Record("calo.runs.v1", 0, i, 0, None, value) for i, value in enumerate(values)]


def start(run):
    return b'{"what": "start", "run": %d}' % run


def test_an_act_is_passed_on_in_order_and_again_only_if_it_is_not_seen():
    relay = Relay()
    relay.follow([None, *said(start(1), b"damaged", start(2))])
    assert [act.run for act in relay.due(0, now=0.0)] == [1, 2]
    assert relay.due(0, now=1.0) == []
    assert [act.run for act in relay.due(1, now=AGAIN_S)] == [2]
    assert relay.due(3, now=3 * AGAIN_S) == []


def test_what_a_state_has_taken_in_is_not_passed_on():
    relay = Relay()
    relay.follow(said(start(1), start(2), start(3)))
    assert [act.run for act in relay.due(2, now=0.0)] == [3]


def test_acts_that_wait_are_bounded():
    relay = Relay()
    relay.follow(said(*(start(run) for run in range(KEPT + 5))))
    assert next(act.run for act in relay.due(0, now=0.0)) == 5
