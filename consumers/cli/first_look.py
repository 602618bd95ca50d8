"""A first look at showers for the author of a producer: units and order of cells, as they seem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.scoring.artefact import Artefact
    from models.scoring.scorer import Scorer
    from models.showers.batch import Showers

ENOUGH = 16
"""Fewer showers are shown and not doubted: one alone may be anything."""

STRANGE = 1e-3
"""One good shower in a thousand has so small a p-value."""

UNIT = 30.0
"""Energies that are off by more than this are of another unit, not of another beam."""

MUCH = 0.05
"""A layer with less of the energy than this is not looked at: it holds noise as much as showers."""

HALF = 0.5
"""More than this share of the showers without a score is no tail."""

LAYER = 2.0
"""A layer's share of the energy that is off by more than this is of another layer's cells."""


@dataclass(frozen=True, slots=True)
class FirstLook:
    """What the model in force makes of some showers."""

    showers: int
    median_p: float | None
    """Median of the combined p-value, about 0.5 if the showers are good; None if none was scored."""

    strange: float
    """Share with p <= `STRANGE`."""

    outside: float
    """Share outside of what the model was trained on: not scored."""

    unscored: float
    """Share without a score for another reason: it is not finite."""

    layers: tuple[tuple[str, float, float], ...]
    """Name, mean energy and the reference's mean at the same conditions, MeV."""

    @property
    def doubts(self) -> tuple[str, ...]:
        """Return what looks wrong, a line each."""
        if self.showers < ENOUGH:
            return ()
        found = list(self._energies())
        if self.outside > HALF:
            found.append(
                f"{self.outside:.0%} of the showers have energies or conditions that the model was "
                "not trained on"
            )
        if self.unscored > HALF:
            found.append(f"{self.unscored:.0%} of the showers have no finite score")
        if self.median_p is not None and self.median_p < 0.05:
            found.append(f"the median p-value is {self.median_p:.2g}: 0.5 is that of good showers")
        return tuple(found)

    def _energies(self) -> list[str]:
        mean = np.array([mean for _, mean, _ in self.layers])
        reference = np.array([reference for *_, reference in self.layers])
        if mean.sum() <= 0 or reference.sum() <= 0:
            return ["the cells hold no energy"]
        ratio = mean.sum() / reference.sum()
        if not 1 / UNIT < ratio < UNIT:
            text = f"the cells hold {ratio:.2g} of the reference's energy: are they in MeV?"
            return [text]
        seen, wanted = np.maximum(mean / mean.sum(), 1e-6), reference / reference.sum()
        off = np.abs(np.log(seen / np.maximum(wanted, 1e-6))) > np.log(LAYER)
        wrong = [self.layers[i][0] for i in np.flatnonzero(off & (np.maximum(seen, wanted) > MUCH))]
        if wrong:
            text = f"the share of {', '.join(wrong)} is far off: are the cells in the file's order?"
            return [text]
        return []


def first_look(
    showers: Showers,
    artefact: Artefact,
    scorer: Scorer,
    hidden: NDArray[np.bool_] | None = None,
) -> FirstLook:
    """Return what a model makes of N >= 1 showers, of which cells may be absent, shape (N, V)."""
    scored = scorer.score(showers, hidden=hidden)
    p = scored.p_combined[scored.valid]
    geometry, reference = artefact.geometry, artefact.reference
    mean = [float(showers.cells[:, cut].sum(1, dtype=np.float64).mean()) for cut in geometry.slices]
    expected = reference.layer_mean[scored.condition_cell].mean(axis=0)
    return FirstLook(
        showers=showers.n,
        median_p=float(np.median(p)) if len(p) else None,
        strange=float((p <= STRANGE).mean()) if len(p) else 0.0,
        outside=float(scored.unknown.mean()),
        unscored=float((~scored.valid & ~scored.unknown).mean()),
        layers=tuple(
            (layer.name, m, float(e))
            for layer, m, e in zip(geometry.layers, mean, expected, strict=True)
        ),
    )
