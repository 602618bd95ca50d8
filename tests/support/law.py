"""The law of all tests of good data: the mean of each step's e-value is at most one.

Every stream of every test is held to it for as long as nothing is wrong with it: at whatever
reference the test has, with late steps and masked cells. A false page is then as rare as it is
said to be; what breaks it here would page on good data one day.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from monitor.judging.selftest import SelfTesting
from monitor.sequential.bank import Bank
from monitor.sequential.watch import Watch

SIGMAS = 6.0
"""So many standard errors over one are no chance, in some ten thousand streams."""

LEAST = 30
"""Steps that are needed before anything is said."""


@dataclass
class Book:
    """Sums of e-values by place and stream, and of their means over all places of one step."""

    steps: int = 0
    sums: np.ndarray = field(default_factory=lambda: np.zeros(2))
    squares: np.ndarray = field(default_factory=lambda: np.zeros(2))
    pooled: np.ndarray = field(default_factory=lambda: np.zeros(2))
    pooled_squares: np.ndarray = field(default_factory=lambda: np.zeros(2))

    def note(self, e: np.ndarray) -> None:
        mean = e.mean(0)
        if not self.steps:
            self.sums, self.squares = np.zeros(e.shape), np.zeros(e.shape)
            self.pooled, self.pooled_squares = np.zeros(mean.shape), np.zeros(mean.shape)
        self.steps += 1
        self.sums += e
        self.squares += e * e
        self.pooled += mean
        self.pooled_squares += mean * mean

    def excess(self) -> float:
        """Return by how many standard errors the worst mean is above one."""
        found = [_excess(self.steps, self.sums, self.squares)]
        found.append(_excess(self.steps, self.pooled, self.pooled_squares))
        return max(found)


def _excess(n: int, sums: np.ndarray, squares: np.ndarray) -> float:
    mean = sums / n
    # A bet that gains a little at every step loses all of it seldom, perhaps not in these.
    error = np.maximum(np.sqrt(np.maximum(squares / n - mean**2, 0.0) / n), 1 / n)
    return float(((mean - 1) / error).max())


class Law:
    """Looks over the shoulder of every bank of tests while all streams are well."""

    def __init__(self) -> None:
        self.well = True
        self.muted = False
        self.watching = False
        """Whether a bank is fed by a watch: one that a test feeds by itself is its own business."""

        self._books: dict[tuple[int, int], tuple[Bank, Book]] = {}
        """By bank, and the first of the places that step together."""

    def struck(self) -> None:
        """Say that something is wrong with a stream from now on: tests may gain."""
        self.well = False

    def note(self, bank: Bank, log_e: np.ndarray, first: int) -> None:
        """Take in what a step says."""
        if self.well and self.watching and not self.muted:
            _, book = self._books.setdefault((id(bank), first), (bank, Book()))
            book.note(np.exp(np.minimum(log_e, 30.0).astype(np.float64)))

    def check(self) -> None:
        """Fail if good data have been betted against at a gain."""
        for _, book in self._books.values():
            if book.steps >= LEAST:
                assert book.excess() < SIGMAS, "the mean e-value of good data is above one"


IN_FORCE: list[Law] = []


@contextmanager
def law_in_force(monkeypatch):
    """Hold every bank of tests to the law until the end of the block."""
    law = Law()
    step, observe, watch = Bank.step, SelfTesting.observe, Watch.step

    def noted(bank, log_e, seconds, since, first=0):
        law.note(bank, log_e, first)
        step(bank, log_e, seconds, since, first)

    def watched(self, second, rows, **how):
        law.watching = True
        try:
            watch(self, second, rows, **how)
        finally:
            law.watching = False

    def muted(self, *windows, **unknown):
        law.muted = True  # what it sees has faults
        try:
            observe(self, *windows, **unknown)
        finally:
            law.muted = False

    monkeypatch.setattr(Bank, "step", noted)
    monkeypatch.setattr(Watch, "step", watched)
    monkeypatch.setattr(SelfTesting, "observe", muted)
    IN_FORCE.append(law)
    try:
        yield law
        law.check()
    finally:
        IN_FORCE.remove(law)
