"""Crew: what people have said of alarms and not taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.judging import masks
from monitor.quality import records
from monitor.quality.acknowledgements import Acknowledgement, Masked
from monitor.quality.alarms import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitor.detector.places import Places
    from monitor.judging.masks import Masks
    from monitor.quality.alarms import Alarm


class Crew:
    """The newest acknowledgement of each alarm, until it is lifted or its time is over."""

    def __init__(self) -> None:
        self._acts: dict[str, Acknowledgement] = {}
        self._severity: dict[str, Severity] = {}
        """Of an alarm when it was acknowledged: what grows beyond that is news."""

    def __iter__(self) -> Iterator[Acknowledgement]:
        return iter(tuple(self._acts.values()))

    def take(self, act: Acknowledgement, severity: Severity | None = None) -> None:
        """Take in what somebody says of an alarm of this severity; None if it is not known."""
        self._acts.pop(act.alarm, None)
        self._severity.pop(act.alarm, None)
        if not act.lifted:
            self._acts[act.alarm] = act
            if severity is not None:
                self._severity[act.alarm] = severity

    def in_hand(self, now_ns: int, alarms: Iterable[Alarm]) -> tuple[Acknowledgement, ...]:
        """Return what holds at a data time, without those of which an open alarm has outgrown it.

        Who has a warning in hand has not said so of the page that it becomes; masks hold on.
        """
        grown = {
            alarm.id
            for alarm in alarms
            if alarm.severity is Severity.PAGE and self._severity.get(alarm.id) is Severity.WARNING
        }
        return tuple(act for act in self.holding(now_ns) if act.alarm not in grown)

    def learn(self, other: Crew) -> None:
        """Take over of what severity alarms were when another was told of them."""
        self._severity = other._severity | self._severity

    def forget(self, alarm: str) -> None:
        """Forget what was said of an alarm that nobody remembers, if it masks nothing."""
        if alarm in self._acts and not self._acts[alarm].masks:
            del self._acts[alarm]

    def dismiss(self, now_ns: int) -> bool:
        """Forget what has ended by itself at a data time; return whether anything has."""
        over = masks.ended(self, now_ns)
        for act in over:
            del self._acts[act.alarm]
        self._severity = {id_: s for id_, s in self._severity.items() if id_ in self._acts}
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

    def words(self) -> dict[str, Any]:
        """Return all that changes, as JSON values."""
        return {
            "acts": [records.to_json(act) for act in self],
            "severity": {id_: severity.value for id_, severity in self._severity.items()},
        }

    def restore(self, words: dict[str, Any]) -> None:
        """Take up what `words` returned."""
        acts = [records.from_json(values) for values in words["acts"]]
        self._acts = {act.alarm: act for act in acts if isinstance(act, Acknowledgement)}
        self._severity = {id_: Severity(value) for id_, value in words["severity"].items()}
