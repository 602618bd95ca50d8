"""Evaluation: what a model sees in one shower, and whether its p-values are honest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from models.scoring.measures import FPR, Separation, separation
from models.simulation import injection
from models.simulation.fault_form import parse
from models.simulation.faults import Fault, FaultError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from models.detector.geometry import Geometry
    from models.scoring.scored import Scored
    from models.showers.batch import Showers


class Scores(Protocol):
    """What is needed of a scorer."""

    @property
    def geometry(self) -> Geometry:
        """Return the cells of a shower."""

    def score(self, showers: Showers) -> Scored:
        """Return scores and latents."""


def injected(geometry: Geometry) -> dict[str, Fault]:
    """Return the faults that every evaluation injects into the good showers, by name.

    A hot cell is injected twice: in the core, under the shower, and in a quiet cell beside it.
    What a geometry cannot show is left out: see `left_out`.
    """
    return {name: fault for name, fault in _wanted(geometry).items() if _has_place(fault, geometry)}


def left_out(geometry: Geometry) -> tuple[str, ...]:
    """Return the faults that a geometry cannot show: those counted in noise where there is none."""
    return tuple(n for n, fault in _wanted(geometry).items() if not _has_place(fault, geometry))


def _wanted(geometry: Geometry) -> dict[str, Fault]:
    (quiet,) = injection.quiet_cell(geometry, geometry.n_layers // 2)
    return {
        **{f"second photon {mm} mm": parse(f"second:mm={mm},x=0.3") for mm in (5, 10, 20, 40)},
        "dead core cell": parse("dead"),
        **{f"hot quiet cell {x}σ": parse(f"hot:cells={quiet},x={x},share=1") for x in (5, 10, 50)},
        **{f"hot core cell {x}σ": parse(f"hot:x={x},share=1") for x in (5, 10, 50)},
        **{f"noise × {x} in a layer": parse(f"noise:x={x}") for x in (2, 5)},
        **{f"gain +{x} %": parse(f"gain:x={x / 100}") for x in (1, 2, 5, 10)},
    }


def _has_place(fault: Fault, geometry: Geometry) -> bool:
    try:
        injection.check(fault, geometry)
    except FaultError:
        return False
    return True


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
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
    scorer: Scores,
    good: Showers,
    anomalies: Mapping[str, Showers],
    faults: Mapping[str, Fault],
    rng: np.random.Generator,
) -> Iterator[Trial]:
    """Yield the good showers, each anomaly and each fault injected into the good ones, scored."""
    yield Trial("good", good, scorer.score(good), paired=True)
    for name, showers in anomalies.items():
        yield Trial(name, showers, scorer.score(showers))
    region = np.zeros(good.n, np.uint16)
    for name, fault in faults.items():
        struck = injection.apply(fault, good, region, scorer.geometry, rng)
        yield Trial(name, struck, scorer.score(struck), paired=True)


def compare(good: Trial, strange: Trial, names: tuple[str, ...], n_cells: int) -> Row:
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
