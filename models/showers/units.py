"""Units: whether showers can be in MeV, told by what a detector does to energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.detector.geometry import Geometry
    from models.showers.batch import Showers

FAR = 1000**0.5
"""So far from what is expected, as a factor, a thousand is nearer than one."""

ENOUGH = 20
"""Of fewer showers nothing is said."""

QUIET = 0.25
"""Share of the cells, those with the least energy, that noise is looked for in."""


def doubts(showers: Showers, geometry: Geometry, *, clean: bool) -> Iterator[str]:
    """Yield what speaks against cells and incident energies in MeV, in words.

    Cells hold about a sampling fraction of the incident energy, and the quiet ones the noise of the
    geometry. Leakage, another particle or a loose geometry make factors of a few; another unit
    makes a thousand.

    Parameters
    ----------
    clean
        True if the cells are without noise.
    """
    if showers.n < ENOUGH:
        return
    if not clean and geometry.noise_mev > 0:
        noise = _noise(showers)
        if noise > 0 and _is_far(noise / geometry.noise_mev):
            yield (
                f"the noise of quiet cells is {noise:.2g} MeV where geometry {geometry.name} has "
                f"{geometry.noise_mev:g}"
            )
    known = ~np.isnan(showers.e_inc)
    if known.sum() < ENOUGH:
        return
    seen = showers.cells[known].sum(axis=1, dtype=np.float64)
    response = float(np.median(seen / showers.e_inc[known]))
    if response > 0 and _is_far(response / geometry.sampling_fraction):
        yield (
            f"cells hold {response:.2g} of the incident energy where geometry {geometry.name} has "
            f"a sampling fraction of {geometry.sampling_fraction:g}"
        )


def _is_far(ratio: float) -> bool:
    return not 1 / FAR < ratio < FAR


def _noise(showers: Showers) -> float:
    """Return the typical deviation of the quiet cells, MeV; 0 where noise is suppressed."""
    mean = showers.cells.mean(axis=0, dtype=np.float64)
    quiet = showers.cells[:, np.argsort(mean)[: max(1, int(QUIET * len(mean)))]]
    spread = np.median(np.abs(quiet - np.median(quiet, axis=0)), axis=0)
    return 1.4826 * float(np.median(spread))
