"""Channel sheets: the tables of `calodqm bench channels`, of units of the same kind together."""

from __future__ import annotations

import statistics
from collections import defaultdict
from typing import TYPE_CHECKING

from consumers.bench.channel_border_sheet import borders_sheet
from consumers.bench.channel_sites import NAMES
from consumers.bench.channel_trials import SCENARIOS
from consumers.bench.sheets import Sheet
from models.scoring.measures import rate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.bench.units_file import Unit

HEAD = """\
Made by `calodqm bench channels --artefact models/artefacts/barrel-flux --out deploy/figures/channels.json`, which adds units as long as it may; the same figures as [JSON](channels.json). In brackets: 95 %, Clopper–Pearson. Times are data time."""


def page(units: list[Unit]) -> str:
    """Return the page of all figures."""
    tables = (sheet.markdown() for sheet in sheets(units))
    blocks = ["# Figures of channels", HEAD, *tables, _made_by(units)]
    return "\n\n".join(blocks) + "\n"


def sheets(units: list[Unit]) -> Iterator[Sheet]:
    """Yield the tables of whatever has been measured."""
    by_part: dict[str, list[Unit]] = defaultdict(list)
    for unit in units:
        by_part[unit["part"]].append(unit)
    yield from _of_trials(*(by_part[name] for name in SCENARIOS))
    if by_part["days"]:
        yield _days(by_part["days"])
    if by_part["cost"]:
        yield _cost(by_part["cost"][-1])
    if by_part["borders"]:
        yield borders_sheet(by_part["borders"])


def _of_trials(*of_rates: list[Unit]) -> Iterator[Sheet]:
    """Yield the tables of the units of each rate, and of all together."""
    measured = [units for units in of_rates if units]
    for units in measured:
        yield _faults(units[0]["part"], units)
    for units in measured:
        if any(unit["alone"] for unit in units):
            yield _alone(units[0]["part"], units)
    trials = [unit for units in measured for unit in units]
    if any(unit["gains"] for unit in trials):
        yield _gains(trials)
    if trials:
        yield _good(trials)


def _made_by(units: list[Unit]) -> str:
    spent = sum(unit["cpu_s"] for unit in units) / 60
    models = ", ".join(dict.fromkeys(unit["artefact"][:12] for unit in units))
    seeds = ", ".join(str(unit["seed"]) for unit in units)
    newest = max(unit["done"] for unit in units)
    return (
        f"*{len(units)} units, {spent:.0f} min CPU until {newest}; models {models}; seeds {seeds}.*"
    )


def _share(k: int, n: int) -> str:
    told = rate(k, n)
    return f"{k}/{n} ({told.low:.2f}–{told.high:.2f})"


def _span(seconds: list[float]) -> str:
    """Return the median, and the range, of times.

    Examples
    --------
    >>> _span([30.0, 10.0, 20.0]), _span([])
    ('20 (10–30)', '–')
    """
    if not seconds:
        return "–"
    middle = statistics.median(seconds)
    return f"{middle:,.0f} ({min(seconds):,.0f}–{max(seconds):,.0f})"


def _faults(part: str, units: list[Unit]) -> Sheet:
    trials = [trial for unit in units for trial in unit["trials"]]
    widths = list(trials[0]["occupancy_s"])
    rows = []
    for name in NAMES:
        mine = [trial for trial in trials if trial["fault"] == name]
        found = [trial for trial in mine if trial["seconds"] is not None]
        first = {
            width: [t["occupancy_s"][width] for t in mine if t["occupancy_s"][width] is not None]
            for width in widths
        }
        exact = sum(trial["exactly"] for trial in found)
        rows.append(
            (
                name,
                _share(len(found), len(mine)),
                _share(exact, len(mine)),
                _span([trial["seconds"] for trial in found]),
                *(f"{len(first[w])}/{len(mine)}, {_span(first[w])}" for w in widths),
            )
        )
    flags = [
        statistics.mean(unit["occupancy_flags_a_day"][width] for unit in units) for width in widths
    ]
    told = ", ".join(f"{flag:,.0f}" for flag in flags)
    elsewhere = sum(len(unit["elsewhere"]) for unit in units)
    note = (
        f"Detectors: {len(units)}, each with gains, noise and pedestals of its own, "
        f"{_hours(units, 'good_s')} of good data and then {_hours(units, 'faults_s')} "
        "with all faults, far from each other, before the watch over channels. Exactly: the last "
        "word of the first alarm names all struck channels and no other. Occupancy: counts of a "
        "channel against mean ± 5σ of the good data, in tumbling windows; so it flags "
        f"{told} good channels a day in the whole barrel (and says nothing where the good data were "
        f"shorter than its window). Alarms of channels that no fault reaches: "
        f"{elsewhere}."
    )
    columns = ("fault", "found", "named exactly", "seconds", *(f"± 5σ in {w} s" for w in widths))
    after = f" after {_hours(units, 'good_s')} of good data" if part.endswith("-long") else ""
    return Sheet(f"Faults at {_hz(part)}{after} in 61,200 crystals", columns, tuple(rows), note)


def _hours(units: list[Unit], name: str) -> str:
    """Return how long something took in some units.

    Examples
    --------
    >>> _hours([{"good_s": 3600}, {"good_s": 7200}], "good_s")
    '1 or 2 h'
    """
    return (
        " or ".join(f"{seconds / 3600:.2g}" for seconds in sorted({u[name] for u in units})) + " h"
    )


def _hz(part: str) -> str:
    return part.removesuffix("-long").replace("kHz", " kHz")


