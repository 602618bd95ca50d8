"""Evaluation: what a model sees in one shower, and whether its p-values are honest."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import beta, rankdata

from models.scoring.scales import LEVELS
from models.simulation import injection
from models.simulation.faults import Fault, FaultError, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from models.scoring.scored import Scored
    from models.scoring.scorer import Scorer
    from models.showers.batch import Showers

FPR = (1e-2, 1e-3)
"""False-positive rates at which the true-positive rate is stated."""

CONFIDENCE = 0.95


def injected(geometry: Geometry) -> dict[str, Fault]:
    """Return the faults that every evaluation injects into the good showers, by name.

    A hot cell is injected twice: in the core, under the shower, and in a quiet cell beside it.
    What a geometry cannot show is left out: faults counted in noise where there is none.
    """
    (quiet,) = injection.quiet_cell(geometry, geometry.n_layers // 2)
    wanted = {
        **{f"second photon {mm} mm": parse(f"second:mm={mm},x=0.3") for mm in (5, 10, 20, 40)},
        "dead core cell": parse("dead"),
        **{f"hot quiet cell {x}σ": parse(f"hot:cells={quiet},x={x},share=1") for x in (5, 10, 50)},
        **{f"hot core cell {x}σ": parse(f"hot:x={x},share=1") for x in (5, 10, 50)},
        **{f"noise × {x} in a layer": parse(f"noise:x={x}") for x in (2, 5)},
        **{f"gain +{x} %": parse(f"gain:x={x / 100}") for x in (1, 2, 5, 10)},
    }
    return {name: fault for name, fault in wanted.items() if _has_place(fault, geometry)}


def _has_place(fault: Fault, geometry: Geometry) -> bool:
    try:
        injection.check(fault, geometry)
    except FaultError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of showers with its Clopper-Pearson interval at `CONFIDENCE`."""

    k: int
    n: int
    value: float
    low: float
    high: float


def rate(k: int, n: int) -> Rate:
    """Return k of n as a rate; Clopper and Pearson, Biometrika 26 (1934) 404.

    Examples
    --------
    >>> rate(0, 100).high
    0.0362
    """
    tail = (1 - CONFIDENCE) / 2
    low = float(beta.ppf(tail, k, n - k + 1)) if k else 0.0
    high = float(beta.ppf(1 - tail, k + 1, n - k)) if k < n else 1.0
    return Rate(k, n, k / n if n else float("nan"), low, high)


@dataclass(frozen=True, slots=True)
class Separation:
    """How well one score tells strange showers from good ones of the same energies."""

    auc: float
    tpr: Mapping[float, Rate]
    """True-positive rate at each of `FPR`, the cut taken from the good showers given."""

    sic: Mapping[float, float]
    """Significance improvement TPR / sqrt(FPR) at the same cuts."""


def separation(good: NDArray[np.float64], strange: NDArray[np.float64]) -> Separation:
    """Return how well p-values separate; small is strange.

    The cut at a false-positive rate is the largest that no more good showers pass.
    """
    tpr, sic = {}, {}
    ordered = np.sort(good)
    for level in FPR:
        allowed = int(level * len(good) + 1e-9)
        cut = ordered[allowed] if allowed < len(good) else np.inf
        k = int((strange < cut).sum())
        tpr[level] = rate(k, len(strange))
        sic[level] = k / len(strange) / float(np.sqrt(level))
    return Separation(auc(good, strange), tpr, sic)


