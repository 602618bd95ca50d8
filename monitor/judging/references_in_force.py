"""References in force: certified, moved or live, for the conditions of the run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from monitor.quality.reference_acts import Order, ReferenceAct
from monitor.reference.conditions import Conditions
from monitor.reference.live import LiveReference
from monitor.reference.references import References
from monitor.windows import packing
from monitor.windows.clock import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from monitor.alarms.case import Case
    from monitor.detector.places import Places
    from monitor.reference.expectation import Expectation
    from monitor.reference.live import LiveSettings
    from monitor.windows.clock import Clock
    from monitor.windows.rows import Rows


class ReferencesInForce:
    """Decides which references are in force.

    Parameters
    ----------
    certified
        What good showers hold.
    places
        The detector's places.
    settings
        Of the live reference.
    clock
        The time, as it stands.
    """

    def __init__(
        self, certified: Expectation, places: Places, settings: LiveSettings, clock: Clock
    ) -> None:
        self._places, self._settings, self._clock = places, settings, clock
        self._certified = certified
        self.now = References(certified)
        """Those in force."""

        self.live = self._fresh()
        self.conditions = Conditions()

    def _fresh(self) -> LiveReference:
        return LiveReference(self._certified, self._settings, self._places.n_regions)

    def step(self, second: int, rows: Rows, flagged: NDArray[np.bool_]) -> None:
        """Take in a data-second; regions that are flagged, shape (R,), are not believed."""
        live = self.live.step(second, rows, flagged)
        if live is not None:
            self._adopt(live)

    def flag(self, case: Case) -> None:
        """Believe a case's regions no longer, from its onset on."""
        self.conditions.flag(case.onset)
        if self.live.flag(case.regions, case.onset) and self.live.taken.n:
            # What has been subtracted must not be believed any longer.
            self.take_up()

    def take_up(self) -> None:
        """Test against what has been accepted so far, from now on."""
        self._adopt(self.live.take_up())

    def obey(self, act: ReferenceAct) -> ReferenceAct | None:
        """Carry out an order; return what is in force by it at once, if that is to be told."""
        if act.order is Order.CONDITIONS and act.run is not None:
            self.conditions.order(act.run, act.key)
            run = self._clock.run
            if run < 0 or not self.changes_with(run):
                return None
            # Said late: what this run has taught so far was of other conditions.
            self.live.forget(self._clock.run_since)
            return self.change(run)
        self.live.obey(act)
        if act.order in {Order.RESET, Order.ROLLBACK}:  # the others change nothing that is in force
            self.now = replace(self.now, certified=self.live.centre)
            self.take_up()
        return None

    def changes_with(self, run: int) -> bool:
        """Return whether a run has other conditions than those in force."""
        return self.conditions.of(run) != self.conditions.key

    def change(self, run: int) -> ReferenceAct:
        """Put the reference of a run's conditions in force."""
        key, frozen = self.conditions.of(run), self.live.frozen
        self.live = self.conditions.change(key, self.live, self._fresh)
        self.live.frozen = frozen  # until people say otherwise, whatever the conditions
        self._take_centre()
        return self._in_force(Order.CONDITIONS, run=run, key=key)

    def anchor(self, open_: Iterable[Case], untrusted: NDArray[np.bool_]) -> ReferenceAct | None:
        """Move the centre, once that was ordered and there is enough to move it to.

        Regions with a case of their own, or untrusted ones, shape (R,), are no part of it.
        """
        since = self.live.anchor_since
        if since is None:
            return None
        away = untrusted.copy()
        for case in open_:
            if case.place >= self._places.first_region:
                away[case.regions] = True
        if not self.live.anchored(away):
            return None
        self._take_centre()
        return self._in_force(Order.ANCHOR, since_ns=since * SECOND_NS)

    def _adopt(self, live: Expectation | None) -> None:
        epoch, guarded = max(self.live.epoch, 1), self._settings.guarded
        self.now = References(self.now.certified, live, epoch, guarded)

    def _take_centre(self) -> None:
        self.now = References(self.live.centre)
        self._adopt(self.live.expectation())

    def _in_force(self, order: Order, **what: Any) -> ReferenceAct:
        """Return the record that tells that something is so from now on."""
        return ReferenceAct(order, "judge", self._clock.now_ns, in_force=True, **what)

    def words(self) -> dict[str, Any]:
        """Return what is no array of all that changes, as JSON values."""
        return self.conditions.words()

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the references, as arrays."""
        live, aside = self.live.state(), self.conditions.state()
        return packing.under("live.", live) | packing.under("aside.", aside)

    def restore(self, words: dict[str, Any], state: dict[str, NDArray[Any]]) -> None:
        """Take up what `words` and `state` returned."""
        self.live.restore(packing.below("live.", state))
        self.conditions.restore(words, packing.below("aside.", state), self._fresh)
        self._take_centre()
