"""Sparse sheets: the tables of `calodqm bench sparse`, units of a set together."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from consumers.bench.sheets import Sheet
from models.scoring.measures import rate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.bench.units_file import Unit

FAULTS = (
    "dead core cell", "second photon 10 mm", "second photon 20 mm", "gain +5 %",
    "noise × 2 in a layer", "pi0", "photons for electrons",
)  # fmt: skip

HEAD = """\
Made by `calodqm bench sparse --out deploy/figures/sparse.json`, which adds units as long as it may; the same figures as [JSON](sparse.json). Each unit draws showers of its own from the clean Geant4 photons that ship (crystals and silicon: from the fast simulation), reads them out with noise or without, leaves out cells below so many standard deviations of the noise, and trains a small flux of 6,000 of them (128 hidden units, 10 epochs of 100 steps; silicon: of 3,000 and 84): less than the shipped models, the same for all. In brackets: 95 %, Clopper–Pearson."""


def page(units: list[Unit]) -> str:
    """Return the page of all figures."""
    spent = sum(unit["cpu_s"] for unit in units) / 60
    foot = f"{len(units)} units, {spent:.0f} minutes of CPU."
    blocks = ["# Cells that are mostly zero", HEAD, *(s.markdown() for s in sheets(units)), foot]
    return "\n\n".join(blocks) + "\n"


def sheets(units: list[Unit]) -> Iterator[Sheet]:
    """Yield the tables of whatever has been measured."""
    by_set: dict[str, list[Unit]] = defaultdict(list)
    for unit in units:
        by_set[unit["part"]].append(unit)
    yield _power(by_set)
    yield _lost(by_set)
    yield _fit(by_set)
    yield _hours(by_set)


def _power(by_set: dict[str, list[Unit]]) -> Sheet:
    rows = []
    for name, units in by_set.items():
        cells = [_of(units, "power", fault) for fault in FAULTS]
        rows.append((name, f"{_mean(units, 'zero'):.0%}", *(_told(found) for found in cells)))
    return Sheet(
        "One shower: AUC, and TPR at FPR 1e-2",
        ("showers", "cells at zero", *FAULTS),
        tuple(rows),
        "Of the combined p-value, by the same good showers. Noise that is suppressed, and pions that "
        "hold noise where there is to be none, are left out; two photons need cells in rows and "
        "columns.",
    )


def _lost(by_set: dict[str, list[Unit]]) -> Sheet:
    rows = []
    for name, units in by_set.items():
        for fault in FAULTS[1:3]:
            taught = _of(units, "taught", fault)
            if taught:
                mine = _of(units, "power", fault)
                rows.append((f"{name}: {fault}", _told(mine), _told(taught)))
    return Sheet(
        "What is lost in the suppression itself: AUC, and TPR at FPR 1e-2",
        ("showers", "flux", "a classifier that is taught it"),
        tuple(rows),
        "The classifier is taught two photons 10 mm apart, on the same showers as the flux and "
        "anew for each read-out: what it sees is in the cells. A bound from below; at 20 mm it was "
        "not taught.",
    )


def _fit(by_set: dict[str, list[Unit]]) -> Sheet:
    rows = []
    for name, units in by_set.items():
        fits = [unit["fit"] for unit in units]
        n = sum(fit["good"] for fit in fits)
        beyond = (rate(sum(fit["beyond"][a] for fit in fits), n) for a in ("0.1", "0.01"))
        above = max(max(fit["held_out_above"].values()) for fit in fits)
        rows.append(
            (
                name,
                *(f"{r.value:.4f} ({r.low:.4f}–{r.high:.4f})" for r in beyond),
                f"{sum(fit['square'] for fit in fits) / len(fits):.3f}",
                f"{max(fit['largest_square'] for fit in fits):.2f}",
                f"{above:+.1f}",
                "; ".join(dict.fromkeys(m for u in units for m in u["misfits"])) or "none",
            )
        )
    return Sheet(
        "Calibration and fit on good showers that no model has met",
        ("showers", "p ≤ 0.1", "p ≤ 0.01", "mean z²", "largest of a cell",
         "loss held out − training, nats", "what does not fit"),
        tuple(rows),
    )  # fmt: skip


def _hours(by_set: dict[str, list[Unit]]) -> Sheet:
    rows = []
    for name, units in by_set.items():
        hours = [unit["hour"] for unit in units]
        delays = ["never" if h["dead_after_s"] is None else f"{h['dead_after_s']} s" for h in hours]
        showers = sum(h["seconds"] * h["showers_per_s"] for h in hours)
        rows.append(
            (
                name,
                f"{sum(h['seconds'] for h in hours) / 3600:.0f}",
                f"{showers:,.0f}",
                f"{sum(h['pages'] for h in hours)}",
                f"{sum(h['warnings'] for h in hours)}",
                ", ".join(delays),
                f"{_mean(units, 'train_s'):.0f}",
                f"{_mean(units, 'score_us'):,.0f}",
                f"{max(unit['peak_mib'] for unit in units):,}",
            )
        )
    return Sheet(
        "Good data through the monitor, then a dead core cell in one region",
        ("showers", "hours", "of showers", "pages", "warnings", "dead cell paged after",
         "training, CPU s", "scoring, µs a shower", "largest memory so far, MiB"),
        tuple(rows),
        "Drawn with replacement from the good showers of the unit; 8 regions, silicon: 4, whose dead "
        "cell, in the middle of its depth, is lit in a quarter of the showers. Training "
        "includes the reference.",
    )  # fmt: skip


def _of(units: list[Unit], what: str, fault: str) -> list[dict[str, Any]]:
    return [unit[what][fault] for unit in units if fault in unit.get(what, {})]


def _told(found: list[dict[str, Any]]) -> str:
    if not found:
        return "–"
    auc = sum(one["auc"] for one in found) / len(found)
    r = rate(sum(one["k"] for one in found), sum(one["n"] for one in found))
    return f"{auc:.3f}, {r.value:.3f} ({r.low:.3f}–{r.high:.3f})"


def _mean(units: list[Unit], name: str) -> float:
    total: float = sum(unit[name] for unit in units)
    return total / len(units)
