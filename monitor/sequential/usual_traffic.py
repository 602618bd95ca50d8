"""Usual traffic: which part of all showers each region usually has, so that its silence can be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FADE_S = 600.0
"""Data-seconds over which what is usual fades ..."""

LEAST = 100.0
"""... but not below so many showers: the share of a region with few must be known as well."""

LEARN_S = 20
"""Data-seconds with showers of a region that are needed before its silence can be judged."""

DOUBT = 20.0
"""Showers that a region should have had; if it had none, that is no part of what is usual."""

KEPT = 8
"""Conditions whose shares are kept; beyond, those that were set aside first are forgotten."""

_NAMES = ("own", "whole", "gap", "gap_s", "learnt", "rate")


class Shares:
    """The usual share of each of R regions, under the conditions that hold.

    A region without showers teaches nothing until it has some again: then it had none for so long
    because it has few. Where it should have had many, it was silent, and the gap is left out.
    """

    def __init__(self, n_regions: int) -> None:
        self._n = n_regions
        self.key = ""
        """Of the conditions."""

        self.expected: NDArray[np.bool_] | None = None
        """Regions that are told to be in the run, shape (R,); None where nobody has said."""

        self._aside: dict[str, dict[str, NDArray[np.float64]]] = {}
        self._now = self._fresh()

    def _fresh(self) -> dict[str, NDArray[np.float64]]:
        return {name: np.zeros(self._n) for name in _NAMES}

    def change(self, key: str) -> None:
        """Set aside what is usual, and take up what was under these conditions."""
        if key == self.key:
            return
        self._aside[self.key] = self._now
        self._now = self._aside.pop(key, {}) or self._fresh()
        self.key = key
        while len(self._aside) > KEPT:
            del self._aside[next(iter(self._aside))]

    @property
    def rate(self) -> float:
        """Return the showers that all regions usually have in a data-second."""
        return float(self._now["rate"][0])

    def forget(self) -> None:
        """Learn anew what is usual under the conditions that hold: people have said that it changed."""
        self._now = self._fresh()

    def usual(self, masked: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return each region's share of the regions that are not masked, shape (R,); 0: not known."""
        share = np.where(masked, 0.0, self._share())
        total = share.sum()
        if total <= 0:
            return share
        known = self.learnt
        if self.expected is not None:
            least = share[known & (share > 0)].min(initial=1.0) if known.any() else 0.0
            # Of what is told to be there and has never been seen, no more is known.
            never = self.expected & (self._now["learnt"] == 0) & ~masked
            share = np.where(never, least, share)
            known = self.expected & (known | never)
        return np.where(known, share / total, 0.0)

    @property
    def learnt(self) -> NDArray[np.bool_]:
        """Return the regions whose share has been learnt, shape (R,)."""
        known: NDArray[np.bool_] = self._now["learnt"] >= LEARN_S
        return known

    def _share(self) -> NDArray[np.float64]:
        now = self._now
        return np.divide(now["own"], now["whole"], out=np.zeros(self._n), where=now["whole"] > 0)

    def learn(
        self, seen: NDArray[np.int64], masked: NDArray[np.bool_], unknown: NDArray[np.bool_]
    ) -> None:
        """Take in a data-second: showers, shape (R,), and regions that say nothing in it."""
        now, share = self._now, np.where(masked, 0.0, self._share())
        taught = ~masked & ~unknown
        silent = share * now["gap"] > DOUBT
        n = np.where(taught, seen, 0).astype(np.float64)
        there = share[taught & ~silent].sum() / max(share.sum(), 1e-300)
        # What all regions would have had, were those that are silent or unknown as usual.
        full = n.sum() / max(there, 0.1) if share.sum() > 0 else n.sum()
        fade = min(1 / FADE_S, 1.0)
        now["rate"] += (full - now["rate"]) * (fade if now["rate"][0] > 0 else 1.0)
        now["gap"][taught] += full
        now["gap_s"][taught] += 1
        present = n > 0
        since = np.where(silent | (now["learnt"] == 0), full, now["gap"])
        keep = np.maximum(np.exp(-now["gap_s"] / FADE_S), 1 - n / LEAST)
        now["own"] = np.where(present, now["own"] * keep + n, now["own"])
        now["whole"] = np.where(present, now["whole"] * keep + since, now["whole"])
        now["learnt"] += present
        now["gap"][present] = 0
        now["gap_s"][present] = 0

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that changes, as arrays."""
        keys = [*self._aside, self.key]
        sets = [*self._aside.values(), self._now]
        told = np.full(self._n, -1) if self.expected is None else self.expected.astype(np.int64)
        words = np.frombuffer("\0".join(keys).encode(), np.uint8)
        values = np.stack([[one[name] for name in _NAMES] for one in sets])
        return {"keys": words, "values": values, "expected": told}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take up what `state` returned."""
        *aside, self.key = state["keys"].astype(np.uint8).tobytes().decode().split("\0")
        sets = [
            {name: one[i].astype(np.float64) for i, name in enumerate(_NAMES)}
            for one in state["values"]
        ]
        self._aside, self._now = dict(zip(aside, sets[:-1], strict=True)), sets[-1]
        told = state["expected"]
        self.expected = None if (told < 0).any() else told.astype(bool)
