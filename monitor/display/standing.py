"""Standing: what the monitor stands at now, as one record for the page, the metrics and the terminal."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from monitor.display.plain import plain
from monitor.quality.alarms import Severity
from monitor.quality.quality import Quality
from monitor.quality.run_acts import RunNow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from monitor.display.channel_map import ChannelMap
    from monitor.display.latents import LatentMoments
    from monitor.quality.alarms import Alarm, ReferenceSummary, WorstShower
    from monitor.quality.self_tests import SelfTestResult

RANK = {Quality.GOOD: 0, Quality.NULL: 1, Quality.MEDIUM: 2, Quality.BAD: 3}
"""Order of concern when qualities are shown together: NULL never hides a BAD."""

HELD = "held"
"""What is said of a detector all of whose alarms are in somebody's hands."""


@dataclass(frozen=True, slots=True)
class RegionNow:
    """One region on the board."""

    region: int
    name: str
    sector: str
    quality: Quality
    reason: str
    """One line: why not GOOD, or empty."""

    showers: int
    """Showers of the last minute of data, as are the two below."""

    exceedances: int
    """At α = 1e-2."""

    expected: float
    last_second: int | None
    """Newest data-second with a shower, s since 1970 UTC; None before the first."""

    masked: bool = False
    in_run: bool = True
    """Whether it takes part, as far as the data acquisition has said."""

    def plain(self) -> dict[str, Any]:
        """Return what `plain` does of it, in a tenth of the time: there may be thousands."""
        values = {name: getattr(self, name) for name in _OF_REGION}
        return values | {"quality": self.quality.value, "expected": plain(self.expected)}


_OF_REGION = tuple(f.name for f in fields(RegionNow))


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """The last minutes, a data-second a row; all of shape (T,)."""

    second: NDArray[np.int64]
    showers: NDArray[np.int64]
    exceedances: NDArray[np.int64]
    """At α = 1e-2."""

    expected: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Budget:
    """The false pages that the whole system may make, and how many it has made."""

    days: float
    """Days of data-taking for which one false page is allowed, > 0."""

    watched_days: float
    """Days of data-taking judged so far."""

    pages: int
    """Pages raised in them."""

    @property
    def allowed(self) -> float:
        """Return the false pages that the days watched so far allow."""
        return self.watched_days / self.days


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """P-values of one score over the last minutes, beside what a flat one would give."""

    name: str
    counts: NDArray[np.int64]
    """Shape (B,), bins of `monitor.windows.window.P_EDGES`."""

    expected: NDArray[np.float64]
    """By the reference in force, shape (B,)."""

    certified: NDArray[np.float64] | None = None
    """By the certified reference, shape (B,); None where that is the one in force."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """An alarm that somebody has taken in hand."""

    alarm: str
    who: str
    cause: str
    until_ns: int | None


@dataclass(frozen=True, slots=True)
class RegionChannels:
    """How the channels of a region stand."""

    name: str
    channels: int
    telling: int
    """Channels with showers enough to be told dead, were they."""

    faulty: int
    """Channels of open alarms."""

    left_out: int
    """Channels that are masked or known to be bad."""

    tells_s: float
    """Data-seconds until half of the others have enough; 0 if they have, infinite: no showers."""


@dataclass(frozen=True, slots=True)
class StreamNow:
    """Where the stream stands: what is not known of it, and what contradicts the rest."""

    silent: tuple[tuple[int, float], ...] = ()
    """Partitions that nobody answers for, and since when they have not gone on, s."""

    astray: tuple[tuple[int, float], ...] = ()
    """Partitions whose data time is ahead of all others, and by how much, s."""

    open_windows: int = 0
    latency_s: float = 0.0
    """Largest latency of a partition that is waited for, as learnt, s."""

    strays: tuple[tuple[str, int], ...] = ()
    """Showers that contradicted the rest, by what was wrong: `ahead` (their time), `run`,
    `lumisection`, `beyond` (so late that their verdicts stand)."""

    forced: int = 0
    """Data-seconds closed before their time, because too many were open."""

    unknown: tuple[str, ...] = ()
    """Regions of which nobody knows whether they lack showers now."""


STRAYS = ("ahead", "run", "lumisection", "beyond")
"""What can be wrong with showers that contradict the rest."""


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """What the monitor stands at: everything that people are shown, and nothing else."""

    detector: str
    data_second: int | None
    """Newest judged data-second, s since 1970 UTC; None before the first."""

    run: int
    lumisection: int
    board: tuple[RegionNow, ...]
    alarms: tuple[Alarm, ...]
    """Open ones, newest version each."""

    cleared: tuple[Alarm, ...]
    """The last few that cleared, newest first."""

    acknowledged: tuple[Acknowledged, ...]
    history: History
    budget: Budget
    reference: ReferenceSummary
    reference_distance: float | None = None
    """Distance of the live reference from the certified one; None where there is no live one."""

    reference_awaited: str = ""
    """What an ordered centre waits for, in words; empty where none is ordered."""

    spectra: tuple[Spectrum, ...] = ()
    self_tests: tuple[SelfTestResult, ...] = ()
    worst: tuple[WorstShower, ...] = ()
    """The strangest showers of the last minutes, alarm or not."""

    latents: LatentMoments | None = None
    """Of the last half minute; None before there are any."""

    stream: StreamNow = StreamNow()
    run_now: RunNow = RunNow.UNSAID
    within: tuple[tuple[str, ...], ...] = ()
    """Each sector that lies in others, after those, the outermost first."""

    channels: tuple[RegionChannels, ...] = ()
    """How the channels of each region stand, where the detector has channels."""

    channel_map: ChannelMap | None = None
    """All of them, to be drawn; not part of the page's state, which would be its bulk."""

    def unacknowledged(self) -> tuple[Alarm, ...]:
        """Return the open alarms that nobody has taken in hand."""
        taken = {entry.alarm for entry in self.acknowledged}
        return tuple(alarm for alarm in self.alarms if alarm.id not in taken)


