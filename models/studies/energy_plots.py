"""Energy plots: what `models.studies.energies` finds, for the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

from models.studies.plots import COLOURS, STYLE, style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.studies.energies import Likeness, Linearity


def of_energies(linear: Sequence[Linearity], alike: Sequence[Likeness]) -> dict[str, Figure]:
    """Return the plots of the energy calibration, and of the fast simulation, where there are any."""
    plots = {"energies": linearity(linear)} if linear else {}
    return {**plots, "simulation": likeness(alike)} if alike else plots


def linearity(rows: Sequence[Linearity]) -> Figure:
    """Return resolution and linearity over the energy, beside those of the plain sum."""
    with mpl.rc_context(STYLE):
        figure = Figure((10, 3.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        at = [(row.low_mev + row.high_mev) / 2000 for row in rows]
        names = ("calibration of the layers", "plain sum")
        for i, prefix in enumerate(("", "plain_")):
            drawn = {**style(i), "marker": "o", "ms": 4, "label": names[i]}
            left.plot(at, [getattr(row, f"{prefix}response") for row in rows], **drawn)
            right.plot(at, [100 * getattr(row, f"{prefix}spread") for row in rows], **drawn)
        left.axhline(1, color="k", lw=1)
        left.set(xlabel="incident energy, GeV", ylabel="reconstructed / incident, median")
        right.set(xlabel="incident energy, GeV", ylabel="resolution (68 % / 2), %", ylim=(0, None))
        left.set_title("Linearity", loc="left")
        right.set_title("Resolution", loc="left")
        right.legend()
        return figure


def likeness(rows: Sequence[Likeness]) -> Figure:
    """Return profiles of the good showers, and how they fluctuate, beside the fast simulation's."""
    quantities = {
        "share": "share of the energy",
        "share_spread": "its spread",
        "width_mm": "mean radius, mm",
        "width_spread_mm": "its spread, mm",
    }
    layers = list(dict.fromkeys(row.layer for row in rows))[:10]
    with mpl.rc_context(STYLE):
        figure = Figure((13, 3.6), layout="constrained")
        for axes, (name, title) in zip(figure.subplots(1, 4), quantities.items(), strict=True):
            for i, layer in enumerate(layers):
                mine = [row for row in rows if row.layer == layer]
                at = [(row.low_mev + row.high_mev) / 2000 for row in mine]
                colour = COLOURS[i % 10]
                axes.plot(
                    at, [getattr(r, name) for r in mine], "o-", ms=3, color=colour, label=layer
                )
                fast = [getattr(row, f"fast_{name}") for row in mine]
                axes.plot(at, fast, "x:", ms=4, color=colour)
            axes.set(xlabel="incident energy, GeV")
            axes.set_title(title, loc="left")
        axes.legend(title="dotted: GFLASH")
        return figure
