"""Channel gains: estimates from showers, against what was injected and the statistical limit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from models.scoring.response import channel_response
from models.simulation.whole import Spread, constants
from monitor.reference.gains import estimated
from monitor.windows.channel_sums import Standard

if TYPE_CHECKING:
    from models.scoring.artefact import Artefact
    from models.scoring.response import ChannelResponse
    from models.simulation.whole import WholeDetector
    from monitor.windows.channel_table import ChannelTable

SHOWERS = 4_000
"""Good ones that responses are measured on."""

ONE_SIGMA = 0.683


def gains_of(
    artefact: Artefact, table: ChannelTable, whole: WholeDetector, seed: int
) -> dict[str, Any]:
    """Return how far estimated gains are from the injected ones, and from what is possible."""
    response = _response(artefact, whole, seed)
    found = estimated(table, whole.channels, response, whole.geometry.noise_mev)
    core = table["showers"][:, 0]
    told = np.isfinite(found.gain) & (core > 0)
    off = (found.gain - whole.constants.gain)[told]
    off -= np.median(off)
    injected = whole.constants.gain[told]
    return {
        "channels": int(told.sum()),
        "core_showers": float(np.median(core)),
        "near_showers": float(np.median(table["showers"][:, 1])),
        "limit": float(np.median(found.limit[told])),
        "stated": float(np.median(found.error[told])),
        "error": float(np.quantile(np.abs(off), ONE_SIGMA)),
        "pull": float(np.quantile(np.abs(off / found.error[told]), ONE_SIGMA)),
        "spread_injected": float(injected.std()),
        "correlation": float(np.corrcoef(found.gain[told], injected)[0, 1]),
    }


def _response(artefact: Artefact, whole: WholeDetector, seed: int) -> ChannelResponse:
    """Return the response, measured on showers in channels that are all alike."""
    rng = np.random.default_rng([seed, 3])
    alike = constants(len(whole.channels), whole.geometry, Spread(), 1)
    good = replace(whole, constants=alike).each_once(rng)[slice(0, SHOWERS)]
    standard = Standard.of(artefact.reference)
    scorer = artefact.scorer("cpu")
    return channel_response(scorer, good, whole.geometry, standard.mean, standard.sigma)
