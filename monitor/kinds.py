"""Kinds: which fault explains best what the cells of a place show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms import Kind
from monitor.rates import Test

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.geometry import Geometry

CLEAR_NATS = 20.0
"""What a cell has to say in all, to stand out at once."""

LEAST_NATS = 0.5
"""And a shower: less may be the heavy tail of a cell that is seldom lit."""

CLEAR_SIGMA = 4.0
"""So many standard deviations make a shift of one cell out of hundreds clear."""

HINT_SIGMA = 3.2
"""So many make it likely, where something else says that a cell is hot."""

TOLERATED = 0.03
"""Shift of a mean that is none, in standard deviations: the floor of the tests."""

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

PEDESTAL = 0.2
"""Shift of the typical cell of a layer, in standard deviations, that noise does not make."""

SURE = 3.0
"""Log10 odds where the test itself says what it is."""


@dataclass(frozen=True, slots=True, eq=False)
class Symptoms:
    """What a place shows since the onset, per shower."""

    test: Test
    """The test that crossed."""

    showers: float
    shift: NDArray[np.float64]
    """Shift of each latent's mean, in its standard deviations, shape (D,)."""

    shift_error: NDArray[np.float64]
    """One standard deviation of it, shape (D,), > 0."""

    spread: NDArray[np.float64]
    """Ratio of each latent's mean square to the expected one, shape (D,)."""

    spread_error: NDArray[np.float64]
    """One standard deviation of it, were all well, shape (D,), > 0."""

    lit: NDArray[np.float64]
    """Fraction of showers in which a cell is lit, shape (V,)."""

    lit_expected: NDArray[np.float64]
    """Shape (V,)."""

    listed: NDArray[np.bool_]
    """Cells whose own evidence stands out, shape (V,); see also `standing_out`."""

    rate: float
    """Exceedances over expected ones at α = 1e-2."""

    share: float
    """Share of the detector's regions that show it, in (0, 1]."""

    n_regions: int


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


def raised(s: Symptoms) -> NDArray[np.float64]:
    """Return by how much each cell reads more than is tolerated, standard deviations, (V,)."""
    v = len(s.lit)
    out: NDArray[np.float64] = (s.shift[:v] - TOLERATED) / s.shift_error[:v]
    return out


def standing_out(s: Symptoms) -> NDArray[np.bool_]:
    """Return the cells that are listed, or would be if the tests had had the time, shape (V,)."""
    v = len(s.lit)
    said = information(s)
    moved = (np.abs(s.shift[:v]) - TOLERATED) / s.shift_error[:v] > CLEAR_SIGMA
    clear = (said > LEAST_NATS) & (s.showers * said > CLEAR_NATS)
    out: NDArray[np.bool_] = s.listed | clear | moved | _gone_dark(s)
    return out


def carriers(s: Symptoms, kind: Kind) -> NDArray[np.bool_]:
    """Return the cells to name as those that carry a fault of this kind, shape (V,).

    The latent of a cell is conditioned on brighter cells: beside a hot one, others fall short of
    what it lets expect. Only cells that read more can be hot, and only dark ones dead.
    """
    out = standing_out(s)
    if kind is Kind.DEAD:
        return np.asarray(out & _gone_dark(s))
    if kind is Kind.HOT:
        up = raised(s)
        hot = (out & (up > CLEAR_SIGMA)) | ((up == up.max()) & (up > HINT_SIGMA))
        lowered = (s.shift + TOLERATED)[: len(up)] < -CLEAR_SIGMA * s.shift_error[: len(up)]
        return hot if hot.any() else np.asarray(out & ~lowered)
    return out


def _gone_dark(s: Symptoms) -> NDArray[np.bool_]:
    """Return the cells that used to be lit and are not, or have lost their noise, shape (V,)."""
    v = len(s.lit)
    gone = (s.lit_expected > 0.05 + 3 / np.sqrt(max(s.showers, 1.0))) & (
        s.lit < 0.2 * s.lit_expected
    )
    out: NDArray[np.bool_] = gone | ((s.spread[:v] < 0.4) & (s.showers > 50))
    return out


def _dark(s: Symptoms) -> bool:
    said, dark = np.where(standing_out(s), information(s), 0.0), _gone_dark(s)
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
    layer = int(geometry.layer_of_cell[cell])
    first, columns = geometry.slices[layer].start, geometry.layers[layer].shape[1]
    row, column = np.divmod(np.arange(geometry.n_cells) - first, columns)
    distance = np.maximum(abs(row - row[cell]), abs(column - column[cell]))
    out: NDArray[np.bool_] = (geometry.layer_of_cell == layer) & (distance == 1)
    return out


