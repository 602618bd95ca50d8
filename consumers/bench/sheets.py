"""Tables of the benchmark of the alarms, for a terminal and for a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Sheet:
    """A table: what it is about, its columns, its rows, and what one has to know to read it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def table(self) -> Table:
        """Return it for a terminal."""
        table = Table(title=self.title, caption=self.note or None)
        for i, column in enumerate(self.columns):
            table.add_column(column, justify="right" if i else "left")
        for row in self.rows:
            table.add_row(*(cell.replace("**", "") for cell in row))
        return table

    def markdown(self) -> str:
        """Return it for a page.

        Examples
        --------
        >>> print(Sheet("T", ("a", "b"), (("x", "1"),)).markdown())
        ### T
        <BLANKLINE>
        | a | b |
        |---|---:|
        | x | 1 |
        """
        lines = [f"### {self.title}", "", _line(self.columns)]
        lines.append("|---|" + "---:|" * (len(self.columns) - 1))
        lines += [_line(row) for row in self.rows]
        return "\n".join([*lines, *(["", self.note] if self.note else [])])


def _line(row: tuple[str, ...]) -> str:
    return f"| {' | '.join(row)} |"


def sheets(part: str, told: dict[str, Any]) -> Iterator[Sheet]:
    """Yield the tables of a part's figures."""
    yield from _SHEETS[part](told)


def _pages(told: dict[str, Any]) -> Iterator[Sheet]:
    spread = (
        f", tail probabilities spread by {told['spread']:.0%} from minute to minute"
        if told["spread"]
        else ""
    )
    title = f"{told['days']:,.0f} simulated days of good data{spread}"
    sure = _at_most(told["pages"], told["pages_at_most_95"])
    warned = _at_most(told["warnings"], told["warnings_at_most_95"])
    rows = (
        ("**calodqm: pages**", sure),
        ("budget", f"{told['budget']:.1f}"),
        ("calodqm: warnings", f"{warned}; {told['days']:,.0f} allowed"),
        ("calodqm: largest evidence, of what a page needs", f"{told['largest']:.1g}"),
        ("mean + 3 sigma a minute, regions", f"{told['three_sigma']:,}"),
        ("exact test a minute, plug-in rate", f"{told['tumbling']:,}"),
    )
    note = (
        f"{told['regions']} regions, {told['rate_hz']:,.0f} showers/s, references of "
        f"{told['n_ref']:,}, a new one for every 25 days. Counts of showers by p are drawn every "
        f"{told['step_s']} s; the tests' own code looks at them."
    )
    yield Sheet(title, ("alarms", "in good data"), rows, note)


def _at_most(count: int, limit: float) -> str:
    return f"{count:,} (at most {limit:,.1f} at 95 %)"


def _latents(told: dict[str, Any]) -> Iterator[Sheet]:
    limits = told["crossings_at_most_95"]
    rows = tuple(
        (f"{size:,.0f} s", f"{allowed:,.1f}", _at_most(count, limit))
        for size, allowed, count, limit in zip(
            told["once_in_s"], told["allowed"], told["crossings"], limits, strict=True
        )
    )
    note = (
        f"{told['latents']} latents and {told['cells']} occupancies, steps of {told['step_s']} s, "
        f"references of {told['n_ref']:,}. Sums over showers are drawn, exact in distribution for "
        f"independent standard normal latents. Largest evidence seen: {told['largest_s']:,.0f} s; "
        f"a region pages at {told['page_s']:,.0f} s."
    )
    title = f"Latents of single regions, {told['region_days']:,.0f} region-days of good data"
    yield Sheet(title, ("evidence that comes once in", "allowed", "found"), rows, note)


def _resampled(told: dict[str, Any]) -> Iterator[Sheet]:
    rows = (
        ("**calodqm: pages**", _at_most(told["pages"], told["pages_at_most_95"])),
        ("calodqm: warnings", f"{told['warnings']}"),
        ("calodqm: largest evidence, of what a page needs", f"{told['largest_evidence']:.1g}"),
        *((name, f"{count:,}") for name, count in told["rivals_alarms"].items()),
    )
    reference = told["reference"]
    note = (
        f"{told['distinct_showers']:,} Geant4 photons that are in no reference, in "
        f"{told['images']:,} images with mirrors and noise of their own, drawn {told['showers']:,} "
        f"times with replacement; at the end the reference was {reference['id']} "
        f"({reference['showers']:,} showers)."
    )
    title = f"{told['hours']:g} hours of real showers, resampled"
    yield Sheet(title, ("alarms", "in good data"), rows, note)
    crossings = tuple(
        (f"{size:,.0f} s", f"{allowed:,.1f}", f"{count}")
        for size, allowed, count in zip(
            told["once_in_s"], told["allowed"], told["crossings"], strict=True
        )
    )
    title = f"All evidence in those hours, {told['place_days']:,.0f} place-days"
    yield Sheet(title, ("evidence that comes once in", "allowed", "found"), crossings)


