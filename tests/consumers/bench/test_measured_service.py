"""A measured service is asked seldom: to answer costs it what is measured."""

import itertools

import pytest

from consumers.bench import measured_service
from consumers.bench.measured_service import SELDOM_S, SOON_S, MeasuredService
from consumers.wire.user_error import UserError


class Telling(MeasuredService):
    """Says how far it is by the pauses that there were."""

    def read(self):
        return {"done": sum(self.child)}


@pytest.fixture
def pauses(monkeypatch):
    found = []
    monkeypatch.setattr(measured_service.time, "sleep", found.append)
    return found


def test_who_is_far_from_the_end_is_asked_seldom_and_is_not_passed_by_much(pauses):
    Telling(pauses, "").wait(lambda seen: 9.0 - seen["done"], 60, "the end")
    assert len(pauses) < 20
    assert max(pauses) == SELDOM_S
    assert 9.0 <= sum(pauses) <= 9.0 + SOON_S + 1e-9


def test_who_never_comes_to_the_end_is_given_up(pauses, monkeypatch):
    clock = itertools.count(step=10.0)
    monkeypatch.setattr(measured_service.time, "monotonic", lambda: next(clock))
    with pytest.raises(UserError, match="did not come to the end in 60 s"):
        Telling(pauses, "").wait(lambda _: 1.0, 60, "the end")
