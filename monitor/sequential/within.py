"""Within: the places inside of a fault that is known, tested against what they show since it began.

While a fault of a whole place is open, every region in it differs from what is good, and a second
fault there would be lost in the first. What the place shows since then is taken as what is usual:
a region that differs from it has a fault of its own. If all of it moves on, it is taken anew.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from models.scoring.scales import Z_UNIT
from monitor.reference.accepted import accepted, moved_to
from monitor.reference.expectation import Expectation, no_showers
from monitor.sequential.bank import Bank
from monitor.sequential.cells import CellTests
from monitor.sequential.rates import RateTests
from monitor.windows import packing
from monitor.windows.rows import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.detector.places import Places
    from monitor.sequential.cells import Sums
    from monitor.sequential.rates import Counts, Floors

GATHER_S = 30
"""Data-seconds of a known fault that are taken as what is usual with it,"""

LEAST = 2000
"""and the showers that they need to have."""

APART = 3.0
"""Regions may differ by so many times what they typically do."""

FAR_OFF = 6.0
"""Beyond so many times, a region is no part of what is usual."""

ORIGIN = "present"
"""Of an expectation that is made of what a known fault shows."""


@dataclass(frozen=True, slots=True)
class Tests:
    """What places are tested against."""

    expectation: Expectation
    rates: RateTests
    cells: CellTests

    __test__ = False  # pytest: no test case


class Within:
    """The evidence against the places inside of one known fault.

    Parameters
    ----------
    regions
        Of the known fault, shape (R,).
    outer
        Tests that it was found by.
    needed
        Evidence that a page needs at each place, data-seconds, shape (P,).
    places
        The detector's places.
    shares
        Of the evidence's weight, for counts and for latents.
    """

    def __init__(
        self,
        regions: NDArray[np.bool_],
        outer: Tests,
        needed: NDArray[np.float64],
        places: Places,
        shares: tuple[float, float],
    ) -> None:
        self.regions = regions
        self._needed, self._all = needed, places
        self._outer = outer
        self.rates = Bank(len(needed), outer.rates.weights * shares[0], needed)
        self.cells = Bank(len(needed), outer.cells.weights * shares[1], needed, np.float32)
        self.places: NDArray[np.bool_] = places.inside(regions) & (places.sizes < regions.sum())
        """Places that lie inside and are not the whole of it, shape (P,)."""

        self.restart()

    def restart(self) -> None:
        """Gather anew what is usual."""
        self._rows = no_showers(self._outer.expectation, self._all.n_regions)
        self._seconds = 0
        self.tests: Tests | None = None
        """None while what is usual is being gathered: nothing is said of the places inside."""

        self.forget()

    def forget(self, places: NDArray[np.bool_] | slice = slice(None)) -> None:
        """Start anew at some places."""
        self.rates.reset(places)
        self.cells.reset(places)

    def gather(
        self, rows: Rows, trusted: NDArray[np.bool_], floors: Floors, miscoverage: float
    ) -> None:
        """Take in a data-second of what is usual; regions of other faults are not trusted, (R,)."""
        if self.tests is not None:
            return
        self._rows += rows
        self._seconds += 1
        chosen = self.regions & trusted
        if self._seconds < GATHER_S or int(self._rows.showers[chosen].sum()) < LEAST:
            return
        usual = usual_of(self._rows, chosen, self._outer.expectation, floors)
        self._begin(*usual, miscoverage)
        self._rows = no_showers(self._outer.expectation, self._all.n_regions)

    def _begin(self, usual: Expectation, floors: Floors, miscoverage: float) -> None:
        tested = ((usual, miscoverage),)
        self.tests = Tests(usual, RateTests(tested, floors), CellTests(tested, floors))

    def step(self, counts: Counts, new: int, second: int) -> None:
        """Take in a data-second, or what came late for one."""
        if self.tests is not None:
            self.rates.step(self.tests.rates.log_e(counts), new, second)

    def step_cells(self, sums: Sums, seconds: int, since: int) -> None:
        """Take in a step of the tests of latents."""
        if self.tests is None:
            return
        self.tests.cells.step(self.cells, sums, seconds, since)
        if self._moved_on():
            self.restart()

    def _moved_on(self) -> bool:
        """Return whether the known fault is not what it was.

        Then the whole of it says so, and the single regions inside all alike or none. Where few of
        them do, it is a second fault, which must not become what is usual.
        """
        total = self.total()
        whole = self._all.inside(self.regions) & ~self.places
        if not (total[whole] >= self._needed[whole]).any():
            return False
        single = self.places & (self._all.sizes == 1)
        telling = total[single] >= np.sqrt(self._needed[single])
        return not 0 < telling.sum() <= len(telling) / 2

    def total(self) -> NDArray[np.float64]:
        """Return the evidence against each place, data-seconds, shape (P,)."""
        return self.rates.total() + self.cells.total()

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that changes, as arrays."""
        out: dict[str, NDArray[Any]] = {"seconds": np.array(self._seconds)}
        for name, bank in (("rates", self.rates), ("cells", self.cells)):
            out |= packing.under(f"{name}.", bank.state())
        out |= {f"rows.{f.name}": getattr(self._rows, f.name) for f in fields(Rows)}
        if self.tests is not None:
            floors = self.tests.rates.floors
            out |= {f"floors.{name}": np.asarray(getattr(floors, name)) for name in LOOSENED}
            usual = self.tests.expectation
            out |= {f"usual.{name}": getattr(usual, name) for name in _ARRAYS}
            out["usual.id"] = np.frombuffer(usual.id.encode(), np.uint8)
        return out

    def restore(self, state: dict[str, NDArray[Any]], floors: Floors, miscoverage: float) -> None:
        """Take up what `state` returned."""
        self._seconds = int(state["seconds"])
        for name, bank in (("rates", self.rates), ("cells", self.cells)):
            bank.restore(packing.below(f"{name}.", state))
        self._rows = Rows(*(state[f"rows.{f.name}"].astype(np.int64) for f in fields(Rows)))
        if "usual.id" in state:
            id_ = state["usual.id"].astype(np.uint8).tobytes().decode()
            arrays = {name: state[f"usual.{name}"] for name in _ARRAYS}
            usual = replace(self._outer.expectation, id=id_, origin=ORIGIN, **arrays)
            loose: dict[str, Any] = {name: state[f"floors.{name}"] for name in LOOSENED}
            self._begin(usual, replace(floors, **loose), miscoverage)


