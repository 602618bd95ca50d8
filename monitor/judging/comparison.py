"""Comparison: how a model in shadow does beside the one in force, on the same showers."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from models.scoring.scales import LEVELS
from monitor.quality.alarms import State

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.quality.alarms import Alarm
    from monitor.windows.window import Window

UNIT = 1 / 64
"""Unit of −log10 p in the sums: whole numbers add up in any order."""

KEPT = 50
"""Alarms of each model that are remembered."""

SAME_S = 120
"""Alarms of two models in one region whose onsets are this close are of one fault."""


@dataclass(frozen=True, slots=True)
class Joint:
    """Sums over showers that two models have both scored; they add up exactly, in any order."""

    n: int = 0
    a: int = 0
    """Sum of −log10 p of the first model, in units of `UNIT`."""

    b: int = 0
    aa: int = 0
    bb: int = 0
    ab: int = 0
    only_a: tuple[int, ...] = (0,) * len(LEVELS)
    """Showers with p <= α by the first model alone, for each α of `LEVELS`."""

    only_b: tuple[int, ...] = (0,) * len(LEVELS)
    both: tuple[int, ...] = (0,) * len(LEVELS)

    def __add__(self, other: Joint) -> Joint:
        mine, theirs = self.to_list(), other.to_list()
        return Joint.from_list([x + y for x, y in zip(mine, theirs, strict=True)])

    def turned(self) -> Joint:
        """Return the sums with the two models in the other order."""
        return Joint(
            self.n, self.b, self.a, self.bb, self.aa, self.ab, self.only_b, self.only_a, self.both
        )

    def correlation(self) -> float:
        """Return the correlation of −log10 p; NaN if there is too little to say."""
        var_a = self.n * self.aa - self.a**2
        var_b = self.n * self.bb - self.b**2
        if self.n < 2 or min(var_a, var_b) <= 0:
            return math.nan
        return (self.n * self.ab - self.a * self.b) / math.sqrt(var_a * var_b)

    def to_list(self) -> list[int]:
        """Return the numbers in order; `from_list` is the inverse."""
        sums = [self.n, self.a, self.b, self.aa, self.bb, self.ab]
        return [*sums, *self.only_a, *self.only_b, *self.both]

    @classmethod
    def from_list(cls, numbers: list[int]) -> Joint:
        """Return the sums of numbers in order, or raise `ValueError`."""
        n = len(LEVELS)
        if len(numbers) != 6 + 3 * n or any(type(number) is not int for number in numbers):
            raise ValueError(f"{6 + 3 * n} whole numbers make joint sums, not {numbers!r}"[:200])
        total, a, b, aa, bb, ab = numbers[:6]
        counts = [tuple(numbers[i : i + n]) for i in range(6, 6 + 3 * n, n)]
        return cls(total, a, b, aa, bb, ab, *counts)


def joint(p_a: NDArray[np.float64], p_b: NDArray[np.float64]) -> Joint:
    """Return the joint sums of two models' p-values of the same showers, shape (N,) each.

    Showers that one of them could not score (NaN) are left out.
    """
    ok = np.isfinite(p_a) & np.isfinite(p_b)
    p_a, p_b = p_a[ok], p_b[ok]
    a, b = (np.rint(-np.log10(p) / UNIT).astype(np.int64) for p in (p_a, p_b))
    beyond_a, beyond_b = (p[:, None] <= np.array(LEVELS) for p in (p_a, p_b))
    counts = [
        tuple(rows.sum(0).tolist())
        for rows in (beyond_a & ~beyond_b, beyond_b & ~beyond_a, beyond_a & beyond_b)
    ]
    aa, bb, ab = (int(x @ y) for x, y in ((a, a), (b, b), (a, b)))
    return Joint(len(a), int(a.sum()), int(b.sum()), aa, bb, ab, *counts)


@dataclass(slots=True)
class ExceedanceRatio:
    """Exceedances of one model, seen and expected, of the seconds that both have judged."""

    showers: int = 0
    seen: list[int] = field(default_factory=lambda: [0] * len(LEVELS))
    """For each α of `LEVELS`."""

    expected: list[float] = field(default_factory=lambda: [0.0] * len(LEVELS))
    """By the model's certified reference at the conditions that came."""

    def add(self, window: Window, rate: NDArray[np.float64]) -> None:
        """Count a window in; `rate` is the share of good showers beyond each α, shape (K, A)."""
        showers = window.showers.sum(0)
        self.showers += int(showers.sum())
        seen = window.exceedances.sum((0, 1))
        self.seen = [a + int(b) for a, b in zip(self.seen, seen, strict=True)]
        expected = showers @ rate
        self.expected = [a + float(b) for a, b in zip(self.expected, expected, strict=True)]

    def ratios(self) -> list[float]:
        """Return seen over expected for each α; NaN where nothing is expected."""
        pairs = zip(self.seen, self.expected, strict=True)
        return [seen / expected if expected > 0 else math.nan for seen, expected in pairs]


@dataclass(slots=True)
class Noted:
    """An alarm of one of the models, as far as a comparison needs it."""

    id: str
    onset: int
    """Data-second."""

    open: bool
    severity: str
    regions: list[int]
    summary: str


