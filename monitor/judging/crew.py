"""Crew: what people have said of alarms and not taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.judging import masks
from monitor.quality import records
from monitor.quality.acknowledgements import Acknowledgement, Masked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.detector.places import Places
    from monitor.judging.masks import Masks


class Crew:
    """The newest acknowledgement of each alarm, until it is lifted or its time is over."""

    def __init__(self) -> None:
        self._acts: dict[str, Acknowledgement] = {}

    def __iter__(self) -> Iterator[Acknowledgement]:
        return iter(tuple(self._acts.values()))

    def take(self, act: Acknowledgement) -> None:
        """Take in what somebody says."""
        self._acts.pop(act.alarm, None)
        if not act.lifted:
            self._acts[act.alarm] = act

    def dismiss(self, now_ns: int) -> bool:
        """Forget what has ended by itself at a data time; return whether anything has."""
        over = masks.ended(self, now_ns)
        for act in over:
            del self._acts[act.alarm]
        return bool(over)

    def holding(self, now_ns: int) -> tuple[Acknowledgement, ...]:
        """Return what holds at a data time."""
        return tuple(act for act in self if act.holds(now_ns))

    def masked(self, now_ns: int) -> Masked:
        """Return all that is masked at a data time, for those who score."""
        return Masked.of(mask for act in self.holding(now_ns) for mask in act.masks)

    def masks(self, now_ns: int, places: Places, n_latents: int) -> Masks:
        """Return what is masked at a data time, for the tests."""
        return masks.in_force(self, now_ns, places, n_latents)

    def words(self) -> list[dict[str, Any]]:
        """Return all that changes, as JSON values."""
        return [records.to_json(act) for act in self]

    def restore(self, words: list[dict[str, Any]]) -> None:
        """Take up what `words` returned."""
        acts = [records.from_json(values) for values in words]
        self._acts = {act.alarm: act for act in acts if isinstance(act, Acknowledgement)}
