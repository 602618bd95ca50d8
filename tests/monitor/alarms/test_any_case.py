"""Whether a fault goes on is asked of the likeliest bet of its test."""

from __future__ import annotations

from monitor.alarms.case import Case
from monitor.quality.alarms import Severity
from monitor.sequential.rates import Test


def found(**changes) -> Case:
    fields = {
        "id": "A1-7",
        "place": 3,
        "regions": [0],
        "diffuse": False,
        "onset": 5,
        "raised": 7,
        "severity": Severity.PAGE,
        "test": Test.EXCEEDANCES,
        "stream": 0,
        "odds": 40.0,
        "once_in": 1e9,
        "peak": 40.0,
        "peak_at": 7,
        "checked_path": 40.0,
    }
    return Case(**(fields | changes))


def test_a_bet_that_melts_gives_way_to_one_that_says_more_and_is_measured_from_there():
    case = found()
    paths = {0: 25.0, 1: 30.0}
    assert case.hear(1, paths.__getitem__, 12) == 30.0
    assert (case.telling, case.stream, case.checked_path) == (1, 0, 30.0)
    assert case.peak_at == 7  # what says more because others melt is no later end
    paths |= {0: 5.0, 1: 55.0}
    assert case.hear(1, paths.__getitem__, 20) == 55.0
    assert (case.peak, case.peak_at, case.checked_path) == (55.0, 20, 30.0)


def test_a_bet_that_says_most_stays_and_so_does_one_that_says_as_much():
    case = found()
    assert case.hear(1, {0: 44.0, 1: 44.0}.__getitem__, 9) == 44.0
    assert (case.telling, case.followed, case.peak_at) == (0, -1, 9)


def test_who_is_followed_is_kept_with_the_case():
    case = found(followed=2)
    assert Case.from_json(case.to_json()) == case
    older = {key: value for key, value in case.to_json().items() if key != "followed"}
    assert Case.from_json(older).telling == 0
