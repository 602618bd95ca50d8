"""Strangest: the few showers of a batch that people will look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from consumers.score.pending_range import KEPT_PER_REGION
from consumers.wire.strange import StrangeShower
from models.scoring.scales import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from models.scoring.scored import Scored
    from models.showers.batch import Showers

STRANGE = LEVELS[-1]
"""Showers at or below this p-value are kept for people to look at."""

_COORDINATES = (
    "partition", "offset", "row", "event_id", "time_ns", "run", "lumisection", "region",
)  # fmt: skip


def strangest(
    showers: Showers,
    scored: Scored,
    joined: Mapping[str, NDArray[np.int64]],
    score_names: tuple[str, ...] = (),
) -> Iterator[StrangeShower]:
    """Yield the worst strange showers of each partition and region of a batch.

    Parameters
    ----------
    joined
        Coordinates of the showers; see `consumers.score.scoring.Batch`.
    score_names
        Names of the scores: of a response that nobody knows there is nothing to see.
    """
    drawn = [i for i, name in enumerate(score_names) if name == "response"]
    p = np.where(scored.valid, scored.p_combined, 1.0)
    for i in _worst(p, joined["partition"], joined["region"]):
        p_scores = scored.p[i].copy()  # a view would keep the batch alive
        if np.isnan(showers.e_inc[i]):
            p_scores[drawn] = 1.0
        yield StrangeShower(
            **{name: int(joined[name][i]) for name in _COORDINATES},
            e_inc=float(showers.e_inc[i]),
            p=float(p[i]),
            p_scores=p_scores,
            cells=showers.cells[i].copy(),
            pull=scored.latents[i, : showers.cells.shape[1]].copy(),
        )


def _worst(
    p: NDArray[np.float64], partition: NDArray[np.int64], region: NDArray[np.int64]
) -> list[int]:
    """Return the indices of the few worst strange showers of each partition and region."""
    strange = np.flatnonzero(p <= STRANGE)
    order = strange[np.lexsort((p[strange], region[strange], partition[strange]))]
    place = partition[order] * 65536 + region[order]
    first = np.searchsorted(place, place, side="left")
    worst: list[int] = order[np.arange(len(order)) - first < KEPT_PER_REGION].tolist()
    return worst
