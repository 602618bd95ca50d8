"""Beginning: what a judge that takes office finds on the topics, by reading alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from consumers.exactly_once.contents import listed
from consumers.exactly_once.fence import Tail
from consumers.exactly_once.snapshots import fence_at
from consumers.judge.deputy import live_from
from consumers.wire import topics

if TYPE_CHECKING:
    from consumers.exactly_once.contents import Contents
    from consumers.exactly_once.resuming import Resumption
    from consumers.exactly_once.snapshots import Manifest
    from consumers.judge.revival import Revival
    from consumers.judge.state import JudgeState


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a judge begins, and with what."""

    state: JudgeState
    manifest: Manifest
    where: Resumption
    """In the windows topic."""

    live: int
    """Offset from which a deputy judges; where the state is, if none is needed."""

    said: Contents | None
    """What had been said before the snapshots were lost; None if they were not."""

    end: int
    """Of the windows topic: the judge before us saw no further."""

    @property
    def deputised(self) -> bool:
        """Return whether a deputy is needed."""
        return self.live > self.state.at


def beginning(revival: Revival, windows_id: str) -> Beginning:
    """Return where a judge begins on a windows topic of an id."""
    log = revival.log
    state, manifest = revival.revived()
    where = manifest.place(log, windows_id)
    state.fence, state.at = fence_at(manifest, where), where.begin
    there = where.begin == where.follows
    state.tail = Tail(0, manifest.epoch, manifest.last) if there else Tail()
    live = live_from(log, state.at, revival.settings)
    said = None
    if live > state.at and (not manifest.chunks or manifest.at < manifest.said_until):
        said = listed(log, revival.letters)
    if said is not None and not manifest.chunks:
        last = said.runs[max(said.runs)].begin if said.runs else 0
        manifest = replace(manifest, quality_at=last, said_until=live)
    return Beginning(state, manifest, where, live, said, log.bounds(topics.WINDOWS)[1])
