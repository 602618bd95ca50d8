"""Plots: an evaluation as figures, and the style that figures share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from models.scoring.measures import FPR, Calibration, roc
from models.scoring.scales import LEVELS
from models.studies.power import FALSE_ALARMS, Curve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from models.studies.evaluation import Row, Trial

STYLE: Any = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.dpi": 110,
    "font.size": 10,
    "grid.alpha": 0.25,
    "legend.fontsize": 8,
    "legend.frameon": False,
}
COLOURS = mpl.colormaps["tab10"].colors  # type: ignore[attr-defined]  # a listed map has them
DASHES = ("-", "--", ":")
"""Ten colours with each of these: curves beyond the tenth are dashed, beyond the twentieth dotted."""


def style(i: int) -> dict[str, Any]:
    """Return how curve number i is drawn."""
    return {"color": COLOURS[i % 10], "linestyle": DASHES[i // 10 % 3]}


def figures(
    geometry: Geometry,
    names: tuple[str, ...],
    scorings: Sequence[Trial],
    rows: Sequence[Row],
    calibrations: Sequence[Calibration],
    curves: Sequence[Curve],
) -> dict[str, Figure]:
    """Return the plots by name; the good showers are the first of the scorings."""
    with mpl.rc_context(STYLE):
        plots = {"calibration": _calibration(scorings[0], calibrations)}
        if rows:
            plots |= {
                "roc": _roc(scorings),
                "scores": _scores(names, rows),
                "energy": _energy(rows, calibrations),
                "maps": _maps(geometry, scorings),
            }
        drawn = [curve for curve in curves if curve.sizes]
        return {**plots, "power": _power(drawn)} if drawn else plots


def _roc(scorings: Sequence[Trial]) -> Figure:
    figure = Figure((7.5, 5.5), layout="constrained")
    axes = figure.subplots()
    good, *strange = scorings
    for i, scoring in enumerate(strange):
        p = scoring.scored.p_combined[scoring.scored.valid]
        fpr, tpr = roc(good.scored.p_combined[good.scored.valid], p)
        axes.plot(fpr, tpr, **style(i), drawstyle="steps-post", label=scoring.name)
    x = np.geomspace(1 / good.scored.n, 1, 50)
    axes.plot(x, x, "k:", lw=1, label="no separation")
    axes.set(xscale="log", xlim=(x[0], 1), ylim=(0, 1.02))
    axes.set(xlabel="false-positive rate (good showers)", ylabel="true-positive rate")
    axes.set_title("One shower at a time: combined p-value", loc="left")
    figure.legend(loc="outside right center")
    return figure


def _scores(names: tuple[str, ...], rows: Sequence[Row]) -> Figure:
    columns = [*names, "combined"]
    table = np.array([[row.scores[name].auc for name in columns] for row in rows])
    texts = [[f"{value:.2f}" for value in row] for row in table]
    # Deviations to either side count: below 0.5 a score calls the strange ordinary.
    figure, axes = _heat(table, texts, [row.name for row in rows], "RdBu_r", "AUC", 0.62)
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
    axes.set_title("AUC of every score: which one sees what", loc="left")
    return figure


def _energy(rows: Sequence[Row], calibrations: Sequence[Calibration]) -> Figure:
    columns = [_range(c) for c in calibrations if c.cell >= 0]
    rates = [[None if s is None else s.tpr[FPR[0]] for s in row.bins] for row in rows]
    table = np.array([[np.nan if r is None else r.value for r in row] for row in rates])
    texts = [
        ["–" if r is None else f"{r.value:.2f}  ({r.low:.2f} to {r.high:.2f})" for r in row]
        for row in rates
    ]
    label = f"TPR at FPR {FPR[0]:g}"
    figure, axes = _heat(table, texts, [row.name for row in rows], "cividis", label, 1.4)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_xlabel("reconstructed energy, GeV")
    axes.set_title(f"{label} by energy, combined, with 95 % intervals", loc="left")
    return figure


def _heat(
    table: NDArray[np.float64],
    texts: list[list[str]],
    rows: list[str],
    colours: str,
    label: str,
    width: float,
) -> tuple[Figure, Axes]:
    """Return a table of numbers from 0 to 1 as colours, columns of a width in inches."""
    size = (3.0 + width * table.shape[1], 1.6 + 0.32 * len(rows))
    figure = Figure(size, layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(table, cmap=colours, vmin=0, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(table):
        dark = np.isfinite(value) and sum(image.cmap(value)[:3]) < 1.5
        colour = "white" if dark else "black"
        axes.text(j, i, texts[i][j], ha="center", va="center", fontsize=7, color=colour)
    axes.set_yticks(range(len(rows)), rows)
    axes.grid(visible=False)
    figure.colorbar(image, ax=axes, shrink=0.8, label=label)
    return figure, axes


def _range(calibration: Calibration) -> str:
    if np.isinf(calibration.high_mev):
        return f"> {calibration.low_mev / 1000:.1f}"
    return f"{calibration.low_mev / 1000:.1f} to {calibration.high_mev / 1000:.1f}"


def _calibration(good: Trial, calibrations: Sequence[Calibration]) -> Figure:
    figure = Figure((10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    p = good.scored.p_combined[good.scored.valid]
    left.hist(p, np.linspace(0, 1, 21), histtype="step", color="k")
    left.axhline(len(p) / 20, color="tab:blue", ls=":")
    left.axhspan(*(len(p) / 20 + s * np.sqrt(len(p) / 20) for s in (-1, 1)), alpha=0.2)
    left.set(xlabel="combined p-value of good showers", ylabel="showers in 0.05", ylim=(0, None))
    left.set_title("Good showers: flat if the p-values are honest", loc="left")
    for i, level in enumerate(LEVELS):
        for c in calibrations:
            achieved = c.achieved[level]
            x = (len(calibrations) if c.cell < 0 else c.cell) + 0.22 * (i - 1)
            y, low, high = (v / level for v in (achieved.value, achieved.low, achieved.high))
            right.errorbar(
                [x],
                [y],
                [[max(y - low, 0)], [max(high - y, 0)]],
                fmt="o",
                ms=4,
                color=COLOURS[i],
                label=f"α = {level:g}" if c.cell == 0 else None,
            )
    right.axhline(1, color="k", lw=1)
    right.axhspan(0.9, 1.1, color="k", alpha=0.08)
    cells = [c for c in calibrations if c.cell >= 0]
    right.set_xticks(
        [*range(len(cells)), len(cells) + 1], [*map(_range, cells), "all"], rotation=30, ha="right"
    )
    right.set(xlabel="reconstructed energy, GeV", ylabel="achieved / nominal", ylim=(0, 3.4))
    right.set_title("Calibration in each condition cell", loc="left")
    right.legend(loc="upper left", ncols=len(LEVELS), frameon=True)
    return figure


def _maps(geometry: Geometry, scorings: Sequence[Trial]) -> Figure:
    """Draw the shift of each cell's mean latent: where a window would point to."""
    good, *strange = scorings
    base = np.nanmean(good.scored.latents, axis=0)
    height = 1.35 * len(strange) + 0.8
    figure = Figure((3.2 * geometry.n_layers + 1.5, height))  # the plain layout: it is fast
    figure.subplots_adjust(0.01, 0.01, 0.99, 1 - 0.7 / height, wspace=0.03, hspace=0.35)
    grid = figure.subplots(len(strange), geometry.n_layers, squeeze=False)
    for axes, scoring in zip(grid, strange, strict=True):
        z = scoring.scored.latents
        error = np.sqrt(1 / len(z) + 1 / good.scored.n)
        significance = (np.nanmean(z, axis=0) - base)[: geometry.n_cells] / error
        _draw_layers(axes, significance, geometry, scoring.name)
    title = "Shift of each cell's mean latent, in standard errors (colour ±10)"
    figure.suptitle(title, y=1 - 0.15 / height, va="top")
    return figure