@dataclass(slots=True)
class Comparison:
    """What has been seen of a shadow since it was announced; plain values, so it can be kept."""

    ranges: int = 0
    """Ranges with showers since then."""

    carried: int = 0
    """Those of them that carried the shadow's windows."""

    bare: list[int] = field(default_factory=list)
    """Source partitions whose newest range did not carry them, or who got a new worker since."""

    seconds: int = 0
    """Data-seconds that both models have judged."""

    missed: int = 0
    """Data-seconds of which the shadow lacked showers, so that it was not shown them."""

    since: int | None = None
    """Data-second from which on nothing is missed; None while the newest one is."""

    newest: int = 0
    joint: Joint = field(default_factory=Joint)
    primary: ExceedanceRatio = field(default_factory=ExceedanceRatio)
    shadow: ExceedanceRatio = field(default_factory=ExceedanceRatio)
    alarms: list[Noted] = field(default_factory=list)
    """Of the primary, newest last."""

    shadow_alarms: list[Noted] = field(default_factory=list)

    def opened(self, partition: int) -> None:
        """Take note of a worker that begins with a partition: nobody knows what it scores by yet."""
        self.bare = [other for other in self.bare if other != partition] + [partition]

    def heard(self, partition: int, showers: int, sums: Joint | None) -> None:
        """Count a range; `sums` is None if it was not scored by the shadow too."""
        self.opened(partition)
        if sums is not None:
            self.bare.remove(partition)
            self.joint += sums
        if showers:
            self.ranges += 1
            self.carried += sums is not None

    def judged(self, second: int) -> None:
        """Count a data-second that both have judged."""
        if second > self.newest:  # what comes late mends no gap
            self.seconds += 1
            self.since = second if self.since is None else self.since
            self.newest = second

    def lacked(self, second: int) -> None:
        """Count a data-second of which the shadow lacked showers."""
        self.missed += self.seconds > 0  # before the first, workers are still loading it
        self.newest, self.since = max(self.newest, second), None

    def note(self, alarm: Alarm, *, shadow: bool) -> None:
        """Take note of an alarm of one of the models, or of what became of it."""
        known = self.shadow_alarms if shadow else self.alarms
        rest = [noted for noted in known if noted.id != alarm.id]
        regions = sorted(share.region for share in alarm.regions)
        still = alarm.state is not State.CLEARED
        severity = alarm.severity.value
        onset = alarm.onset_ns // 1_000_000_000
        noted = Noted(alarm.id, onset, still, severity, regions, alarm.summary)
        kept = [*rest, noted][-KEPT:]
        if shadow:
            self.shadow_alarms = kept
        else:
            self.alarms = kept

    def not_ready(self, least_s: int) -> str:
        """Return why the shadow must not take over yet, one line; empty if it may.

        Parameters
        ----------
        least_s
            Data-seconds that it must have seen without a gap.
        """
        if self.bare:
            listed = ", ".join(str(partition) for partition in sorted(self.bare)[:8])
            return f"the newest ranges of partitions {listed} were not scored by it"
        seen = 0 if self.since is None else self.newest - self.since + 1
        if seen < least_s:
            return f"it has seen {seen} data-seconds without a gap; it needs {least_s}"
        return ""

    def turn(self) -> None:
        """Let the two models change places."""
        self.joint = self.joint.turned()
        self.primary, self.shadow = self.shadow, self.primary
        self.alarms, self.shadow_alarms = self.shadow_alarms, self.alarms

    def differing(self) -> tuple[list[Noted], list[Noted], int]:
        """Return alarms of the primary alone, of the shadow alone, and how many both raised."""
        alone = [one for one in self.alarms if not _found(one, self.shadow_alarms)]
        shadow = [one for one in self.shadow_alarms if not _found(one, self.alarms)]
        return alone, shadow, len(self.alarms) - len(alone)

    def coverage(self) -> float:
        """Return the share of ranges that carried the shadow; NaN before the first."""
        return self.carried / self.ranges if self.ranges else math.nan

    def to_json(self) -> dict[str, Any]:
        """Return plain values; `from_json` is the inverse."""
        return asdict(self) | {"joint": self.joint.to_list()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Comparison:
        """Return the comparison of plain values."""
        named = {
            "joint": Joint.from_list(values["joint"]),
            "primary": ExceedanceRatio(**values["primary"]),
            "shadow": ExceedanceRatio(**values["shadow"]),
            "alarms": [Noted(**noted) for noted in values["alarms"]],
            "shadow_alarms": [Noted(**noted) for noted in values["shadow_alarms"]],
        }
        return cls(**(values | named))

    def report(self, least_s: int) -> dict[str, Any]:
        """Return what people want to know of it, as plain values; NaN is None."""
        alone, shadow, both = self.differing()
        by_level = {
            f"{level:g}": {
                "both": self.joint.both[i],
                "primary alone": self.joint.only_a[i],
                "shadow alone": self.joint.only_b[i],
                "primary seen over expected": _plain(self.primary.ratios()[i]),
                "shadow seen over expected": _plain(self.shadow.ratios()[i]),
            }
            for i, level in enumerate(LEVELS)
        }
        return {
            "showers": self.joint.n,
            "correlation": _plain(self.joint.correlation()),
            "coverage": _plain(self.coverage()),
            "seconds": self.seconds,
            "missed_seconds": self.missed,
            "levels": by_level,
            "alarms": {
                "both": both,
                "primary alone": [asdict(noted) for noted in alone],
                "shadow alone": [asdict(noted) for noted in shadow],
            },
            "not_ready": self.not_ready(least_s),
        }


def _found(one: Noted, others: list[Noted]) -> bool:
    """Return whether an alarm of the other model is of the same fault."""
    return any(
        set(one.regions) & set(other.regions) and abs(one.onset - other.onset) <= SAME_S
        for other in others
    )


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
