"""Signs: the few numbers by which kinds of faults are told apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms.symptoms import (
    CLEAR_NATS,
    CLEAR_SIGMA,
    gone_dark,
    information,
    raised,
    standing_out,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from monitor.alarms.symptoms import Symptoms

HINT_SIGMA = 3.2
"""So many standard deviations make a cell likely to be hot, where something else says that one is."""

DARK_SHARE = 0.2
"""Share of what all cells say that dark ones need for the fault to be theirs."""

LONE_RATIO = 0.6
"""A raised cell is not alone if another is raised by more than this share of it,"""

BESIDE_RATIO = 0.08
"""or one beside it by more than this: a shower is wider than a cell."""

BESIDE = 0.3
"""and by so many standard deviations."""

ENERGY_RATIO = 0.08
"""A hot cell moves at least so much more than nothing if the total energy moves by one."""


@dataclass(frozen=True, slots=True)
class Signs:
    """The symptoms in the few numbers that tell kinds apart."""

    dark: bool
    """Cells that are no longer lit, or have lost their noise, have much of what there is to say."""

    few: bool
    """A few cells have most of what all cells have to say."""

    lone: bool
    """One cell reads more than it should, and none beside it does."""

    restless: bool
    """A few cells say most, and the first of them has more spread than its shift explains."""

    hint: bool
    """The same, where the cell does not stand out by itself."""

    cluster: bool
    """Cells that read more than they should lie side by side."""

    wide: float
    """Largest share of a layer's cells with more spread, in [0, 1]."""

    wide_layers: int
    """Layers in which a third of the cells have more spread."""

    raised: float
    """Largest shift of the typical cell of a layer, either way, in standard deviations, >= 0."""

    lift: float
    """Mean shift of the layer with most spread, in standard deviations."""

    odd: float
    """Share of all cells that have moved or spread."""

    shifted: float
    """Share of all cells whose mean has moved, and not by little."""

    response: float
    """Shift of the total energy's latent, in standard deviations; 0 if it may be none."""

    profile: float
    """Largest shift of the other layer-energy latents, >= 0."""

    mismatch: float
    """Mean square of the total energy's latent, over what its shift explains."""

    at_times: bool
    """The total energy is off in less than two showers of three, and more so in those."""


def signs(s: Symptoms, geometry: Geometry) -> Signs:
    """Return the signs of symptoms."""
    v = geometry.n_cells
    error = 1 / np.sqrt(max(s.showers, 1.0))
    shift, spread = s.shift[:v], s.spread[:v]
    wider = spread > 1.2 + 8 * error
    moved = np.abs(shift) > 0.15 + 5 * error
    by_layer = [float(wider[cells].mean()) for cells in geometry.slices]
    widest = geometry.slices[int(np.argmax(by_layer))]
    response = float(s.shift[v])
    excess = float(s.spread[v]) - 1 - response**2
    up = raised(s).max()
    lone = _lone(s, geometry)
    return Signs(
        dark=_dark(s),
        few=_few(s),
        lone=lone and bool(up > (HINT_SIGMA if _few(s) else CLEAR_SIGMA)),
        restless=_restless(s),
        hint=lone and bool(up > HINT_SIGMA),
        cluster=_cluster(s, geometry),
        wide=max(by_layer),
        wide_layers=sum(share > 1 / 3 for share in by_layer),
        raised=max(abs(float(np.median(shift[cells]))) for cells in geometry.slices),
        lift=float(shift[widest].mean()),
        odd=float((moved | wider).mean()),
        shifted=float((np.abs(shift) > 0.3 + 5 * s.shift_error[:v]).mean()),
        response=response if abs(response) > 4 * s.shift_error[v] else 0.0,
        profile=float(np.abs(s.shift[v + 1 :]).max(initial=0.0)),
        mismatch=float(s.spread[v]) / (1 + response**2),
        # A shift by d in a share q of the showers has mean q d, and adds q (1 - q) d^2.
        at_times=excess > 0.5 * response**2 + 2.5 * s.spread_error[v],
    )


def _dark(s: Symptoms) -> bool:
    said, dark = np.where(standing_out(s), information(s), 0.0), gone_dark(s)
    return bool(dark.any() and said[dark].sum() > DARK_SHARE * said.sum())


def _few(s: Symptoms) -> bool:
    """Return whether one cell, or at most four, have most of what all that stand out say."""
    said = np.sort(np.where(standing_out(s), information(s), 0.0))
    total = float(said.sum())
    return total > 0 and bool(said[-1] > 0.6 * total or said[-4:].sum() > 0.9 * total)


def _restless(s: Symptoms) -> bool:
    said = np.where(standing_out(s), information(s), 0.0)
    top = int(np.argmax(said))
    spread = s.spread[top] - 1 > 3 * s.shift[top] ** 2
    return _few(s) and bool(spread and s.showers * said[top] > 2 * CLEAR_NATS)


def _lone(s: Symptoms, geometry: Geometry) -> bool:
    """Return whether the cell that is raised most clearly is so alone."""
    up, shift = raised(s), s.shift[: geometry.n_cells]
    top = int(np.argmax(up))
    others = (up > CLEAR_SIGMA) & (np.arange(len(up)) != top)
    if (shift[others] > LONE_RATIO * shift[top]).any() or _cluster(s, geometry):
        return False
    return bool(shift[top] > ENERGY_RATIO * abs(s.shift[geometry.n_cells]))


def _cluster(s: Symptoms, geometry: Geometry) -> bool:
    """Return whether the cell that is raised most has a neighbour that is raised too."""
    up, shift = raised(s), s.shift[: geometry.n_cells]
    top = int(np.argmax(up))
    least = max(BESIDE_RATIO * shift[top], BESIDE)
    also = (up > CLEAR_SIGMA) & (shift > least) & _beside(top, geometry)
    return bool(up[top] > CLEAR_SIGMA and also.any())


def _beside(cell: int, geometry: Geometry) -> NDArray[np.bool_]:
    """Return the cells of the same layer that touch a cell, shape (V,)."""
    index = int(geometry.layer_of_cell[cell])
    layer, first = geometry.layers[index], geometry.slices[index].start
    row, column = np.divmod(np.arange(geometry.n_cells) - first, layer.shape[1])
    rows = abs(row - row[cell])
    if layer.closes:
        rows = np.minimum(rows, layer.shape[0] - rows)
    distance = np.maximum(rows, abs(column - column[cell]))
    out: NDArray[np.bool_] = (geometry.layer_of_cell == index) & (distance == 1)
    return out