def _alone(part: str, units: list[Unit]) -> Sheet:
    rows = []
    for name in NAMES:
        mine = [t for unit in units for t in unit["alone"] if t["fault"] == name]
        found = [t for t in mine if t["seconds"] is not None]
        other = [t["by_patch_cell_s"] for t in mine if t["by_patch_cell_s"] is not None]
        said = dict.fromkeys(t["by_patch_cell"] for t in mine if t["by_patch_cell"])
        rows.append(
            (
                name,
                f"{len(found)}/{len(mine)}, {_span([t['seconds'] for t in found])}",
                f"{sum(t['exactly'] for t in found)}/{len(mine)}",
                f"{sum(t['other_alarms'] for t in mine)}",
                f"{len(other)}/{len(mine)}, {_span(other)}",
                "; ".join(said),
            )
        )
    limit = next(unit["alone_limit_s"] for unit in units if unit["alone"])
    note = (
        f"One fault at a time, for {limit} s, before all that watches, channels and regions; and "
        "before the same without channels, whose sums are by cell of the patch: it can name a region "
        "and a cell of the patch, and no crystal."
    )
    columns = (
        "fault", "found, s", "named exactly", "other alarms", "by patch cell: found, s", "it says",
    )  # fmt: skip
    return Sheet(f"One fault alone at {_hz(part)}", columns, tuple(rows), note)


def _gains(units: list[Unit]) -> Sheet:
    rows = sorted(
        (
            one["core_showers"],
            (
                f"{one['core_showers']:,.0f}",
                f"{one['near_showers']:,.0f}",
                f"{one['limit']:.2%}",
                f"{one['stated']:.2%}",
                f"{one['error']:.2%}",
                f"{one['pull']:.2f}",
                f"{one['correlation']:.2f}",
            ),
        )
        for unit in units
        for one in unit["gains"]
    )
    spread = next(one["spread_injected"] for unit in units for one in unit["gains"])
    note = (
        "Medians over the channels; the limit is that of the statistics of the latents of a channel "
        "whose neighbours are known, stated is the error that is told with a gain, the error 68 % of |estimated − injected|, the pull the "
        f"width of their ratio. Injected spread {spread:.2%}. A mean shift of all gains is left out."
    )
    columns = (
        "showers in the core", "beside it", "limit", "stated", "error", "pull", "correlation",
    )  # fmt: skip
    return Sheet("Estimated gains", columns, tuple(row for _, row in rows), note)


def _good(units: list[Unit]) -> Sheet:
    rows = tuple(
        (
            f"{unit['part']} #{unit['seed']}",
            f"{unit['good_s'] / 3600:.2g}",
            f"{unit['pages'][0]}",
            f"{unit['pages'][1]}",
            "; ".join(dict.fromkeys(unit["said"])) or "–",
        )
        for unit in units
    )
    note = "Showers that the model never saw, in a detector that it has yet to learn."
    columns = ("unit", "hours", "pages with channels", "without", "said")
    return Sheet("Good data before the faults", columns, rows, note)


def _days(units: list[Unit]) -> Sheet:
    days = sum(unit["days"] for unit in units)
    rows, per = [], 1000 / days
    for of_size in zip(*(unit["crossings"] for unit in units), strict=True):
        allowed, found = (per * sum(one[k] for one in of_size) for k in ("allowed", "found"))
        seen = f"{sum(one['found'] > 0 for one in of_size)}"
        rows.append((f"{of_size[0]['share']:g}", f"{allowed:,.3g}", f"{found:,.2g}", seen))
    note = (
        f"{len(units)} × {units[0]['blocks']:,} blocks of 50 channels, their cards and high voltage, "
        f"{days:.2g} days of the whole barrel, at 1 kHz in 61,200: what was found is scaled to 1,000. Blocks whose evidence has grown are made "
        "many of little weight (weighted ensemble): rates far below one in those days. Sums are drawn "
        f"from latents of good showers in steps of {units[0]['step_s']} s, each cell by itself, with "
        "the live constants taken up as in the service. A page needs 1: one in 30 days for all that is "
        "watched, 30 % of them for channels and groups. Seen: units in which it was reached at all."
    )
    title = "Rate of false pages of channels, by a weighted ensemble"
    head = ("evidence, of a page's", "allowed in 1,000 days", "found, for 1,000 days", "seen")
    return Sheet(title, head, tuple(rows), note)


def _cost(unit: Unit) -> Sheet:
    rows = []
    for one in unit["rates"]:
        worker, judge, size = one["worker_us"], one["judge"], one["bytes_a_second"]
        rows += [
            (
                f"{one['rate']:,.0f} Hz",
                f"{worker['score'] + worker['sums_by_region'] + extra:.1f}",
                f"{extra:.1f}",
                f"{judge[way]['cpu_ms']:.0f}",
                f"{judge[way]['grown_mib']:.0f}",
                f"{size[way] / 1e3:,.0f}",
                way,
            )
            for way, extra in (("without", 0.0), ("with", worker["sums_by_channel"]))
        ]
    note = (
        f"{unit['channels']:,} channels. Worker: CPU of scoring and sums in batches of a data-second. "
        "Judge: CPU of a data-second, what its process has grown by. Bytes: windows of all regions "
        "before compression."
    )
    columns = (
        "rate", "worker, µs a shower", "of it sums by channel", "judge, ms a data-second",
        "judge, MiB", "windows, kB a second", "channels",
    )  # fmt: skip
    return Sheet("What channels cost", columns, tuple(rows), note)
