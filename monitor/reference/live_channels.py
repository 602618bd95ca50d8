"""Live channels: the accepted showers of each channel, under the guards of the live reference.

Quarantine, exact subtraction and freezing are those of `monitor.reference.live`, channel by channel:
an alarm's channels are not believed from its onset on, those beside it are.
"""

from __future__ import annotations

from collections import deque
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.quality.reference_acts import Order, ReferenceAct
from monitor.reference.channel_chunk import ChannelChunk
from monitor.reference.channel_constants import ChannelConstants, certified, learnt
from monitor.reference.live import MARGIN_S
from monitor.reference.quarantine import CHUNK_S
from monitor.windows import packing
from monitor.windows.channel_sums import NO_CHANNELS, ChannelSums
from monitor.windows.channel_table import ChannelTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from monitor.reference.live import LiveSettings

GROWTH = 1.25
"""Constants are taken up when what is accepted has grown by this factor."""

KEPT = 8
"""Conditions whose constants are kept; beyond, those that were set aside first are forgotten."""


class LiveChannels:
    """What has been accepted of each channel, and the constants in force.

    Parameters
    ----------
    n_channels, pool
        C, and the pool of each channel; see `learnt`.
    settings
        What an operator may set.
    """

    def __init__(self, n_channels: int, pool: NDArray[np.int64], settings: LiveSettings) -> None:
        self._n, self._pool, self._settings = n_channels, pool, settings
        self.total = ChannelTable(n_channels)
        """All that is accepted; the constants in force may be of less."""

        self.exposure = np.zeros(n_channels, np.int64)
        """Showers of a whole pool, by those of its channels that were accepted with each, shape (C,)."""

        self._open = ChannelTable(n_channels)
        self.frozen = False
        self._aside: dict[str, tuple[ChannelSums, NDArray[np.int64]]] = {}
        self.key = ""
        """Of the conditions."""

        self.reset()

    def reset(self) -> None:
        """Forget all that was accepted."""
        self.total.clear()
        self.exposure = np.zeros(self._n, np.int64)
        self._chunks: deque[ChannelChunk] = deque()
        self._open.clear()
        self._start: int | None = None
        self._flagged = np.zeros(self._n, bool)
        self.epoch, self._taken = 0, 0
        self._until = np.zeros(self._n, np.int64)
        """Data-second at which what is in force of each channel ends, shape (C,)."""

        self.constants = certified(self._n)
        self.centre = certified(self._n)
        """What bounds the constants; moved by order."""

    def step(self, second: int, sums: ChannelSums, flagged: NDArray[np.bool_]) -> bool:
        """Take in a data-second; return whether enough is accepted for constants to be taken up.

        Parameters
        ----------
        flagged
            Channels that an alarm claims or a mask covers now, shape (C,).
        """
        if not self._settings.enabled or self.frozen:
            return False
        self._start = second if self._start is None else self._start
        if second >= self._start + CHUNK_S:
            self._close()
            self._start = second
        self._open.add(sums)
        self._flagged |= flagged
        return self._accept(second) and self.total.n >= GROWTH * max(self._taken, 1)

    def turn_back(self, second: int) -> None:
        """Go on at an earlier data-second; what is in quarantine and lies beyond it is not believed."""
        while self._chunks and self._chunks[-1].start + CHUNK_S > second:
            gone = self._chunks.pop()
            self._count(gone, np.zeros(self._n, bool))
        self._open.clear()
        self._start = None

    def _close(self) -> None:
        if self._start is not None:
            none = np.zeros(self._n, bool)
            sums = self._open.sparse()
            self._chunks.append(ChannelChunk(self._start, sums, self._flagged, none))
        self._open.clear()
        self._flagged = np.zeros(self._n, bool)

    def _accept(self, now: int) -> bool:
        """Accept what has served its quarantine; forget what can no longer be taken out."""
        settings, accepted = self._settings, False
        quarantine = settings.quarantine_s if settings.guarded else 0
        for chunk in self._chunks:
            if chunk.start + CHUNK_S + quarantine > now:
                break
            good = ~chunk.flagged if settings.guarded else np.ones(self._n, bool)
            if (good & ~chunk.counted).any():
                self._count(chunk, good | chunk.counted)
                accepted = True
        kept_since = now - quarantine - settings.horizon_s
        while self._chunks and self._chunks[0].start + CHUNK_S < kept_since:
            self._chunks.popleft()
        return accepted

    def flag(self, channels: Iterable[int], onset: int) -> None:
        """Take an alarm's channels out from its onset on; the constants of others stay in force."""
        if not self._settings.guarded:
            return
        rows = np.zeros(self._n, bool)
        rows[list(channels)] = True
        self._flagged |= rows
        # What ends before the onset holds nothing of the fault, and stays.
        fresh = rows & (self._until > onset - MARGIN_S)
        if self._take_out(rows, onset - MARGIN_S) and fresh.any():
            self.epoch += 1
            self._until[fresh] = onset - MARGIN_S
            self.constants = self.constants.but(fresh, self._learnt())

    def _learnt(self) -> ChannelConstants:
        return learnt(self.total, self._pool, self.exposure)

    def _count(self, chunk: ChannelChunk, channels: NDArray[np.bool_]) -> None:
        """Let what came of some channels in a chunk, shape (C,), and no more, be accepted."""
        chunk.move(channels, self._pool, self.total, self.exposure)
        chunk.counted = channels

    def _take_out(self, rows: NDArray[np.bool_], since: int) -> bool:
        removed = False
        for chunk in (c for c in self._chunks if c.start + CHUNK_S > since):
            chunk.flagged |= rows
            if (rows & chunk.counted).any():
                self._count(chunk, chunk.counted & ~rows)
                removed = True
        return removed

    def take_up(self, suspected: NDArray[np.int64] | None = None) -> None:
        """Put what is accepted now in force.

        Parameters
        ----------
        suspected
            Data-second since which each channel may be at fault, shape (C,): a channel learns from
            what came before. Without it all are above suspicion.
        """
        self.epoch += 1
        self._taken = self.total.n
        total, exposure, self._until = self._ended(suspected)
        self.constants = learnt(total, self._pool, exposure)

    def _ended(
        self, suspected: NDArray[np.int64] | None
    ) -> tuple[ChannelTable, NDArray[np.int64], NDArray[np.int64]]:
        """Return what is accepted of each channel before it is suspected: sums, exposure, end."""
        total, exposure, until = self.total.copy(), self.exposure.copy(), np.zeros_like(self._until)
        for chunk in self._chunks:
            end, kept = chunk.start + CHUNK_S, chunk.counted
            if suspected is not None:
                kept = kept & (end <= suspected - MARGIN_S)
                chunk.move(kept, self._pool, total, exposure)
            until[kept] = end
        return total, exposure, until

    def anchor(self, since: int) -> None:
        """Let what has come since a data-second, and is not flagged, be what bounds the constants."""
        self.total.clear()
        self.exposure = np.zeros(self._n, np.int64)
        for chunk in self._chunks:
            chunk.counted = np.zeros(self._n, bool)
            self._count(chunk, ~chunk.flagged & (chunk.start >= since))
        self.centre, self.epoch = self._learnt(), 0
        self.take_up()

    def obey(self, act: ReferenceAct, suspected: NDArray[np.int64] | None = None) -> None:
        """Carry out an order; what is suspected is as in `take_up`."""
        if act.order is Order.RESET:
            self.reset()
        elif act.order is Order.ROLLBACK and act.since_ns is not None:
            self.forget(act.since_ns // 10**9, suspected)
        elif act.order in {Order.FREEZE, Order.THAW}:
            self.frozen = act.order is Order.FREEZE

    def forget(self, since: int, suspected: NDArray[np.int64] | None = None) -> None:
        """Take out what came since a data-second; all of it, where that cannot be subtracted."""
        if self.total.n and not (self._chunks and self._chunks[0].start <= since):
            self.reset()
            return
        self._take_out(np.ones(self._n, bool), since)
        self._open.clear()
        self.take_up(suspected)

    def change(self, key: str, suspected: NDArray[np.int64] | None = None) -> None:
        """Set aside what is known under the conditions so far; take up what is of these."""
        if key == self.key:
            return
        # Its chunks go, and what is suspected cannot be taken out of it later.
        total, exposure, _ = self._ended(suspected)
        self._aside[self.key] = total.sparse(), exposure
        while len(self._aside) > KEPT:
            del self._aside[next(iter(self._aside))]
        self.reset()
        self.key = key
        found, exposure = self._aside.pop(key, (NO_CHANNELS, self.exposure))
        if found.n:
            self.total.add(found)
            self.exposure = exposure
            self.take_up()

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that changes, as arrays."""
        chunks = [*self._chunks]
        start = -1 if self._start is None else self._start
        words = [self.frozen, self.epoch, self._taken, start]
        keys = "\0".join([*self._aside, self.key]).encode()
        out: dict[str, NDArray[Any]] = {
            "words": np.array(words, np.int64),
            "until": self._until.copy(),
            "keys": np.frombuffer(keys, np.uint8),
            "exposure": np.array([*(some for _, some in self._aside.values()), self.exposure]),
            "start": np.array([chunk.start for chunk in chunks], np.int64),
            "flagged": np.packbits([*(c.flagged for c in chunks), self._flagged], axis=1),
            "counted": np.packbits([*(c.counted for c in chunks), self._flagged], axis=1),
        }
        out |= packing.under("total.", self.total.state())
        out |= packing.under("open.", self._open.state())
        sparse = {f"chunk{i}.": chunk.sums for i, chunk in enumerate(chunks)}
        sparse |= {f"aside{i}.": sums for i, (sums, _) in enumerate(self._aside.values())}
        for name, sums in sparse.items():
            out |= packing.under(name, {f.name: getattr(sums, f.name) for f in fields(sums)})
        for kind, of in (("constants", self.constants), ("centre", self.centre)):
            out |= {f"{kind}.{f.name}": np.asarray(getattr(of, f.name)) for f in fields(of)}
        return out

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take up what `state` returned."""
        self.reset()
        frozen, self.epoch, self._taken, start = state["words"].tolist()
        self.frozen, self._start = bool(frozen), None if start < 0 else start
        self._until = state["until"].astype(np.int64)
        *aside, self.key = state["keys"].astype(np.uint8).tobytes().decode().split("\0")
        bits = {
            name: np.unpackbits(state[name].astype(np.uint8), axis=1, count=self._n).astype(bool)
            for name in ("flagged", "counted")
        }
        self._flagged = bits["flagged"][-1]
        self.total.restore(packing.below("total.", state))
        self._open.restore(packing.below("open.", state))
        for i, begin in enumerate(state["start"].tolist()):
            sums = _stored(state, f"chunk{i}")
            self._chunks.append(ChannelChunk(begin, sums, bits["flagged"][i], bits["counted"][i]))
        *exposures, self.exposure = state["exposure"].astype(np.int64)
        self._aside = {
            key: (_stored(state, f"aside{i}"), exposures[i]) for i, key in enumerate(aside)
        }
        self.constants, self.centre = (_constants(state, kind) for kind in ("constants", "centre"))


def _constants(state: dict[str, NDArray[Any]], kind: str) -> ChannelConstants:
    found = {f.name: state[f"{kind}.{f.name}"] for f in fields(ChannelConstants)}
    variance = float(found.pop("energy_var"))
    return ChannelConstants(**found, energy_var=variance)


def _stored(state: dict[str, NDArray[Any]], name: str) -> ChannelSums:
    columns = (state[f"{name}.{f.name}"].astype(np.int64) for f in fields(ChannelSums))
    return ChannelSums(*columns)