def _draw_layers(
    row: NDArray[Any], values: NDArray[np.floating], geometry: Geometry, name: str
) -> None:
    axes: Axes
    for axes, layer, cells in zip(row, geometry.layers, geometry.slices, strict=True):
        axes.imshow(
            values[cells].reshape(layer.shape),
            cmap="RdBu_r",
            vmin=-10,
            vmax=10,
            aspect="auto",
            interpolation="nearest",
        )
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
        axes.set_title(f"{name}: {layer.name}", fontsize=7, loc="left")


def _power(curves: Sequence[Curve]) -> Figure:
    figure = Figure((8.5, 5), layout="constrained")
    axes = figure.subplots()
    at_once = [curve.name for curve in curves if min(curve.power) > 0.99]
    for i, curve in enumerate(curves):
        if curve.name in at_once:
            continue
        axes.plot(curve.sizes, curve.power, marker="o", ms=3, **style(i), label=curve.name)
    axes.axhline(FALSE_ALARMS, color="k", ls=":", lw=1)
    axes.set(xscale="log", ylim=(-0.03, 1.05))
    axes.set(xlabel="showers in the window", ylabel="share of windows in which it is found")
    axes.set_title(f"Windows: power at a false-alarm rate of {FALSE_ALARMS:g}", loc="left")
    if at_once:
        figure.supxlabel(
            f"In every window of {min(curves[0].sizes)}: {', '.join(at_once)}",
            fontsize=8,
            wrap=True,
        )
    figure.legend(loc="outside right center")
    return figure
