"""Joining: a member that has begun to join its group goes on until it has joined.

The library joins in as many polls as it takes, for as long as it sees a reason to (3.0.12). Two things
go wrong where a poll ends before the join does. The reason may be gone by then: sharing out topics
that had changed takes it away. The join is forgotten, with the heartbeats that are held back for
it, and the member is none of its group any more, for ever and without a word. And a join that came
to its end between two polls is not taken for one: another is begun, and so on.
"""

from __future__ import annotations

from typing import Any

from kafka.consumer import group
from kafka.coordinator.consumer import ConsumerCoordinator

LEAST_MS = 50
"""How long a poll waits for a join that is under way, at least: one that waits for nothing would not
even see that it has come to its end."""


class PersistentCoordinator(ConsumerCoordinator):  # type: ignore[misc]
    """What a member knows of its group."""

    _join_task: Any

    def need_rejoin(self) -> bool:
        """Return whether there is a reason to join, or a join under way."""
        return bool(self.rejoining or super().need_rejoin())

    async def join_group_async(self, timeout_ms: float | None = None) -> bool:
        """Go on with the join that is under way, or begin one; return whether it is done."""
        if self._join_task is not None and self._join_task.is_done:
            self._join_task = self._manager.call_soon(_outcome, self._join_task)
        least_ms = None if timeout_ms is None else max(timeout_ms, LEAST_MS)
        return bool(await super().join_group_async(least_ms))


async def _outcome(task: Any) -> Any:
    return await task


def persist() -> None:
    """Let members join to the end, in this process."""
    group.ConsumerCoordinator = PersistentCoordinator
