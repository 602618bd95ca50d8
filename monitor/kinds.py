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

    spread: NDArray[np.float64]
    """Ratio of each latent's mean square to the expected one, shape (D,)."""

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
    """A cell that used to be lit is not, or has lost its noise."""

    few: bool
    """A few cells have most of what all cells have to say."""

    wide: float
    """Largest share of a layer's cells with more spread, in [0, 1]."""

    wide_layers: int
    """Layers in which a third of the cells have more spread."""

    raised: float
    """Largest share of a layer's cells with a mean that is higher, in [0, 1]."""

    lift: float
    """Mean shift of the layer with most spread, in standard deviations."""

    odd: float
    """Share of all cells that have moved or spread."""

    response: float
    """Shift of the total energy's latent, in standard deviations, >= 0."""

    profile: float
    """Largest shift of the other layer-energy latents, >= 0."""

    mismatch: float
    """Mean square of the total energy's latent, over what its shift explains."""


def signs(s: Symptoms, geometry: Geometry) -> Signs:
    """Return the signs of symptoms."""
    v = geometry.n_cells
    error = 1 / np.sqrt(max(s.showers, 1.0))
    shift, spread = s.shift[:v], s.spread[:v]
    up, wider = shift > 0.3 + 5 * error, spread > 1.2 + 8 * error
    off = (np.abs(shift) > 0.15 + 5 * error) | wider
    gone = (s.lit_expected > 0.05 + 3 * error) & (s.lit < 0.2 * s.lit_expected)
    still = (spread < 0.4) & (s.showers > 50)
    by_layer = [float(wider[cells].mean()) for cells in geometry.slices]
    widest = geometry.slices[int(np.argmax(by_layer))]
    response = float(s.shift[v])
    return Signs(
        dark=bool((gone | still).any()),
        few=_few(s),
        wide=max(by_layer),
        wide_layers=sum(share > 1 / 3 for share in by_layer),
        raised=max(float(up[cells].mean()) for cells in geometry.slices),
        lift=float(shift[widest].mean()),
        odd=float(off.mean()),
        response=abs(response) if abs(response) > 4 * error else 0.0,
        profile=float(np.abs(s.shift[v + 1 :]).max(initial=0.0)),
        mismatch=float(s.spread[v]) / (1 + response**2),
    )


def standing_out(s: Symptoms) -> NDArray[np.bool_]:
    """Return the cells that are listed, or would be if the tests had had the time, shape (V,)."""
    said = information(s)
    out: NDArray[np.bool_] = s.listed | ((said > LEAST_NATS) & (s.showers * said > CLEAR_NATS))
    return out


def _few(s: Symptoms) -> bool:
    """Return whether one cell, or at most four, have most of what all that stand out say."""
    said = np.sort(np.where(standing_out(s), information(s), 0.0))
    total = float(said.sum())
    return total > 0 and bool(said[-1] > 0.6 * total or said[-4:].sum() > 0.9 * total)


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
    everywhere = symptoms.share > 0.6
    quiet = g.odd < 0.02 and not g.few and not g.dark
    wide, raised = g.wide > 1 / 3, g.raised > 1 / 3
    return {
        Kind.DEAD: _sum((g.dark, 2.0), (g.few, 0.5)),
        Kind.HOT: _sum((g.few and not g.dark, 1.5), (not wide, 0.3)),
        Kind.NOISE: _sum((wide and not raised, 1.2), (g.lift < 0.05 + 0.5 * g.response, 0.4))
        - 2.0 * (g.dark or everywhere),
        Kind.PEDESTAL: _sum((raised, 1.6)) - g.dark,
        Kind.GAIN: _sum(
            (g.response > max(0.1, g.profile), 0.8), (quiet, 0.6), (g.mismatch < 2, 0.2)
        ),
        Kind.SWAP: _sum((g.mismatch > 3, 1.4), (quiet, 0.2), (symptoms.n_regions == 2, 0.6)),
        Kind.SECOND: _second(g, symptoms.rate),
        Kind.CONDITIONS: _sum((everywhere, 1.0), (g.profile > max(0.1, g.response), 0.5)),
        Kind.MODEL: _sum((everywhere and g.wide_layers > 1, 1.8)),
        Kind.UNKNOWN: 0.0,
    }


def _second(g: Signs, rate: float) -> float:
    """Return how well overlapping showers explain the signs.

    Soft ones lift and widen whole layers; a hard one puts the core of the shower out of shape.
    """
    if g.wide > 1 / 3:
        return 1.3 if g.lift >= 0.05 else -1.3
    return _sum((g.odd >= 0.02 and rate > 3, 1.0), (g.mismatch < 3, 0.2)) - g.dark


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
