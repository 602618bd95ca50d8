"""A live reference that has learnt a fault: good data do not page, and the fault still does."""

from __future__ import annotations

import numpy as np
import pytest
from streams import GEOMETRY, Stream, expectation

from monitor.judging.monitor import Monitor
from monitor.judging.settings import MonitorSettings
from monitor.quality.alarms import Alarm, Severity
from monitor.reference.accepted import Accepted
from monitor.reference.accepted import accepted as accepted_rows
from monitor.reference.expectation import allowed
from monitor.reference.live import LiveSettings
from monitor.windows.rows import rows_of


def learnt(judge: Monitor, share: float) -> Accepted:
    """Return an hour's sums in which a share of the showers is strange, and a cell is hot."""
    stream = Stream(regions=8, seed=7, rate=400_000.0)
    stream.strange = dict.fromkeys(range(8), share)
    stream.shift = {(region, 5): 30 * share for region in range(8)}
    stream.spread = {(region, 5): np.sqrt(1 + 900 * share) for region in range(8)}
    rows = rows_of(stream.next(), judge.places)
    return accepted_rows(rows, np.ones(8, bool))


def first_page(share: float, strange: float, *, guarded: bool) -> int | None:
    stream = Stream(regions=8, rate=1000.0)
    settings = MonitorSettings(live=LiveSettings(enabled=False, guarded=guarded))
    reference = expectation(50_000, np.random.default_rng(5))
    judge = Monitor(stream.detector, GEOMETRY, reference, settings)
    judge.live.total = learnt(judge, share)
    judge.adopt_live()
    stream.strange = dict.fromkeys(range(8), strange)
    for t in range(40):
        for said in judge.observe(stream.next()):
            if isinstance(said, Alarm) and said.severity is Severity.PAGE:
                return t
    return None


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.05])
def test_good_data_do_not_page_whatever_the_live_reference_has_learnt(share):
    assert first_page(share, 0.0, guarded=True) is None


def test_without_the_certified_reference_good_data_page():
    """The counterpart: what the guard is for."""
    assert first_page(0.01, 0.0, guarded=False) is not None


def test_a_fault_that_was_learnt_still_pages_behind_the_guard():
    assert first_page(0.01, 0.01, guarded=True) is not None


def test_one_reference_says_all_that_it_says():
    only = (np.array([2.0]), np.array([1.0]))
    assert allowed([only]) == only


def test_what_both_hold_possible_is_narrower_and_what_one_forbids_is_left_out():
    certified = (np.array([2.0, 2.0, 2.0]), np.array([0.0, 0.0, 0.0]))
    live = (np.array([1.2, 2.5, 4.0]), np.array([0.8, 1.3, 2.5]))
    upper, lower = allowed([certified, live])
    np.testing.assert_array_equal(upper, [1.2, 2.0, 2.0])
    np.testing.assert_array_equal(lower, [0.8, 1.3, 0.0])