def _delays(told: dict[str, Any]) -> Iterator[Sheet]:
    faults = told["faults"]
    columns = ("fault", "found", "warning 50 %", "page 50 %", "page 90 %", "onset off by", "place",
               "cell", "kind", "at once", "3 sigma", "exact", "occupancy")  # fmt: skip
    rows = tuple(
        (
            name,
            f"{line['found']}/{line['trials']}",
            _seconds(line["warning_median_s"]),
            _seconds(line["page_median_s"]),
            _seconds(line["page_90_s"]),
            _seconds(line["onset_error_median_s"], never=""),
            _share(line["place_right"]),
            _share(line["cell_right"]),
            _share(line["kind_right"]),
            _share(line.get("first_kind_right")),
            *(_seconds(delay) for delay in line["rivals_median_s"].values()),
        )
        for name, line in faults.items()
    )
    note = (
        f"Data-seconds from the onset; never: not in {told['limit_s']} s "
        f"({told['faint_limit_s']} s for a rate of twice the usual). {told['rate_hz']:,.0f} "
        f"showers/s over {told['regions']} regions, one of them struck unless said otherwise; "
        f"references of {told['n_ref']:,}, {told.get('references', 'one for all trials')}. Place, cell and kind: share of trials in which exactly "
        "the struck regions are named, the struck cell is named first, the kind is right (16 s after the page; at once: in the "
        "first words). The "
        "last three columns are the median delays of what a crew would have otherwise."
    )
    yield Sheet("Delay, place and kind", columns, rows, note)
    kinds = sorted({kind for line in faults.values() for kind in line["kinds"]})
    confusion = tuple(
        (name, *(str(line["kinds"].get(kind, "")) for kind in kinds))
        for name, line in faults.items()
    )
    yield Sheet("Kinds named", ("fault", *kinds), confusion)


def _contamination(told: dict[str, Any]) -> Iterator[Sheet]:
    shares = sorted({line["contamination"] for line in told["lines"]})
    cells = {
        (line["fault"], line["contamination"], line["guards"]): _learnt(line)
        for line in told["lines"]
    }
    order = [(share, guards) for share in shares for guards in (True, False)]
    names = tuple(f"{share:.1%}, {'guarded' if guards else 'bare'}" for share, guards in order)
    rows = tuple(
        (fault, *(cells.get((fault, share, guards), "") for share, guards in order))
        for fault in dict.fromkeys(line["fault"] for line in told["lines"])
    )
    note = (
        f"Median delay in data-seconds within {told['limit_s']} s; in brackets how many of "
        f"{told['lines'][0]['trials']} trials were found where not all were. Columns: share of the "
        f"{told['live_showers']:,} showers of the live reference that had the fault. Quarantine "
        "and subtraction have failed there; guarded: the certified reference still bounds what is "
        "believed, bare: the live reference alone is. What a clean reference never shows was not "
        "tried with a contaminated one."
    )
    yield Sheet("Contaminated live reference", ("fault", *names), rows, note)
    paged = {
        (line["fault"], line["share"], line["guards"]): f"{line['paged']}/{line['trials']}"
        for line in told["good"]
    }
    order = [(share, guards) for share in shares if share for guards in (True, False)]
    names = tuple(f"{share:.1%}, {'guarded' if guards else 'bare'}" for share, guards in order)
    rows = tuple(
        (fault, *(paged.get((fault, share, guards), "") for share, guards in order))
        for fault in dict.fromkeys(line["fault"] for line in told["good"])
    )
    title = f"Good data against those references: pages within {told['limit_s']} s"
    yield Sheet(title, ("fault that was learnt", *names), rows)


def _learnt(line: dict[str, Any]) -> str:
    every = line["found"] == line["trials"]
    return _seconds(line["page_median_s"]) + ("" if every else f" ({line['found']})")


def _handover(told: dict[str, Any]) -> Iterator[Sheet]:
    rows = tuple(
        (
            line["fault"],
            _seconds(line["page_s"]),
            f"{line['replaced_after_s']}",
            f"{line['alarms']}",
            f"{line['onsets']}",
            "yes" if line["same"] else "no",
        )
        for line in told["lines"]
    )
    note = (
        "A second judge takes over from the first one's state, half-way to the page. Same: every "
        "record that both said together is, to the bit, that of a judge that was left alone."
    )
    columns = ("fault", "page", "replaced after", "alarms", "onsets", "same")
    yield Sheet("Judge replaced in the middle of a fault, s", columns, rows, note)


def _seconds(delay: float | None, never: str = "never") -> str:
    return never if delay is None else f"{delay:.0f}"


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


_SHEETS: dict[str, Callable[[dict[str, Any]], Iterator[Sheet]]] = {
    "false-pages": _pages,
    "spread": _pages,
    "latents": _latents,
    "resampled": _resampled,
    "delays": _delays,
    "contamination": _contamination,
    "handover": _handover,
}
