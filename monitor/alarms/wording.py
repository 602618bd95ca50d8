"""Wording: what an alarm says, in words that a tired shifter reads and an expert can check."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from monitor.detector.tree import Level
from monitor.quality.alarms import Kind

if TYPE_CHECKING:
    from monitor.quality.alarms import Alarm, CellShare

ACTION = {
    Kind.DEAD: "Call the read-out expert: cells have gone silent.",
    Kind.HOT: "Call the read-out expert: mask the cell if it goes on.",
    Kind.GAIN: "Call the calibration expert: check high voltage and temperature.",
    Kind.NOISE: "Call the read-out expert: check grounding and low voltage.",
    Kind.PEDESTAL: "Call the calibration expert: take a pedestal run.",
    Kind.SWAP: "Call the read-out expert: cables or maps are exchanged.",
    Kind.SECOND: "Ask the run coordinator: showers overlap more than usual.",
    Kind.CONDITIONS: "Ask the run coordinator what changed in beam, trigger or material.",
    Kind.MODEL: "Call the data-quality expert: the model no longer fits.",
    Kind.SILENT: "Call the data-acquisition expert: no data come from there.",
    Kind.CROWDED: "Call the trigger expert: far more showers come from there than usual.",
    Kind.TRANSPORT: "Call the data-quality expert: the model can make no sense of these showers.",
    Kind.UNKNOWN: "Call the detector expert and look at the worst showers.",
}
"""What to do, by likely kind."""

PHRASE = {
    Kind.DEAD: "dead cells",
    Kind.HOT: "hot cells",
    Kind.GAIN: "gain has moved",
    Kind.NOISE: "more noise",
    Kind.PEDESTAL: "pedestals have moved",
    Kind.SWAP: "exchanged",
    Kind.SECOND: "overlapping showers",
    Kind.CONDITIONS: "conditions have changed",
    Kind.MODEL: "the model no longer fits",
    Kind.SILENT: "silent",
    Kind.CROWDED: "too many showers",
    Kind.TRANSPORT: "showers without a finite score",
    Kind.UNKNOWN: "strange showers",
}
"""What is wrong, by likely kind, after the name of the place."""


def summary(
    place: str, level: Level, regions: tuple[str, ...], kind: Kind, cells: tuple[CellShare, ...]
) -> str:
    """Return the one line: where and what.

    Examples
    --------
    >>> summary("A3", Level.REGION, ("A3",), Kind.GAIN, ())
    'Region A3: gain has moved'
    """
    where = f"{level.value.capitalize()} {place}"
    if level is not Level.REGION and len(regions) <= 3:
        where = f"Region{'s' if len(regions) > 1 else ''} {' and '.join(regions)}"
    what = PHRASE[kind]
    if kind in {Kind.DEAD, Kind.HOT} and len(cells) == 1:
        what = f"{'dead' if kind is Kind.DEAD else 'hot'} cell {cells[0].name}"
    return f"{where}: {what}"


def text(alarm: Alarm, finding: str, once_in_s: float) -> str:
    """Return the evidence of an alarm in a few sentences.

    Parameters
    ----------
    alarm
        With everything but its text.
    finding
        The statistic that crossed, in words.
    once_in_s
        Data-seconds in which chance alone brings as much at most once, somewhere in the detector.
    """
    reference = alarm.reference
    lines = [
        (
            f"{alarm.place}, since {clock(alarm.onset_ns // 1_000_000_000)}: {finding} "
            f"({reference.origin} reference of {reference.showers:,} showers)."
        ),
        (
            f"Found by {alarm.test}: chance alone would do this at most once in "
            f"{duration(once_in_s)}. Since the likeliest onset the data are "
            f"{power(alarm.log10_odds)} times likelier with a fault than without."
        ),
    ]
    if len(alarm.regions) > 1:
        shares = ", ".join(f"{share.name} {share.share:.0%}" for share in alarm.regions[:4])
        lines.append(f"Shares of it: {shares}.")
    if alarm.cells:
        shares = ", ".join(f"{cell.name} {cell.share:.0%}" for cell in alarm.cells[:4])
        lines.append(f"Cells that carry it: {shares}.")
    sure = "likely" if alarm.kind_margin >= 1 else "perhaps"
    lines.append(f"It is {sure} {alarm.kind.value}. {ACTION[alarm.kind]}")
    return " ".join(lines)


def clock(second: int) -> str:
    """Return a data-second as people say it, with its date: what is read may be of any day.

    >>> clock(1_700_000_000)
    '2023-11-14 22:13:20 UTC'
    """
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def power(log10: float) -> str:
    """Return 10 to a power in words.

    >>> power(3.2), power(12.4)
    ('1,585', '10^12')
    """
    if log10 > 100:  # what is beyond is not knowledge
        return "more than 10^100"
    return f"{10**log10:,.0f}" if log10 < 6 else f"10^{log10:.0f}"


def duration(seconds: float) -> str:
    """Return a time in the largest unit that gives at least one.

    >>> duration(90), duration(3e6), duration(1e15)
    ('1.5 minutes', '35 days', 'over 10,000 years')
    """
    if not math.isfinite(seconds) or seconds > 3.156e11:
        return "over 10,000 years"
    for unit, size in (
        ("years", 3.156e7),
        ("days", 86_400.0),
        ("hours", 3600.0),
        ("minutes", 60.0),
    ):
        if seconds >= size:
            count = seconds / size
            return f"{count:,.0f} {unit}" if count >= 10 else f"{count:.1f} {unit}"
    return f"{seconds:.0f} seconds"
