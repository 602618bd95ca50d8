"""Evidence: what the banks say of every place, outside and inside of known faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.sequential.bank import Bank
from monitor.sequential.rates import FAMILY_SHARE as RATE_FAMILIES
from monitor.sequential.rates import Test
from monitor.sequential.traffic import DOUBTED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.detector.places import Places
    from monitor.sequential.cells import CellTests
    from monitor.sequential.rates import RateTests
    from monitor.sequential.within import Within

RATES_SHARE = 0.5
"""Share of the evidence weight of the tests of counts; the tests of latents have the rest."""


TRAFFIC = frozenset({Test.SILENT, Test.CROWDED})
"""Tests whose evidence grows by so much a second at most: what fails together crosses together."""


class Evidence:
    """The banks of e-detectors of all places.

    Parameters
    ----------
    places
        The detector's places.
    needed
        Evidence that a page needs at each place, data-seconds, shape (P,).
    rates, cells
        The tests: which streams there are, and what each looks at.
    """

    def __init__(
        self, places: Places, needed: NDArray[np.float64], rates: RateTests, cells: CellTests
    ) -> None:
        self._first_region = places.first_region
        self.counts = Bank(places.n, rates.weights * RATES_SHARE, needed)
        self.latents = Bank(places.n, cells.weights * (1 - RATES_SHARE), needed, np.float32)
        self.within: dict[str, Within] = {}
        """The evidence of places inside of known faults, by the name of the fault."""

        self._count_kinds, self._latent_kinds = rates.kinds, cells.kinds
        self._latent, self._weights = cells.latent, cells.weights
        self._of_test = {
            test: np.flatnonzero([kind is test for kind in kinds])
            for kinds in (rates.kinds, cells.kinds)
            for test in set(kinds)
        }
        self._of_traffic = self._of_tests(TRAFFIC)
        self._n_latents = cells.n_latents

    @property
    def banks(self) -> tuple[tuple[str, Bank], tuple[str, Bank]]:
        """Return the banks of whole places, by name."""
        return ("rates", self.counts), ("cells", self.latents)

    def forget(self, places: NDArray[np.bool_] | slice = slice(None)) -> None:
        """Start anew at some places."""
        self.counts.reset(places)
        self.latents.reset(places)
        for within in self.within.values():
            within.forget(places)

    def crowded(self) -> NDArray[np.bool_]:
        """Return the regions of which evidence says that they have too many showers, shape (R,)."""
        paths = self.counts.path[self._first_region :, self._of_test[Test.CROWDED]]
        return np.asarray((paths > DOUBTED).any(1))

    def _banks(self, place: int) -> tuple[Bank, Bank]:
        """Return the banks whose evidence is that of a place."""
        inside = (w for w in self.within.values() if w.places[place])
        within = next(inside, None)
        return (self.counts, self.latents) if within is None else (within.rates, within.cells)

    def places_inside(self) -> NDArray[np.bool_]:
        """Return the places tested against what a known fault around them shows, shape (P,)."""
        inside = np.zeros(len(self.counts.evidence), bool)
        for within in self.within.values():
            inside |= within.places
        return inside

    def total(self) -> NDArray[np.float64]:
        """Return the evidence against each place, data-seconds, shape (P,)."""
        total = self.counts.total() + self.latents.total()
        for within in self.within.values():
            np.copyto(total, within.total(), where=within.places)
        return total

    def traffic_total(self) -> NDArray[np.float64]:
        """Return the part of the evidence that is of too few or too many showers, shape (P,)."""
        at = self._of_traffic
        total: NDArray[np.float64] = self.counts.evidence[:, at] @ self.counts.weights[at]
        for within in self.within.values():
            inner = within.rates.evidence[:, at] @ within.rates.weights[at]
            np.copyto(total, inner, where=within.places)
        return total

    def leading(
        self, place: int, among: frozenset[Test] | None = None
    ) -> tuple[Test, int, int, float]:
        """Return the test and the stream that say most, the onset, and the log odds since then.

        Parameters
        ----------
        among
            Tests of counts that are asked alone.
        """
        rates, cells = self._banks(place)
        if among is not None:
            asked = self._of_tests(among)
            stream = int(asked[int(np.argmax(rates.path[place, asked]))])
            onset, path = int(rates.onset[place, stream]), float(rates.path[place, stream])
            return self._count_kinds[stream], stream, onset, path
        by_rates = rates.at(place) >= cells.at(place)
        bank, tests = (rates, self._count_kinds) if by_rates else (cells, self._latent_kinds)
        stream = bank.leading(place)
        odds = np.logaddexp(rates.log_odds(place), cells.log_odds(place))
        return tests[stream], stream, bank.best_onset(place), float(odds)

    def paths_alike(self, test: Test, stream: int, places: list[int]) -> NDArray[np.float64]:
        """Return the log likelihood ratios of all streams that ask what a stream does, (A,).

        They are of its test and of its latent, on any size of fault; summed over some places.
        """
        which = 0 if test in RATE_FAMILIES else 1
        asked = self._of_test[test]
        if which:
            asked = asked[self._latent[asked] == self._latent[stream]]
        paths = np.zeros(len(asked))
        for place in places:
            paths += np.maximum(self._banks(place)[which].path[place, asked], 0.0)
        return paths

    def path(self, test: Test, stream: int) -> NDArray[np.float64]:
        """Return the log likelihood ratio of a stream since its onset, at each place, (P,)."""
        return np.maximum(self._of_stream("path", test, stream).astype(np.float64), 0.0)

    def onsets(self, test: Test, stream: int) -> NDArray[np.int64]:
        """Return the most likely onset of a stream at each place, data-second, shape (P,)."""
        return self._of_stream("onset", test, stream).astype(np.int64)

    def _of_tests(self, tests: frozenset[Test]) -> NDArray[np.int64]:
        """Return the streams of some tests of one bank, ascending."""
        return np.sort(np.concatenate([self._of_test[test] for test in tests]))

    def _of_stream(self, what: str, test: Test, stream: int) -> NDArray[Any]:
        bank = "rates" if test in RATE_FAMILIES else "cells"
        outer = self.counts if bank == "rates" else self.latents
        out: NDArray[Any] = getattr(outer, what)[:, stream].copy()
        for within in self.within.values():
            inner = getattr(getattr(within, bank), what)[:, stream]
            np.copyto(out, inner, where=within.places)
        return out

    def latent_evidence(self, place: int) -> NDArray[np.float64]:
        """Return the evidence of each latent at a place, data-seconds, shape (D,)."""
        _, cells = self._banks(place)
        return np.bincount(
            self._latent,
            cells.evidence[place] * self._weights,
            minlength=self._n_latents,
        ) / np.bincount(self._latent, self._weights, minlength=self._n_latents)
