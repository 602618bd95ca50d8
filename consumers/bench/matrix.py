"""Matrix: false pages, delays and pairs of faults in every setup, in units that add up.

A thousand days in dozens of setups take long: every call does units of work, as long as it is told
to, and adds what came of each to a file. Units are independent: whoever has time runs more.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from consumers.app.settings import ARTEFACT
from consumers.bench import trials, units_file
from consumers.bench.count_simulation import upper_limit
from consumers.bench.plan import SHOWERS
from consumers.bench.setups import SETUPS, Setup
from consumers.bench.sheets import Sheet
from consumers.bench.simulated_days import simulated
from consumers.bench.units_file import Task
from consumers.wire.user_error import UserError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from consumers.bench.units_file import Figures, Unit

PARTS = ("simulated", "real", "delays", "pairs")
"""False pages in simulated counts and latents; in real showers, with everything that streams do;
delays of each fault; two faults at once."""


HEAD = """\
# Alarms in every setup

Made by `calodqm bench matrix --out deploy/figures/matrix.json`, in units that add up; the units themselves are the [JSON](matrix.json). A setup is named by the showers of its reference, its regions, whether incident energies are known, and the masked cells of one region, and the model by its artefact. All detectors have 1,000 showers/s."""

NOTES = {
    "simulated": "What the tests look at is drawn, a minute in one step, by the tests' own code "
    "judged; every unit has a reference of its own. A minute's step gathers less evidence by "
    "chance than the second's of a stream: what is tried is above all whether references, with "
    "their errors, call good data bad. Allowed: one page in 30 days.",
    "real": "Geant4 showers that are in no reference, drawn with replacement, through the whole "
    "monitor second by second; one second in fifty, a quarter of the regions comes five seconds "
    "late. An hour a unit, with a reference of its own. The page with 40 masked cells is of "
    "0bebb5b1dda1; the same hour since has none.",
    "delays": "Data-seconds from the onset until all that is struck is paged; place and kind are "
    "taken 16 s later. Found: within 120 s, 400 s for anomaly rates of twice the usual. Every "
    "trial of a fault has a reference of its own.",
    "pairs": "Two faults begin together in two regions. Place and kind are right if both are.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm bench matrix`."""
    parser.add_argument("--only", nargs="+", choices=PARTS, default=[*PARTS], metavar="PART",
                        help=f"of {', '.join(PARTS)}")  # fmt: skip
    parser.add_argument("--setups", nargs="+", default=None, metavar="TEXT",
                        help="setups of whose name one of these is a part: ref3000, regions64-unknown, masked4")  # fmt: skip
    parser.add_argument("--artefact", type=Path, default=ARTEFACT, metavar="DIR")
    parser.add_argument("--showers", type=Path, nargs="+", default=SHOWERS, metavar="FILE",
                        help="good showers that are in no reference")  # fmt: skip
    units_file.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Do units of work, those that there are fewest of first, and write what came of them."""
    chosen = [
        setup
        for setup in SETUPS
        if args.setups is None or any(setup.fits(text) for text in args.setups)
    ]
    if not chosen:
        raise UserError("no such setup; there are " + ", ".join(setup.name for setup in SETUPS))
    source = trials.ScoredFiles(args.artefact, tuple(args.showers))

    def following(done: list[Unit]) -> Task:
        part, setup = _next(done, args.only, chosen, source)
        seed = sum(_key(unit) == (part, json.dumps(setup.told()), source.name) for unit in done)
        said = {"part": part, "setup": setup.told(), "artefact": source.name, "seed": seed}
        return Task(f"{part} {setup.name} #{seed}", said, lambda: _WORK[part](setup, seed, source))

    done = units_file.fill(args, following, page)
    for sheet in sheets(done):
        Console().print(sheet.table())
    return 0


def _next(
    done: list[Unit], parts: list[str], setups: list[Setup], source: trials.ScoredFiles
) -> tuple[str, Setup]:
    """Return the part and the setup of which the least CPU time has been spent with this model.

    Energies do not enter what is simulated: it is run for known ones alone.
    """
    spent: dict[tuple[str, str, str], float] = defaultdict(float)
    for unit in done:
        spent[_key(unit)] += unit["cpu_s"]
    works = [
        (part, setup)
        for part in parts
        for setup in setups
        if part != "simulated" or setup.e_inc == "known"
    ]
    if not works:
        raise UserError("what is simulated has no energies: choose setups of known ones")
    ready = {work: spent[work[0], json.dumps(work[1].told()), source.name] for work in works}
    # Showers are scored once for all setups with the same energies and masks: stay with them.
    return min(
        works, key=lambda work: (ready[work], not source.has(work[1], faults=work[0] != "real"))
    )


def _key(unit: Unit) -> tuple[str, str, str]:
    return unit["part"], json.dumps(unit["setup"]), unit["artefact"]


_WORK: dict[str, Callable[[Setup, int, trials.ScoredFiles], Figures]] = {
    "simulated": lambda setup, seed, source: simulated(setup, seed, source.geometry),
    "real": trials.real_hour,
    "delays": trials.delays,
    "pairs": trials.pairs,
}


def page(done: list[Unit]) -> str:
    """Return the tables of the units that are done."""
    commits = ", ".join(sorted({str(unit["commit"]) for unit in done}))
    cpu = sum(unit["cpu_s"] for unit in done) / 60
    made = f"*{len(done):,} units, {cpu:.0f} min CPU; commits {commits}.*"
    return "\n\n".join([HEAD, *(sheet.markdown() for sheet in sheets(done)), made]) + "\n"


def sheets(done: list[Unit]) -> Iterable[Sheet]:
    """Yield the tables of all units that are done."""
    for part, title in (
        ("simulated", "False pages in simulated counts and latents"),
        ("real", "False pages in real showers"),
    ):
        units = [unit for unit in done if unit["part"] == part]
        if units:
            yield _pages(title, units, NOTES[part])
    for part, title in (("delays", "Delays of each fault"), ("pairs", "Two faults at once")):
        units = [unit for unit in done if unit["part"] == part]
        if units:
            yield _faults(title, units, NOTES[part])


def _pages(title: str, units: list[Unit], note: str) -> Sheet:
    total: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for unit in units:
        for name in (_name(unit), f"all of {_model(unit)}", "all"):
            for i, key in enumerate(("days", "pages", "warnings")):
                total[name][i] += unit[key]
    rows = tuple(
        (name, f"{days:,.2f}", f"{days / 30:.2f}", f"{pages:.0f}",
         f"{upper_limit(int(pages)):.1f}", f"{warnings:.0f}")
        for name, (days, pages, warnings) in sorted(total.items())
    )  # fmt: skip
    columns = ("setup", "days", "pages allowed", "pages", "at most, 95 %", "warnings")
    return Sheet(title, columns, rows, note)


def _faults(title: str, units: list[Unit], note: str) -> Sheet:
    found: dict[tuple[str, str], list[Figures]] = defaultdict(list)
    for unit in units:
        for name, trial in unit["faults"].items():
            found[name, _name(unit)].append(trial)
            found[name, "all"].append(trial)
    rows = tuple((*key, *_told(trials_)) for key, trials_ in sorted(found.items()))
    columns = ("fault", "setup", "found", "page 50 %", "page 90 %", "place", "kind", "pages")
    return Sheet(title, columns, rows, note)


def _told(trials_: list[Figures]) -> tuple[str, ...]:
    pages = sorted(np.inf if t["page_s"] is None else t["page_s"] for t in trials_)
    n = len(trials_)

    def quantile(q: float) -> str:
        value = pages[min(int(q * n), n - 1)]
        return f"{value:.0f}" if np.isfinite(value) else "never"

    return (
        f"{sum(np.isfinite(page) for page in pages)}/{n}",
        quantile(0.5),
        quantile(0.9),
        f"{np.mean([t['place'] for t in trials_]):.0%}",
        f"{np.mean([t['kind'] for t in trials_]):.0%}",
        f"{np.mean([t['pages'] for t in trials_]):.2f}",
    )


def _name(unit: Unit) -> str:
    return f"{Setup(**unit['setup']).name} {_model(unit)}"


def _model(unit: Unit) -> str:
    name: str = unit["artefact"].split()[0]
    return name