def headline(standing: Standing) -> tuple[str, str]:
    """Return the worst that is to be said of the detector, and that in one short line.

    The first is a quality, or `HELD`. An alarm outranks the board: a shifter acts on alarms. What is
    in somebody's hands does not shout, as on the wall.
    """
    loud = standing.unacknowledged()
    if loud:
        paged = any(alarm.severity is Severity.PAGE for alarm in loud)
        return (Quality.BAD if paged else Quality.MEDIUM), _listed(loud)
    if standing.alarms:
        return HELD, f"In hand: {_listed(standing.alarms)}"
    return _without_alarms(standing)


def _without_alarms(standing: Standing) -> tuple[Quality, str]:
    if standing.data_second is None:
        return Quality.NULL, "No data yet"
    if standing.run_now is RunNow.BETWEEN:
        return Quality.NULL, f"No run; the last was {standing.run}"
    if all(row.masked for row in standing.board):
        return Quality.NULL, "All regions are masked: nothing is watched"
    worst = max((row.quality for row in standing.board if not row.masked), key=RANK.__getitem__)
    silent = standing.stream.silent
    if silent and RANK[worst] <= RANK[Quality.NULL]:
        listed = ", ".join(str(partition) for partition, _ in silent[:4])
        since = max(seconds for _, seconds in silent)
        return Quality.NULL, f"Unknown for {since:.0f} s: no answer for partition {listed}"
    return worst, _words(standing, worst)


def _listed(alarms: tuple[Alarm, ...]) -> str:
    first = min(alarms, key=lambda alarm: list(Severity).index(alarm.severity))
    return first.summary + (f" and {len(alarms) - 1} more" if len(alarms) > 1 else "")


def _words(standing: Standing, worst: Quality) -> str:
    names = [row.name for row in standing.board if row.quality is worst and not row.masked]
    if worst is Quality.GOOD:
        return f"All {len(names)} regions good"
    listed = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    if len(names) == len(standing.board):
        listed = "All regions"
    unknown = set(names) <= set(standing.stream.unknown)
    null = "unknown, no answer from the broker" if unknown else "not enough data"
    words = {Quality.NULL: null, Quality.MEDIUM: "medium", Quality.BAD: "bad"}
    return f"{listed}: {words[worst]}"


def state(standing: Standing) -> dict[str, Any]:
    """Return what the page shows, as plain JSON values; times stay in ns or s since 1970 UTC."""
    quality, text = headline(standing)
    taken = {entry.alarm: entry for entry in standing.acknowledged}
    alarms = [plain(alarm) | {"taken": plain(taken.get(alarm.id))} for alarm in standing.alarms]
    # The page does not draw the latents' moments: a thousand regions of them would be its bulk.
    shown: dict[str, Any] = plain(replace(standing, latents=None, channel_map=None, board=()))
    return shown | {
        "board": [row.plain() for row in standing.board],
        "quality": quality,
        "headline": text,
        "alarms": alarms,
        "budget": plain(standing.budget) | {"allowed": standing.budget.allowed},
    }
