"""Channel watch: sums by channel in, evidence against every channel and group out."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.reference.channel_constants import certified
from monitor.sequential.bank import Bank
from monitor.sequential.channel_streams import INNER, SCOPES, STREAMS, WEIGHTS, streams_of
from monitor.sequential.channel_tests import ChannelTests
from monitor.windows import packing
from monitor.windows.channel_table import ChannelTable
from monitor.windows.lately import Lately

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from monitor.reference.channel_constants import ChannelConstants
    from monitor.sequential.channel_units import ChannelUnits
    from monitor.sequential.rates import Floors, Test
    from monitor.windows.channel_sums import ChannelSums

LATELY_S = (3, 12, 48, 600)
"""Data-seconds of half of each stretch that is looked back at: what is known of a fault is of the
longest that lies after its onset."""

SUSPICION = 2.0
"""Nats against a channel from which on it teaches nothing: a small fault shows long before it is
proven, and would be learnt by then. In good data 2 % of channels are beyond it at any time."""

NEVER = np.iinfo(np.int64).max
"""Data-second since which nothing is suspected."""

DEAD = 0.1
"""Ratio of the rate at which a dead channel is lit that `tells_after` reckons with."""


class ChannelWatch:
    """The e-detectors of all channels and groups, and what feeds them.

    Parameters
    ----------
    units
        Channels and groups.
    pool
        Of each channel; see `monitor.reference.channel_constants.learnt`.
    needed
        Evidence that a page needs of each unit, data-seconds, shape (U,).
    square_var
        Variance of the squared latent by ring, shape (3,).
    """

    def __init__(
        self,
        units: ChannelUnits,
        pool: NDArray[np.int64],
        needed: NDArray[np.float64],
        *,
        square_var: NDArray[np.float64],
        floors: Floors,
        miscoverage: float,
        step_s: int,
    ) -> None:
        self._miscoverage, self._step_s = miscoverage, step_s
        self._needed = needed
        self.tests = ChannelTests(
            units,
            certified(units.n_channels),
            certified(units.n_channels),
            pool,
            square_var,
            floors,
            miscoverage,
        )
        self._bank = Bank(units.n, WEIGHTS, needed, np.float32)
        self._step = ChannelTable(units.n_channels)
        self._gathered, self._since = 0, 0
        self.lately = tuple(Lately(units.n_channels, half) for half in LATELY_S)
        """Sums of the last data-seconds, of the shortest time first."""

        self.ignored = np.zeros(units.n_channels, bool)
        """Channels that are masked or known to be bad: they say nothing, shape (C,)."""

        self.run = ChannelTable(units.n_channels)
        """Sums since evidence was last started anew."""

        self.run_s = 0

    @property
    def units(self) -> ChannelUnits:
        """Return channels and groups."""
        return self.tests.units

    def adopt(
        self, constants: ChannelConstants, epoch: int, centre: ChannelConstants | None = None
    ) -> None:
        """Test against what is learnt of each channel from now on; evidence so far stays.

        Parameters
        ----------
        centre
            What bounds it; as it was, if not given.
        """
        share = 6 / (math.pi * max(epoch, 1)) ** 2
        self.tests = replace(
            self.tests,
            constants=constants,
            centre=self.tests.centre if centre is None else centre,
            miscoverage=self._miscoverage * share,
        )

    def step(self, second: int, sums: ChannelSums, *, new: bool) -> bool:
        """Take in a data-second, or what came late for one; return whether evidence changed."""
        self._since = second if not self._gathered else self._since
        self._step.add(sums)
        self._gathered += int(new)
        for lately in self.lately:
            lately.add(second, sums)
        self.run.add(sums)
        self.run_s += int(new)
        if self._gathered < self._step_s:
            return False
        log_e = self.tests.log_e(self._step, ~self.ignored)
        self._bank.step(log_e, self._gathered, self._since)
        self._step.clear()
        self._gathered = 0
        return True

    def arrange(
        self,
        ignored: NDArray[np.bool_],
        apart: NDArray[np.bool_],
        whole: frozenset[int] = frozenset(),
    ) -> None:
        """Set what counts where; evidence is started anew where that changes it.

        Parameters
        ----------
        ignored
            Channels that say nothing, shape (C,).
        apart
            Channels that groups must not count, since open alarms explain them, shape (C,).
        whole
            Groups (units) that count them all the same: what is open is about them.
        """
        before = self.units.apart
        before = np.zeros_like(apart) if before is None else before
        changed = ignored != self.ignored
        if changed.any():
            self.forget(self.units.touching(changed))
        moved = self.units.touching(apart != before)
        moved[: self.units.n_channels] = False
        moved[list(whole)] = False
        if moved.any():
            self.forget(moved)
        self.ignored = ignored
        self.tests = replace(self.tests, units=replace(self.units, apart=apart, whole=whole))

    def forget(self, units: NDArray[np.bool_] | slice = slice(None)) -> None:
        """Start anew at some units."""
        self._bank.reset(units)

    def new_run(self) -> None:
        """Start anew everywhere."""
        self.forget()
        self._step.clear()
        self._gathered = 0
        self.run.clear()
        self.run_s = 0
        for lately in self.lately:
            lately.clear()

    def total(self) -> NDArray[np.float64]:
        """Return the evidence against each unit, data-seconds, shape (U,)."""
        return self._bank.total()

    def leading(self, unit: int) -> tuple[Test, int, int, float]:
        """Return the test and the stream that say most, the onset, and the log odds since then."""
        stream = self._bank.leading(unit)
        onset = int(self._bank.onset[unit, stream])
        return STREAMS[stream].test, stream, onset, self._bank.log_odds(unit)

    def onsets(self, units: Sequence[int]) -> NDArray[np.int64]:
        """Return the most likely onset at each of some units, data-seconds."""
        return self._bank.best_onsets(np.array(units, np.int64))

    def paths_alike(self, stream: int, unit: int) -> NDArray[np.float64]:
        """Return the log likelihood ratios at a unit of the streams of a stream's test and scope."""
        own = STREAMS[stream]
        alike = [i for i, other in streams_of(own.test) if other.scope == own.scope]
        return np.maximum(self._bank.path[unit, alike].astype(np.float64), 0.0)

    def path(self, stream: int) -> NDArray[np.float64]:
        """Return the log likelihood ratio of a stream since its onset, of each unit, (U,)."""
        return np.maximum(self._bank.path[:, stream].astype(np.float64), 0.0)

    def odds(self) -> NDArray[np.float64]:
        """Return the log likelihood ratio of the best stream of each unit since its onset, (U,)."""
        best: NDArray[np.float64] = self._bank.path.max(1).astype(np.float64)
        return np.maximum(best, 0.0)

    def suspected(self) -> NDArray[np.int64]:
        """Return the data-second since which each channel may be at fault, (C,); or `NEVER`.

        That is where the first stream that says more than `SUSPICION` of a channel, or of a group
        that has it, begins.
        """
        begun = self._bank.onset.astype(np.int64)
        onset: NDArray[np.int64] = np.where(self._bank.path > SUSPICION, begun, NEVER).min(1)
        out = onset[: self.units.n_channels].copy()
        for unit in np.flatnonzero(onset < NEVER):
            members = self.units.members(int(unit))
            out[members] = np.minimum(out[members], onset[unit])
        return out

    def since(self, second: int) -> ChannelTable:
        """Return the sums of what has come since a data-second, or of the newest part of it."""
        return self._reaching(second).table()

    def begin(self, second: int) -> int | None:
        """Return the data-second at which what `since` sums up begins; None if nothing has come."""
        return self._reaching(second).start

    def _reaching(self, second: int) -> Lately:
        early = second - self._step_s
        reaching = [one for one in self.lately if one.start is not None and one.start >= early]
        return (reaching or self.lately[:1])[-1]

    def scores(self, onset: int, without: Sequence[int] = ()) -> NDArray[np.float64]:
        """Return the log likelihood ratios of each unit's streams by what came since, (U, F).

        Parameters
        ----------
        without
            Channels that are left out, of groups too.
        """
        seen = ~self.ignored
        seen[list(without)] = False
        found: NDArray[np.float32] = self.tests.log_e(self.since(onset), seen, capped=False)
        return found.astype(np.float64)

    def touches(self) -> NDArray[np.float64]:
        """Return the showers of this run near whose centre each channel was, shape (C,)."""
        inner: NDArray[np.float64] = self.run["showers"] @ SCOPES[INNER]
        return inner

    def tells_after(self) -> NDArray[np.float64]:
        """Return the data-seconds until each channel has enough showers to be told dead, (C,).

        0 where it has enough, infinite where none come: such a channel is neither good nor bad.
        """
        expected = self.run["lit_expected"] @ SCOPES[INNER]
        n = self.touches()
        rate = np.clip(expected / np.maximum(n, 1), 0.0, 0.999)
        each = -np.log1p((DEAD - 1) * rate)  # nats a shower, were it never lit
        nats = np.log(self._needed[: self.units.n_channels] / WEIGHTS.min())
        left = np.maximum(nats / np.maximum(each, 1e-9) - n, 0.0)
        pace = n / max(self.run_s, 1)
        return np.where(left > 0, np.where(pace > 0, left / np.maximum(pace, 1e-12), np.inf), 0.0)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that changes, as arrays."""
        out: dict[str, NDArray[Any]] = packing.under("bank.", self._bank.state())
        out["bank.onset"] = self._bank.onset.astype(np.int64)
        for name, table in (("step", self._step), ("run", self.run)):
            out |= packing.under(f"{name}.", table.state())
        for i, lately in enumerate(self.lately):
            out |= packing.under(f"lately{i}.", lately.state())
        apart = self.units.apart
        apart = np.zeros(self.units.n_channels, bool) if apart is None else apart
        out |= {"ignored": np.packbits(self.ignored), "apart": np.packbits(apart)}
        out["whole"] = np.array(sorted(self.units.whole), np.int64)
        return out | {"words": np.array([self._gathered, self._since, self.run_s], np.int64)}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take up what `state` returned."""
        n = self.units.n_channels
        ignored, apart = (
            np.unpackbits(state[name].astype(np.uint8), count=n).astype(bool)
            for name in ("ignored", "apart")
        )
        self.arrange(ignored, apart, frozenset(state["whole"].tolist()))
        self._bank.restore(packing.below("bank.", state))
        for name, table in (("step", self._step), ("run", self.run)):
            table.restore(packing.below(f"{name}.", state))
        for i, lately in enumerate(self.lately):
            lately.restore(packing.below(f"lately{i}.", state))
        self._gathered, self._since, self.run_s = state["words"].tolist()
