"""The law that the tests of good data keep, at the smallest reference and where it is hardest."""

import numpy as np
import pytest
from law import Book
from streams import GEOMETRY, Stream, expectation

from monitor.judging.monitor import Monitor
from monitor.judging.settings import MonitorSettings
from monitor.quality.acknowledgements import Acknowledgement, Mask
from monitor.sequential.bank import Bank

SMALLEST = 3_000
RARE = 2e-3


def rarely_lit(n_ref, rng, rare):
    """Return a reference of so many showers of which some cells are rarely lit."""
    from dataclasses import replace

    reference = expectation(n_ref, rng)
    lit = rng.binomial(n_ref, rare, GEOMETRY.n_cells) / n_ref
    return replace(reference, lit_rate=np.tile(lit, (len(reference.showers), 1)))


@pytest.mark.slow
@pytest.mark.parametrize("rate", [30.0, 2_000.0])
@pytest.mark.parametrize("masked", [False, True])
def test_good_data_gain_nothing_at_the_smallest_reference(rate, masked, law):
    stream = Stream(rate=rate, rates=RARE)
    reference = rarely_lit(SMALLEST, np.random.default_rng(7), RARE)
    judge = Monitor(stream.detector, GEOMETRY, reference, MonitorSettings())
    if masked:
        cells = (Mask(2, (3,)), Mask(5, (0, 7, 8, 9)))
        judge.acknowledge(Acknowledgement("x", "Ada", "known", 0, cells))
    held = []
    for t in range(120):
        window = stream.next()
        if t % 10 == 9:
            held.append(window)  # a second that comes late
            continue
        judge.observe(window)
        if t % 10 == 5 and held:
            judge.observe(held.pop(), late=True)
    assert law.well
    assert judge.open_alarms() == ()


def test_a_bet_at_unfair_odds_is_found_out():
    rng, book, fair = np.random.default_rng(1), Book(), Book()
    for _ in range(200):
        up = rng.random((8, 3)) < 0.5
        book.note(np.where(up, 1.6, 0.5))
        fair.note(np.where(up, 1.5, 0.5))
    assert book.excess() > 3
    assert fair.excess() < 6


def test_a_test_that_gains_from_good_data_breaks_the_law(law):
    bank = Bank(8, np.full(3, 0.3), np.full(8, 1e6))
    rng = np.random.default_rng(2)
    law.watching = True
    for second in range(100):
        bank.step(rng.normal(0.1, 0.3, (8, 3)), 1, second)
    with pytest.raises(AssertionError, match="above one"):
        law.check()
    law._books.clear()  # what it has found is what it was to find
