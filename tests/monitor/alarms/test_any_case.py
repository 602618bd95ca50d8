"""Whether a fault goes on is asked of the likeliest bet of its test, beside itself of before."""

from __future__ import annotations

import numpy as np

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
    }
    return Case(**(fields | changes))


def heard(case: Case, *paths: float, now: int) -> None:
    case.hear(np.array(paths), now)


def test_a_fault_goes_on_while_the_likeliest_bet_gains_though_the_one_that_found_it_melts():
    case = found()
    heard(case, 40.0, 12.0, now=8)
    assert case.goes_on(np.array([25.0, 30.0]))
    assert case.goes_on(np.array([5.0, 55.0]))
    assert not case.goes_on(np.array([50.0, 54.0]))


def test_two_bets_that_run_neck_and_neck_end_nothing():
    case = found()
    heard(case, 30.0, 29.0, now=8)
    assert case.goes_on(np.array([40.0, 40.5]))
    assert case.goes_on(np.array([51.0, 50.0]))
    assert case.goes_on(np.array([60.0, 60.0]))


def test_the_likely_end_is_where_the_likeliest_said_most():
    case = found()
    heard(case, 44.0, 10.0, now=9)
    heard(case, 30.0, 60.0, now=20)
    heard(case, 10.0, 58.0, now=21)
    assert (case.peak, case.peak_at) == (60.0, 20)


def test_what_was_looked_at_is_kept_with_the_case():
    case = found()
    heard(case, 41.0, 3.0, now=9)
    assert Case.from_json(case.to_json()) == case
