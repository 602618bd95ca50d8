"""References: the stream's own accepted showers, and how far they may be believed.

A live reference grows while data flow, so that what is expected is known to a fraction of a
percent after an hour. It can also learn a fault: a tenth of a percent of strange showers in it
costs most of the power at 1e-3, and nothing shows. Hence three guards: a quarantine before
showers are accepted, exact subtraction of what is flagged later, and the certified reference,
beyond whose own uncertainty no live one is ever believed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from models.scales import LEVELS, Z_UNIT
from monitor.watch import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from monitor.expectation import Expectation

CHUNK_S = 300
"""Data-seconds that are accepted, or taken out again, together."""

MARGIN_S = 30
"""Data-seconds before an onset that are not believed either."""

GROWTH = 2.0
"""A live reference is taken up when it has grown by this factor: each time may be wrong once."""

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


class Order(StrEnum):
    """What can be ordered of the live reference."""

    FREEZE = "freeze"
    THAW = "thaw"
    RESET = "reset"
    ROLLBACK = "rollback"
    """Take out what was accepted since a time."""


@dataclass(frozen=True, slots=True)
class ReferenceAct:
    """One order about the live reference."""

    order: Order
    who: str
    time_ns: int
    """When it was given, ns since 1970 UTC."""

    since_ns: int | None = None
    """For a rollback: data time from which on nothing is believed."""

    def __post_init__(self) -> None:
        if (self.since_ns is None) == (self.order is Order.ROLLBACK):
            raise ValueError("a rollback, and nothing else, needs a time")


@dataclass(frozen=True, slots=True, eq=False)
class Accepted:
    """Sums over accepted showers of all regions; a group under addition, exact."""

    showers: NDArray[np.int64]
    """Shape (K,)."""

    exceedances: NDArray[np.int64]
    """Shape (K, A)."""

    p_counts: NDArray[np.int64]
    """Shape (S + 1, B)."""

    z: NDArray[np.int64]
    """In units of `Z_UNIT`, shape (D,)."""

    z_square: NDArray[np.int64]
    """In units of `Z_UNIT`, shape (D,)."""

    lit: NDArray[np.int64]
    """Shape (V,)."""

    def __add__(self, other: Accepted) -> Accepted:
        return Accepted(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __sub__(self, other: Accepted) -> Accepted:
        return Accepted(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))

    @property
    def n(self) -> int:
        """Return the number of showers."""
        return int(self.showers.sum())


def accepted(rows: Rows, regions: NDArray[np.bool_]) -> Accepted:
    """Return the sums over some regions of a chunk, given as shape (R,)."""
    return Accepted(*(getattr(rows, f.name)[regions].sum(0) for f in fields(Accepted)))


@dataclass(slots=True)
class Chunk:
    """A stretch of the stream that is in quarantine, or that can still be taken out."""

    start: int
    rows: Rows
    flagged: NDArray[np.bool_]
    """Regions that an alarm claims or a mask covers, shape (R,)."""

    counted: NDArray[np.bool_]
    """Regions that have been accepted, shape (R,)."""


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
        self.total = _nothing(certified)
        self.taken = _nothing(certified)
        """What the expectation in force is made of."""

        self.chunks: deque[Chunk] = deque()
        self.frozen = False
        self.epoch = 0
        """Times that the live reference has been taken up."""

        self.first: int | None = None
        self.last: int | None = None
        """Data-seconds of the oldest and newest accepted chunk."""

    def step(self, second: int, rows: Rows, flagged: NDArray[np.bool_]) -> Expectation | None:
        """Take in a data-second; return a new live expectation if it is time for one.

        Parameters
        ----------
        flagged
            Regions that an alarm claims or a mask covers now, shape (R,).
        """
        if not self.settings.enabled or self.frozen:
            return None
        newest = self.chunks[-1] if self.chunks else None
        if newest is None or second >= newest.start + CHUNK_S:
            self.chunks.append(Chunk(second, rows, flagged.copy(), np.zeros_like(flagged)))
        else:
            newest.rows += rows
            newest.flagged |= flagged
        self._accept(second)
        if self.total.n >= max(GROWTH * self.taken.n, self._least()):
            return self.take_up()
        return None

    def _least(self) -> float:
        """Return the showers below which a live reference tells less than the certified one."""
        return min(0.2 * self.certified.n, LEAST / LEVELS[1])

    def _accept(self, now: int) -> None:
        """Accept what has served its quarantine; forget what can no longer be taken out."""
        quarantine = self.settings.quarantine_s if self.settings.guarded else 0
        for chunk in self.chunks:
            if chunk.start + CHUNK_S + quarantine > now:
                break
            good = ~chunk.counted
            if self.settings.guarded:
                good &= ~chunk.flagged
            if good.any():
                self.total += accepted(chunk.rows, good)
                chunk.counted |= good
                self.first = chunk.start if self.first is None else self.first
                self.last = chunk.start + CHUNK_S
        keep = quarantine + self.settings.horizon_s
        while self.chunks and self.chunks[0].start + CHUNK_S + keep < now:
            self.chunks.popleft()

    def flag(self, regions: Iterable[int], onset: int) -> bool:
        """Take an alarm's regions out from its onset on; return whether anything was accepted."""
        if not self.settings.guarded:
            return False
        rows = np.isin(np.arange(self._n_regions), list(regions))
        return self._take_out(rows, onset - MARGIN_S)

    def _take_out(self, rows: NDArray[np.bool_], since: int) -> bool:
        removed = False
        for chunk in self.chunks:
            if chunk.start + CHUNK_S <= since:
                continue
            chunk.flagged |= rows
            bad = rows & chunk.counted
            if bad.any():
                self.total -= accepted(chunk.rows, bad)
                chunk.counted &= ~bad
                removed = True
        return removed

    def obey(self, act: ReferenceAct, n_regions: int) -> None:
        """Carry out an order.

        A rollback to before what can be subtracted exactly forgets everything.
        """
        if act.order is Order.RESET:
            self.reset()
        elif act.order is Order.ROLLBACK and act.since_ns is not None:
            since = act.since_ns // 1_000_000_000
            if self.first is not None and not (self.chunks and self.chunks[0].start <= since):
                self.reset()
            self._take_out(np.ones(n_regions, bool), since)
        else:
            self.frozen = act.order is Order.FREEZE

    def reset(self) -> None:
        """Forget all that was accepted: new conditions, or an order."""
        self.total = self.taken = _nothing(self.certified)
        self.chunks.clear()
        self.epoch = 0
        self.first = self.last = None

    def take_up(self) -> Expectation | None:
        """Put what is accepted now in force, and return it."""
        self.epoch += 1
        self.taken = self.total
        return self.expectation()

    def expectation(self) -> Expectation | None:
        """Return what the accepted showers in force expect; None if there are none.

        Exceedances and p counts are theirs. For the latents the certified reference gives the
        dependence on conditions, and the accepted showers one offset and one ratio a latent: that
        is exact for the mix of conditions that they came in.
        """
        t, certified = self.taken, self.certified
        if not t.n:
            return None
        n = t.n
        mix = t.showers.astype(np.float64)
        offset = (t.z * Z_UNIT - mix @ certified.latent_mean) / n
        square = t.z_square * Z_UNIT / np.maximum(mix @ certified.latent_square, 1e-9)
        lit = t.lit / np.maximum(mix @ certified.lit_rate, 1e-9)
        each = np.maximum(mix, 0.5)
        return replace(
            certified,
            showers=each,
            exceedances=np.minimum(t.exceedances.astype(np.float64), each[:, None]),
            p_counts=np.maximum(t.p_counts.astype(np.float64), 1e-3),
            latent_mean=certified.latent_mean + offset,
            latent_square=np.maximum(certified.latent_square * square, 1e-6),
            square_var=certified.square_var * np.square(np.maximum(square, 1e-3)),
            latent_showers=np.maximum(n * each / each.sum(), 1.0),
            lit_rate=np.clip(certified.lit_rate * lit, 0.0, 1.0),
            origin="live",
            id=f"{certified.id}+live-{self.epoch}-{n}",
        )

    def distance(self) -> float | None:
        """Return how far the live exceedance rate at 1e-2 is from the certified one, in sigma.

        None before anything was accepted. The uncertainty is that of both references.
        """
        if self.total.n < LEAST / LEVELS[1]:
            return None
        at = LEVELS.index(0.01)
        mix = self.total.showers / self.total.n
        live = self.total.exceedances[:, at].sum() / self.total.n
        counts, trials = self.certified.exceedances[:, at], self.certified.showers
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
        for f in fields(Rows):
            arrays = [getattr(chunk.rows, f.name) for chunk in self.chunks]
            out[f"rows.{f.name}"] = np.stack(arrays) if arrays else np.zeros(0, np.int64)
        out["start"] = np.array([chunk.start for chunk in self.chunks], np.int64)
        out["flagged"] = np.array([chunk.flagged for chunk in self.chunks], bool)
        out["counted"] = np.array([chunk.counted for chunk in self.chunks], bool)
        first, last = (-1 if s is None else s for s in (self.first, self.last))
        words = [self.frozen, self.epoch, first, last]
        return out | {"words": np.array(words, np.int64)}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take up what `state` returned."""
        self.total, self.taken = (
            Accepted(*(state[f"{name}.{f.name}"].astype(np.int64) for f in fields(Accepted)))
            for name in ("total", "taken")
        )
        self.chunks = deque(
            Chunk(
                int(start),
                Rows(*(state[f"rows.{f.name}"][i].astype(np.int64) for f in fields(Rows))),
                state["flagged"][i].copy(),
                state["counted"][i].copy(),
            )
            for i, start in enumerate(state["start"].tolist())
        )
        frozen, self.epoch, first, last = state["words"].tolist()
        self.frozen = bool(frozen)
        self.first, self.last = (None if s < 0 else s for s in (first, last))


def _nothing(expectation: Expectation) -> Accepted:
    k, a = expectation.exceedances.shape
    d, v = expectation.latent_mean.shape[1], expectation.lit_rate.shape[1]
    return Accepted(
        np.zeros(k, np.int64),
        np.zeros((k, a), np.int64),
        np.zeros(expectation.p_counts.shape, np.int64),
        np.zeros(d, np.int64),
        np.zeros(d, np.int64),
        np.zeros(v, np.int64),
    )
