"""Evaluation tables: what `calodqm evaluate` prints."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from models.scoring.scales import LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.scoring.artefact import Artefact
    from models.scoring.measures import Calibration
    from models.studies.energies import Linearity
    from models.studies.evaluation import Row
    from models.studies.mutability import Agreement
    from models.studies.power import Curve


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 132)


def show_separation(
    artefact: Artefact,
    good: int,
    rows: Sequence[Row],
    curves: Sequence[Curve],
) -> None:
    """Print how well each kind of strange shower is told from the good ones."""
    from models.scoring.measures import FPR  # noqa: PLC0415
    from models.studies.report import window  # noqa: PLC0415

    needed = {curve.name: window(curve) for curve in curves}
    table = Table(title=f"{artefact.family} {artefact.version}, {good} good showers", box=None)
    for head in (
        "anomaly",
        "showers",
        "AUC",
        *(f"TPR at {f:g}" for f in FPR),
        "SIC",
        "one",
        "window",
    ):
        table.add_column(head, justify="left" if head == "anomaly" else "right")
    for row in rows:
        s = row.scores["combined"]
        rates = [f"{s.tpr[f].value:.3f} ({s.tpr[f].low:.3f}–{s.tpr[f].high:.3f})" for f in FPR]
        table.add_row(
            row.name,
            str(row.showers),
            f"{s.auc:.3f}",
            *rates,
            f"{s.sic[FPR[0]]:.1f}",
            row.one_shower,
            needed.get(row.name, ""),
        )
    _console().print(table)


def show_calibration(calibrations: Sequence[Calibration]) -> None:
    """Print how often good showers are called strange, over how often they should be."""
    table = Table(title="Achieved exceedance of good showers over nominal", box=None)
    for head in ("energy, GeV", "showers", *(f"α = {level:g}" for level in LEVELS)):
        table.add_column(head, justify="right")
    for c in calibrations:
        where = "all" if c.cell < 0 else f"{c.low_mev / 1000:.1f}–{c.high_mev / 1000:.1f}"
        rates = [
            f"{c.achieved[a].value / a:.2f} ({c.achieved[a].low / a:.2f}–{c.achieved[a].high / a:.2f})"
            for a in LEVELS
        ]
        table.add_row(where, str(c.achieved[LEVELS[0]].n), *rates)
    _console().print(table)


def show_energies(linear: Sequence[Linearity]) -> None:
    """Print how well energies are measured."""
    table = Table(title="Energy by the calibration of the layers, and by the plain sum", box=None)
    for head in ("energy, GeV", "showers", "response", "σ/E", "plain response", "plain σ/E"):
        table.add_column(head, justify="right")
    for row in linear:
        table.add_row(
            f"{row.low_mev / 1000:.1f}–{row.high_mev / 1000:.1f}",
            str(row.showers),
            f"{row.response:.3f}",
            f"{row.spread:.2%}",
            f"{row.plain_response:.3f}",
            f"{row.plain_spread:.2%}",
        )
    if linear:
        _console().print(table)


def show_mutability(found: Agreement, half: int, name: str) -> None:
    """Print both forms of mutability, for so many good showers and as many of a kind."""
    table = Table(title=f"Mutability, {half} good and {half} {name}", box=None)
    for head in ("form", "AUC", "µs a shower"):
        table.add_column(head, justify="left" if head == "form" else "right")
    table.add_row("refit for each shower", f"{found.auc_refit:.4f}", f"{found.refit_us:.0f}")
    table.add_row("clustered once", f"{found.auc_fast:.4f}", f"{found.fast_us:.0f}")
    console = _console()
    console.print(table)
    console.print(f"rank correlation of the two: {found.rank_correlation:.4f}")
