"""Of runs: what the good lumisections of runs expect, from their sums; no second is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.scoring.scales import LEVELS
from monitor.reference.accepted import accepted, moved_to, nothing
from monitor.windows.rows import rows_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from monitor.detector.places import Places
    from monitor.reference.expectation import Expectation
    from monitor.windows.window import Window

LEAST = 20
"""Exceedances that good showers must be expected to have at the smallest level."""


def of_runs(
    sums: Iterable[Window],
    good: Mapping[tuple[int, int], Collection[int]],
    centre: Expectation,
    places: Places,
) -> Expectation:
    """Return what the good regions of lumisections expect.

    Parameters
    ----------
    sums
        The sum of each lumisection's windows.
    good
        Region ids that are good, by run and lumisection; what is not there is not taken.
    centre
        The certified reference: it gives how latents depend on conditions, as for a live one.
    places
        The detector's places.

    Raises
    ------
    ValueError
        If there are too few good showers; the message says how many, and how many it takes.
    """
    total, runs = nothing(centre), set()
    for window in sums:
        run, lumisection, _ = window.key
        usable = np.isin(places.ids, list(good.get((run, lumisection), ())))
        total += accepted(rows_of(window, places), usable)
        runs.add(run)
    least = LEAST / LEVELS[-1]
    if total.n < least or not total.showers.all():
        raise ValueError(
            f"{total.n:,} good showers, and {int((total.showers == 0).sum())} ranges of energy "
            f"without any: a reference takes {least:,.0f}, and some in each"
        )
    return moved_to(total, centre, f"runs-{'-'.join(map(str, sorted(runs)))}", "certified")