LOOSENED = ("tail", "mean", "spread", "lit")
"""Floors that grow with how far regions differ under a known fault."""

_ARRAYS = tuple(f.name for f in fields(Expectation) if f.name not in {"origin", "id"})


def usual_of(
    rows: Rows, regions: NDArray[np.bool_], centre: Expectation, floors: Floors
) -> tuple[Expectation, Floors]:
    """Return what some regions show together, and floors that allow for how they differ.

    Parameters
    ----------
    rows
        Counts of some data-seconds.
    regions
        Those to be taken, shape (R,).
    centre
        Gives the dependence on conditions.
    """
    own = rows_of_regions(rows, regions & (rows.showers.sum(1) > 0))
    within = {name: _difference(*own[name]) for name in own}
    left_out = np.zeros(len(regions), bool)
    chosen = np.flatnonzero(regions & (rows.showers.sum(1) > 0))
    apart = np.max([found.far_off for found in within.values()], axis=0)
    if apart.mean() < 1 / 2:
        left_out[chosen[apart]] = True
    usual = accepted(rows, regions & ~left_out)
    loose: dict[str, Any] = {
        name: getattr(floors, name) + APART * found.typical for name, found in within.items()
    }
    expectation = moved_to(usual, centre, f"present-{usual.n}", ORIGIN)
    return expectation, replace(floors, **loose)


@dataclass(frozen=True, slots=True, eq=False)
class _Differences:
    """How far regions are from their median in several quantities."""

    typical: NDArray[np.float64]
    """What chance does not explain of the typical distance, by quantity."""

    far_off: NDArray[np.bool_]
    """Regions that are far off in one quantity, by region."""


def _difference(values: NDArray[np.float64], errors: NDArray[np.float64]) -> _Differences:
    """Return how values of several regions differ, shape (R, X) with their errors."""
    off = np.abs(values - np.median(values, axis=0))
    typical = 1.48 * np.median(off, axis=0)
    noise = np.median(errors, axis=0)
    far = off > FAR_OFF * np.maximum(np.maximum(typical, errors), 1e-3)
    far_off = np.asarray(far.any(1))
    return _Differences(np.sqrt(np.maximum(typical**2 - noise**2, 0.0)), far_off)


def rows_of_regions(
    rows: Rows, regions: NDArray[np.bool_]
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return, for each floor that is loosened, the values of regions in its unit, and their errors."""
    n = rows.showers[regions].sum(1, keepdims=True).astype(np.float64)
    z, square = (x[regions] * Z_UNIT / n for x in (rows.z, rows.z_square))
    lit = rows.lit[regions] / n
    tail = rows.exceedances[regions].sum(1) / n
    pooled = [np.maximum((n * x).sum(0) / n.sum(), 1e-4) for x in (square, lit, tail)]
    sigma = np.sqrt(np.maximum(pooled[0] - np.square((n * z).sum(0) / n.sum()), 1e-6))
    rare = np.maximum(np.minimum(pooled[1], 1 - pooled[1]), 1e-4)
    return {
        "mean": (z / sigma, 1 / np.sqrt(n) + 0 * z),
        "spread": (square / pooled[0], np.sqrt(2 / n) + 0 * z),
        "lit": (lit / rare, np.sqrt(1 / (n * rare))),
        "tail": (tail / pooled[2], np.sqrt(1 / (n * pooled[2]))),
    }
