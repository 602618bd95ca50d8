"""Findings: the statistic that crossed, in numbers and in words that can be checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.scoring.scales import LEVELS, P_EDGES
from monitor.sequential.rates import BULGES, DOWN, TILTS, UP, Test

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from monitor.alarms.case import Case
    from monitor.sequential.cells import Effects, Sums
    from monitor.sequential.watch import Watch
    from monitor.sequential.within import Tests
    from monitor.windows.rows import Rows

MIDDLES = (P_EDGES[1:] + P_EDGES[:-1]) / 2


@dataclass(frozen=True, slots=True)
class Finding:
    """What the test that crossed looks at, since the onset."""

    showers: int
    observed: float
    expected: float
    expected_sd: float
    """One standard deviation of the expectation, from the reference."""

    words: str
    """The same in words: what was seen, in how many showers, and what was expected."""


def level_of(case: Case) -> float:
    """Return the level at which the exceedances of a case are counted."""
    if case.test not in {Test.EXCEEDANCES, Test.TOO_FEW}:
        return 0.01
    grid = UP if case.test is Test.EXCEEDANCES else DOWN
    levels = [level for level, ratios in grid.items() for _ in ratios]
    offset = 0 if case.test is Test.EXCEEDANCES else sum(len(r) for r in UP.values())
    return levels[case.stream - offset]


def exceedances(
    case: Case,
    counts: tuple[NDArray[np.int64], NDArray[np.int64]],
    tests: Tests,
) -> Finding:
    """Return the exceedances at the case's level, of counts since the onset: (R, K) and (R, A)."""
    rows, alpha = np.array(case.regions), level_of(case)
    mix = counts[0][rows].sum(0, keepdims=True).astype(np.float64)
    expected, sd = tests.rates.expected(mix)
    at, n = LEVELS.index(alpha), int(mix.sum())
    observed = float(counts[1][rows, at].sum())
    words = (
        f"{observed:,.0f} anomalies at p ≤ {alpha:g} in {n:,} showers, "
        f"{expected[0, at]:,.1f} ± {sd[0, at]:,.1f} expected"
    )
    return Finding(n, observed, float(expected[0, at]), float(sd[0, at]), words)


def traffic(case: Case, showers: NDArray[np.int64], watch: Watch) -> Finding:
    """Return the showers of a place beside those it usually has among all, given by region, (R,)."""
    here = np.isin(np.arange(len(showers)), case.regions)
    usual = watch.shares.usual(watch.masked)
    seen, elsewhere = int(showers[here].sum()), float(showers[~here & (usual > 0)].sum())
    expected = elsewhere * float(usual[here].sum()) / max(float(usual[~here].sum()), 1e-9)
    words = f"{seen:,} showers, {expected:,.0f} expected by what the others had"
    return Finding(seen, float(seen), expected, 0.0, words)


def unscored(case: Case, rows: Rows, floor: float) -> Finding:
    """Return the showers without a finite score."""
    here = np.array(case.regions)
    observed, scored = int(rows.unscored[here].sum()), int(rows.showers[here].sum())
    n = observed + scored
    words = f"{observed:,} of {n:,} showers without a finite score, {floor:.1%} tolerated"
    return Finding(n, float(observed), floor * n, 0.0, words)


def p_values(case: Case, rows: Rows, tests: Tests, scores: tuple[str, ...]) -> Finding:
    """Return the mean of a score's p-values, or how far they bend to both ends."""
    expectation, kinds = tests.expectation, tests.rates.kinds
    bets = 2 * (len(TILTS) + len(BULGES))
    score, bet = divmod(case.stream - kinds.index(Test.P_HISTOGRAM), bets)
    counts = rows.p_counts[np.array(case.regions)].sum(0)[score].astype(np.float64)
    share = expectation.p_counts[score] / expectation.p_counts[score].sum()
    tilt = bet < 2 * len(TILTS)
    value = MIDDLES if tilt else np.abs(MIDDLES - 0.5)
    n = int(counts.sum())
    observed = float(counts @ value) / max(n, 1)
    expected = float(share @ value)
    spread = float(share @ np.square(value)) - expected**2
    sd = float(np.sqrt(spread / expectation.p_counts[score].sum()))
    name = scores[score] if score < len(scores) else "combined"
    what = "mean" if tilt else "mean distance from 1/2"
    words = (
        f"{what} of the p-values ({name}) {observed:.3f} in {n:,} showers, "
        f"{expected:.3f} ± {sd:.3f} expected"
    )
    return Finding(n, observed, expected, sd, words)


def latent(case: Case, sums: Sums, effects: Effects, tests: Tests, geometry: Geometry) -> Finding:
    """Return the moment of the latent, or the share of showers with the cell lit, that crossed."""
    at = int(tests.cells.latent[case.stream])
    n, name = int(sums.showers.sum()), latent_name(at, geometry)
    if case.test is Test.LATENT_MEAN:
        seen, sd, expected = float(effects.shift[0, at]), float(effects.shift_error[0, at]), 0.0
        words = f"{name} is off by {seen:+.3f} standard deviations in {n:,} showers, 0 ± {sd:.3f}"
    elif case.test is Test.LATENT_SPREAD:
        seen, sd, expected = float(effects.spread[0, at]), float(effects.spread_error[0, at]), 1.0
        words = (
            f"{name} has {seen:.2f} times its usual spread (squared) in {n:,} showers, 1 ± {sd:.2f}"
        )
    else:
        expected = float((sums.showers @ tests.expectation.lit_rate)[0, at] / max(n, 1))
        seen = expected + float(effects.lit[0, at])
        sd = float(np.sqrt(max(expected * (1 - expected), 0.0) / max(n, 1)))
        words = f"{name} is lit in {seen:.2%} of {n:,} showers, {expected:.2%} ± {sd:.2%}"
    return Finding(n, seen, expected, sd, f"{words} expected")


def latent_name(latent: int, geometry: Geometry) -> str:
    """Return what people call a latent: cells first, then the response and the shares of layers."""
    if latent < geometry.n_cells:
        return geometry.cell_name(latent)
    layer = latent - geometry.n_cells
    return "the response" if layer == 0 else f"the share of {geometry.layers[layer].name}"
