"""Conditions: the key (run period, beam mode, high voltage) of each run, and a reference for each.

What is good at one high voltage is not at another. A run has one key, so that no window straddles
two; the live reference of a key is set aside while another holds, and taken up again with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from monitor.reference.live import LiveReference

KEPT = 8
"""Keys whose references are kept; beyond, the one that was set aside first is forgotten."""

KEPT_RUNS = 64
"""Changes of key that are remembered."""


class Conditions:
    """Which key holds, and the live references of keys that do not hold now.

    Examples
    --------
    >>> conditions = Conditions()
    >>> conditions.order(311, "1200 V")
    >>> conditions.of(310), conditions.of(311), conditions.of(400)
    ('', '1200 V', '1200 V')
    """

    def __init__(self) -> None:
        self.key = ""
        """Of the run that is being judged."""

        self._starts: dict[int, str] = {}
        self._aside: dict[str, LiveReference] = {}

    def order(self, run: int, key: str) -> None:
        """Say that runs have a key, from this one on, until the next run of which it was said."""
        self._starts[run] = key
        while len(self._starts) > KEPT_RUNS:
            del self._starts[min(self._starts)]

    def of(self, run: int) -> str:
        """Return the key of a run; empty if nobody has said one."""
        before = [start for start in self._starts if start <= run]
        return self._starts[max(before)] if before else ""

    def change(
        self, key: str, live: LiveReference, fresh: Callable[[], LiveReference]
    ) -> LiveReference:
        """Set the live reference of the old key aside, and return that of the new one."""
        live.set_aside()
        self._aside[self.key] = live
        self.key = key
        found = self._aside.pop(key, None)
        while len(self._aside) > KEPT:
            del self._aside[next(iter(self._aside))]
        return fresh() if found is None else found

    def flag(self, onset: int) -> None:
        """Forget what was accepted after a fault had begun: it cannot be taken out any more.

        A centre that was moved by order stays: people have said that it is good.
        """
        for live in self._aside.values():
            if live.last is not None and live.last > onset:
                live.forget(onset)

    def words(self) -> dict[str, Any]:
        """Return what is no array of all that changes, as JSON values."""
        return {"key": self.key, "starts": list(self._starts.items()), "aside": [*self._aside]}

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the references that are set aside, as arrays."""
        return {
            f"{i}.{name}": array
            for i, live in enumerate(self._aside.values())
            for name, array in live.state().items()
        }

    def restore(
        self,
        words: dict[str, Any],
        state: dict[str, NDArray[Any]],
        fresh: Callable[[], LiveReference],
    ) -> None:
        """Take up what `words` and `state` returned."""
        self.key = words["key"]
        self._starts = {int(run): key for run, key in words["starts"]}
        self._aside = {}
        for i, key in enumerate(words["aside"]):
            live, prefix = fresh(), f"{i}."
            live.restore(
                {n.removeprefix(prefix): a for n, a in state.items() if n.startswith(prefix)}
            )
            self._aside[key] = live
