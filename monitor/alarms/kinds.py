"""Kinds: which fault explains best what the cells of a place show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms.signs import HINT_SIGMA, signs
from monitor.alarms.symptoms import CLEAR_SIGMA, TOLERATED, gone_dark, raised, standing_out
from monitor.quality.alarms import Kind
from monitor.sequential.rates import Test

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from monitor.alarms.signs import Signs
    from monitor.alarms.symptoms import Symptoms

PEDESTAL = 0.2
"""Shift of the typical cell of a layer, in standard deviations, that noise does not make."""

SURE = 3.0
"""Log10 odds where the test itself says what it is."""


def likely(symptoms: Symptoms, geometry: Geometry) -> tuple[Kind, float]:
    """Return the likely kind of fault, and the log10 odds over the next likely one."""
    if symptoms.test is Test.SILENT:
        return Kind.SILENT, SURE
    if symptoms.test is Test.CROWDED:
        return Kind.CROWDED, SURE
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


def carriers(s: Symptoms, kind: Kind) -> NDArray[np.bool_]:
    """Return the cells to name as those that carry a fault of this kind, shape (V,).

    The latent of a cell is conditioned on brighter cells: beside a hot one, others fall short of
    what it lets expect. Only cells that read more can be hot, and only dark ones dead.
    """
    out = standing_out(s)
    if kind is Kind.DEAD:
        return np.asarray(out & gone_dark(s))
    if kind is Kind.HOT:
        up = raised(s)
        hot = (out & (up > CLEAR_SIGMA)) | ((up == up.max()) & (up > HINT_SIGMA))
        lowered = (s.shift + TOLERATED)[: len(up)] < -CLEAR_SIGMA * s.shift_error[: len(up)]
        return hot if hot.any() else np.asarray(out & ~lowered)
    return out
