"""Live: the stream's own accepted showers, and how far they may be believed.

A live reference grows while data flow, so that what is expected is known to a fraction of a
percent after an hour. It can also learn a fault: a tenth of a percent of strange showers in it
costs most of the power at 1e-3, and nothing shows. Hence three guards: a quarantine before
showers are accepted, exact subtraction of what is flagged later, and the certified reference,
beyond whose own uncertainty no live one is ever believed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from models.scoring.scales import LEVELS
from monitor.quality.reference_acts import Order, ReferenceAct
from monitor.reference.accepted import Accepted, accepted, moved_to, nothing
from monitor.reference.quarantine import CHUNK_S, Quarantine

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from monitor.reference.expectation import Expectation
    from monitor.windows.rows import Rows

MARGIN_S = 30
"""Data-seconds before an onset that are not believed either."""

GROWTH = 2.0
"""A live reference is taken up when it has grown by this factor: each time may be wrong once."""

ANCHOR_S = CHUNK_S
"""Data-seconds that are needed before what has come since a time can be the new centre."""

LEAST = 20
"""Exceedances that a level needs in a live reference before it says anything of that level."""


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """What an operator may set."""

    enabled: bool = True
    quarantine_s: int = 600
    """Data-seconds without an alarm in its region before a shower is accepted."""

    horizon_s: int = 1800
    """Data-seconds for which what was accepted can still be taken out again."""

    guarded: bool = True
    """Whether quarantine, subtraction and the certified bound are in force."""

    @property
    def ends(self) -> int:
        """Return at how many chunks what is known of a channel may end, each time it is taken up."""
        return self.horizon_s // CHUNK_S + 2


class LiveReference:
    """What has been accepted of the stream, with its provenance.

    Parameters
    ----------
    certified
        What good showers are known to hold.
    settings
        What an operator may set.
    n_regions
        R.
    """

    def __init__(self, certified: Expectation, settings: LiveSettings, n_regions: int) -> None:
        self.certified = certified
        self.settings = settings
        self._n_regions = n_regions
        self.total = nothing(certified)
        self.taken = nothing(certified)
        """What the expectation in force is made of."""

        self.quarantine = Quarantine()
        self.frozen = False
        self.epoch = 0
        """Times that the live reference has been taken up."""

        self.first: int | None = None
        self.last: int | None = None
        """Data-seconds of the oldest and newest accepted chunk."""

        self.anchor: Accepted | None = None
        """What the certified reference has been moved to, by order."""

        self.anchor_since: int | None = None
        """Data-second from which on all is good, where there is not enough of it yet.

        The order waits while other conditions hold, and is carried out frozen or not."""

    @property
    def centre(self) -> Expectation:
        """Return the reference that bounds what the live one may believe."""
        if self.anchor is None:
            return self.certified
        return moved_to(self.anchor, self.certified, f"anchored-{self.anchor.n}", "anchored")

    def anchored(self, leave_out: NDArray[np.bool_]) -> bool:
        """Move the centre if that was ordered and there is enough to move it to; return whether.

        Parameters
        ----------
        leave_out
            Regions that are not good, whatever was ordered, shape (R,).
        """
        since = self.anchor_since
        if since is None:
            return False
        chunks = self.quarantine.since(since)
        total = sum((accepted(chunk.rows, ~leave_out) for chunk in chunks), nothing(self.certified))
        if total.n < LEAST / LEVELS[-1] or self.quarantine.newest - chunks[0].start < ANCHOR_S:
            return False
        self.reset()
        self.anchor = total
        return True

    def awaited(self) -> str:
        """Return what an ordered centre waits for, in words; empty where none is ordered."""
        since = self.anchor_since
        if since is None:
            return ""
        chunks = self.quarantine.since(since)
        seconds = self.quarantine.newest - chunks[0].start if chunks else 0
        n = sum(int(chunk.rows.showers.sum()) for chunk in chunks)
        return (
            f"a new centre is ordered: {seconds} of {ANCHOR_S} s of data and {n:,} of "
            f"{LEAST / LEVELS[-1]:,.0f} showers have come"
        )

    def set_aside(self) -> None:
        """Keep what is accepted while other conditions hold; what is in quarantine never will be."""
        self.quarantine.clear()
        if self.total.n < self.taken.n:  # what has been taken out must not come back
            self.take_up()

    def step(self, second: int, rows: Rows, flagged: NDArray[np.bool_]) -> Expectation | None:
        """Take in a data-second; return a new live expectation if it is time for one.

        Parameters
        ----------
        flagged
            Regions that an alarm claims or a mask covers now, shape (R,).
        """
        learns = self.settings.enabled and not self.frozen
        if not learns and self.anchor_since is None:
            return None
        # Where nothing is learnt it is kept for the new centre alone.
        self.quarantine.add(second, rows, flagged, cut=self.anchor_since, barred=not learns)
        self.quarantine.forget(second - self._quarantine_s - self.settings.horizon_s)
        if not learns:
            return None
        self._accept(second)
        if self.total.n >= max(GROWTH * self.taken.n, self._least()):
            return self.take_up()
        return None

    def turn_back(self, second: int) -> None:
        """Go on at an earlier data-second; what is in quarantine and lies beyond it is not believed."""
        self.quarantine.turn_back(second)

    def _least(self) -> float:
        """Return the showers below which a live reference tells less than the certified one."""
        return min(0.2 * self.centre.n, LEAST / LEVELS[1])

    def _accept(self, now: int) -> None:
        """Accept what has served its quarantine."""
        for chunk in self.quarantine.before(now - self._quarantine_s):
            good = ~chunk.counted & (not chunk.barred)
            if self.settings.guarded:
                good &= ~chunk.flagged
            if good.any():
                self.total += accepted(chunk.rows, good)
                chunk.counted |= good
                self.first = chunk.start if self.first is None else self.first
                self.last = chunk.start + CHUNK_S

    @property
    def _quarantine_s(self) -> int:
        return self.settings.quarantine_s if self.settings.guarded else 0

    def flag(self, regions: Iterable[int], onset: int) -> bool:
        """Take an alarm's regions out from its onset on; return whether anything was accepted."""
        if not self.settings.guarded:
            return False
        rows = np.isin(np.arange(self._n_regions), list(regions))
        return self._take_out(rows, onset - MARGIN_S)

    def _take_out(self, rows: NDArray[np.bool_], since: int) -> bool:
        removed = False
        for chunk in self.quarantine.reaching(since):
            chunk.flagged |= rows
            bad = rows & chunk.counted
            if bad.any():
                self.total -= accepted(chunk.rows, bad)
                chunk.counted &= ~bad
                removed = True
        return removed

    def obey(self, act: ReferenceAct) -> None:
        """Carry out an order."""
        if act.order is Order.RESET:
            self.reset()
        elif act.order is Order.ROLLBACK and act.since_ns is not None:
            self.forget(act.since_ns // 1_000_000_000)
        elif act.order is Order.ANCHOR and act.since_ns is not None:
            self.anchor_since = act.since_ns // 1_000_000_000
        else:
            self.frozen = act.order is Order.FREEZE

    def forget(self, since: int) -> None:
        """Take out what came since a data-second; all of it, where that cannot be subtracted."""
        if self.first is not None and not self.quarantine.holds(since):
            self.total = self.taken = nothing(self.certified)
            self.quarantine.clear()
            self.first = self.last = None
        self._take_out(np.ones(self._n_regions, bool), since)

    def reset(self) -> None:
        """Forget all that was accepted, and where the centre was moved to."""
        self.total = self.taken = nothing(self.certified)
        self.quarantine.clear()
        self.epoch = 0
        self.first = self.last = None
        self.anchor = self.anchor_since = None

    def take_up(self) -> Expectation | None:
        """Put what is accepted now in force, and return it."""
        self.epoch += 1
        self.taken = self.total
        return self.expectation()

    def expectation(self) -> Expectation | None:
        """Return what the accepted showers in force expect; None if there are none."""
        if not self.taken.n:
            return None
        return moved_to(self.taken, self.centre, f"live-{self.epoch}-{self.taken.n}")

    def distance(self) -> float | None:
        """Return how far the live exceedance rate at 1e-2 is from the certified one, in sigma.

        None before anything was accepted. The uncertainty is that of both references.
        """
        if self.total.n < LEAST / LEVELS[1]:
            return None
        at = LEVELS.index(0.01)
        mix = self.total.showers / self.total.n
        live = self.total.exceedances[:, at].sum() / self.total.n
        centre = self.centre
        counts, trials = centre.exceedances[:, at], centre.showers
        certified = float(mix @ (counts / trials))
        variance = float(np.square(mix) @ (counts / trials**2)) + live / self.total.n
        return float((live - certified) / np.sqrt(max(variance, 1e-12)))

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that changes, as arrays."""
        out: dict[str, NDArray[Any]] = {
            f"{name}.{f.name}": getattr(sums, f.name)
            for name, sums in (("total", self.total), ("taken", self.taken))
            for f in fields(Accepted)
        }
        out |= self.quarantine.state()
        times = [-1 if s is None else s for s in (self.first, self.last, self.anchor_since)]
        words = [self.frozen, self.epoch, *times, self.quarantine.newest, self.anchor is not None]
        anchor = self.anchor or nothing(self.certified)
        out |= {f"anchor.{f.name}": getattr(anchor, f.name) for f in fields(Accepted)}
        return out | {"words": np.array(words, np.int64)}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take up what `state` returned."""
        self.total, self.taken, anchor = (
            Accepted(*(state[f"{name}.{f.name}"].astype(np.int64) for f in fields(Accepted)))
            for name in ("total", "taken", "anchor")
        )
        self.quarantine.restore(state)
        frozen, self.epoch, *times, self.quarantine.newest, moved = state["words"].tolist()
        self.frozen = bool(frozen)
        self.first, self.last, self.anchor_since = (None if s < 0 else s for s in times)
        self.anchor = anchor if moved else None