def auc(good: NDArray[np.float64], strange: NDArray[np.float64]) -> float:
    """Return P(strange has the smaller p) + P(tie) / 2: the area under the ROC curve.

    Examples
    --------
    >>> auc(np.array([0.5, 0.9]), np.array([0.1, 0.5]))
    0.875
    """
    ranks = rankdata(np.concatenate([strange, good]))
    n, m = len(strange), len(good)
    return float(1 - (ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def roc(
    good: NDArray[np.float64], strange: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return false- and true-positive rate at every cut that the good showers allow."""
    cuts = np.sort(good)
    tpr = np.searchsorted(np.sort(strange), cuts, side="right") / len(strange)
    return (np.arange(len(good)) + 1) / len(good), tpr


@dataclass(frozen=True, slots=True)
class Calibration:
    """Achieved against nominal exceedance of the combined p-value in one condition cell."""

    cell: int
    low_mev: float
    high_mev: float
    achieved: Mapping[float, Rate]


def calibration(
    scored: Scored, edges: NDArray[np.float64], shower: NDArray[np.int64] | None = None
) -> tuple[Calibration, ...]:
    """Return the exceedances of good showers in every condition cell; all cells last, as -1.

    Parameters
    ----------
    shower
        Which shower a row is an image of, shape (N,), if rows are images of fewer showers.
    """
    cells = [*range(len(edges) - 1), -1]
    rows = []
    for cell in cells:
        mine = scored.valid & ((scored.condition_cell == cell) | (cell == -1))
        p = scored.p_combined[mine]
        of = np.arange(len(p)) if shower is None else shower[mine]
        achieved = {level: image_rate(p <= level, of) for level in LEVELS}
        ends = (edges[0], edges[-1]) if cell == -1 else (edges[cell], edges[cell + 1])
        rows.append(Calibration(cell, float(ends[0]), float(ends[1]), achieved))
    return tuple(rows)


def image_rate(beyond: NDArray[np.bool_], shower: NDArray[np.int64]) -> Rate:
    """Return a rate whose interval is that of as many independent showers as fluctuate alike.

    The images of a shower are alike: counts are divided by the design effect, the variance of
    their sum over the binomial one (Kish, Survey Sampling, 1965, section 5.4).
    """
    n, value = len(beyond), float(beyond.mean()) if len(beyond) else 0.0
    binomial = n * value * (1 - value)
    sums = np.bincount(shower, weights=beyond - value) if n else np.zeros(1)
    images = n / max(len(np.unique(shower)), 1)
    # Where nothing fluctuates, every image may be the same.
    effect = max(1.0, float((sums**2).sum()) / binomial) if binomial > 0 else max(images, 1.0)
    found = rate(round(value * n / effect), round(n / effect))
    return replace(found, value=value if n else math.nan)


@dataclass(frozen=True, slots=True, eq=False)
class Scoring:
    """Showers of one kind after scoring."""

    name: str
    showers: Showers
    scored: Scored
    paired: bool = False
    """True if shower i is shower i of the good ones with a fault injected."""


@dataclass(frozen=True, slots=True)
class Row:
    """All that one shower can show of one anomaly."""

    name: str
    showers: int
    unscored: int
    scores: Mapping[str, Separation]
    """By name of the score; the combined one is `combined`."""

    bins: tuple[Separation | None, ...]
    """The combined p-value in each condition cell; None where there are too few showers."""

    @property
    def one_shower(self) -> str:
        """Return whether one shower shows the anomaly at 1 % false positives: yes, partly or no.

        Yes: in half of them or more. No: not twice as often as in good ones.
        """
        found = self.scores["combined"].tpr[FPR[0]]
        if found.value >= 0.5:
            return "yes"
        return "partly" if found.low > 2 * FPR[0] else "no"


FEWEST = 20
"""Showers of either kind below which a condition cell gives no figure."""


def scorings(
    scorer: Scorer,
    good: Showers,
    anomalies: Mapping[str, Showers],
    faults: Mapping[str, Fault],
    rng: np.random.Generator,
) -> Iterator[Scoring]:
    """Yield the good showers, each anomaly and each fault injected into the good ones, scored."""
    yield Scoring("good", good, scorer.score(good), paired=True)
    for name, showers in anomalies.items():
        yield Scoring(name, showers, scorer.score(showers))
    region = np.zeros(good.n, np.uint16)
    for name, fault in faults.items():
        struck = injection.apply(fault, good, region, scorer.geometry, rng)
        yield Scoring(name, struck, scorer.score(struck), paired=True)


def compare(good: Scoring, strange: Scoring, names: tuple[str, ...], n_cells: int) -> Row:
    """Return how well each score, and their combination, separates showers of two kinds."""
    a, b = good.scored, strange.scored
    ok, bad = a.valid, b.valid
    scores = {name: separation(a.p[ok, i], b.p[bad, i]) for i, name in enumerate(names)} | {
        "combined": separation(a.p_combined[ok], b.p_combined[bad])
    }
    bins: list[Separation | None] = []
    for cell in range(n_cells):
        mine, theirs = (s.p_combined[s.valid & (s.condition_cell == cell)] for s in (a, b))
        enough = min(len(mine), len(theirs)) >= FEWEST
        bins.append(separation(mine, theirs) if enough else None)
    return Row(strange.name, b.n, int((~bad).sum()), scores, tuple(bins))