def likely(symptoms: Symptoms, geometry: Geometry) -> tuple[Kind, float]:
    """Return the likely kind of fault, and the log10 odds over the next likely one."""
    if symptoms.test is Test.SILENT:
        return Kind.SILENT, SURE
    if symptoms.test is Test.UNSCORED:
        return Kind.TRANSPORT, SURE
    scores = log_odds(symptoms, geometry)
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    return ranked[0][0], float(ranked[0][1] - ranked[1][1])


def log_odds(symptoms: Symptoms, geometry: Geometry) -> dict[Kind, float]:
    """Return how well each kind explains the symptoms, log10, up to a constant.

    The weights are set by hand from what injected faults show in the latents; how often they are
    right is measured (`calodqm bench alarms`), not derived.
    """
    g = signs(symptoms, geometry)
    everywhere = symptoms.share > 0.6 and symptoms.n_regions > 1
    quiet = g.odd < 0.02 and not g.few and not g.dark
    wide, moved = g.wide > 1 / 3, g.raised > PEDESTAL
    return {
        Kind.DEAD: _sum((g.dark, 2.0), (g.few, 0.5)),
        Kind.HOT: _hot(g, symptoms.rate) - everywhere,
        Kind.NOISE: _sum(
            (wide and not moved and g.shifted < 0.2, 1.2),
            (g.lift < 0.05 + 0.5 * abs(g.response), 0.4),
        )
        - 2.0 * (g.dark or everywhere),
        Kind.PEDESTAL: _sum((moved, 1.6)) - g.dark,
        Kind.GAIN: _sum((abs(g.response) > max(0.1, g.profile), 0.8), (quiet, 0.6))
        + (-2.0 if g.at_times else 0.2)
        - 0.6 * (g.odd >= 0.05),
        Kind.SWAP: _sum((g.mismatch > 6, 1.4), (quiet, 0.2), (symptoms.n_regions == 2, 0.6)),
        Kind.SECOND: _second(g, symptoms.rate),
        Kind.CONDITIONS: _sum((everywhere, 1.0), (g.profile > max(0.1, abs(g.response)), 0.5)),
        Kind.MODEL: _sum((everywhere and g.wide_layers > 1, 1.8)),
        Kind.UNKNOWN: 0.0,
    }


def _hot(g: Signs, rate: float) -> float:
    """Return how well hot cells explain the signs.

    A hot cell beside the shower's axis is lost in its energy: it shows as a total that is too
    large at times, where a gain is off in every shower.
    """
    strange = g.wide > 1 / 3 or (g.odd > 0.3 and rate > 3) or (g.at_times and g.response < 0)
    if g.dark or g.cluster or strange:
        return -1.5
    if g.lone:
        return 1.5 + 0.3 * (g.few or g.at_times)
    if g.restless and not g.response:
        return 0.8
    if g.at_times and g.response > 0:
        return 0.8 if g.hint else 0.3
    return -1.0


def _second(g: Signs, rate: float) -> float:
    """Return how well overlapping showers explain the signs.

    Soft ones lift and widen whole layers; a hard one puts more into cells that lie side by side.
    """
    if g.wide > 1 / 3 and not g.cluster:
        return 1.3 if g.lift >= 0.05 or g.shifted >= 0.2 else -1.3
    return _sum((g.cluster and rate > 3, 1.0), (g.mismatch < 6, 0.2)) - g.dark


def _sum(*signs_: tuple[bool, float]) -> float:
    """Return the sum of weights: for what is seen, against what is missing."""
    return sum(weight if seen else -weight for seen, weight in signs_)


def information(symptoms: Symptoms) -> NDArray[np.float64]:
    """Return how much each cell has to say, nats a shower, shape (V,).

    The Kullback-Leibler distance of normals with the cell's mean and variance, and the one of its
    being lit.
    """
    v = len(symptoms.lit)
    shift, spread = symptoms.shift[:v], symptoms.spread[:v]
    variance = np.maximum(spread - shift**2, 0.01)
    normal = 0.5 * (variance + shift**2 - 1 - np.log(variance))
    p = np.clip(symptoms.lit_expected, 1e-3, 1 - 1e-3)
    out: NDArray[np.float64] = normal + (symptoms.lit - p) ** 2 / (2 * p * (1 - p))
    return out
