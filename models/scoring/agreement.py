"""Agreement: whatever a model is evaluated by, its numbers are the same to a thousandth of their spread."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.flows.interface import Flow
    from models.scoring.examiner import Examiner, Seen
    from models.showers.batch import Showers

TOLERANCE = 1e-3
"""Largest difference between two engines, in standard deviations over good showers. With the shipped
models it is 2e-5 at most in single precision, 3e-3 and more if weights have the ten bits of TF32."""


class EngineError(RuntimeError):
    """An engine whose numbers are not the model's: nothing may be scored by it."""


def check(found: Seen, expected: Seen) -> None:
    """Raise EngineError unless two engines see the same in some dozens of good showers."""
    _hold("raw scores", found.raw, expected.raw)
    _hold("latents", found.latents, expected.latents)


def check_plain(examine: Examiner, flow: Flow, showers: Showers) -> None:
    """Raise EngineError unless an engine has the log p and latents of zuko in double precision.

    Parameters
    ----------
    flow
        On the CPU; it is left as it is.
    """
    exact = deepcopy(flow).double()  # type: ignore[attr-defined]  # every flow is a module
    features, seen = examine.feature_map(showers)[0].double(), examine(showers)
    with torch.no_grad():
        log_p, latents = exact.log_prob(features).numpy(), exact.latent(features).numpy()
    _hold("log p", -seen.raw[:, : log_p.shape[1]], log_p)
    _hold("latents", seen.latents, latents)


def _hold(what: str, found: NDArray[np.floating], expected: NDArray[np.floating]) -> None:
    """Raise EngineError if columns (N, X) differ."""
    spread = np.maximum(expected.std(axis=0), 1e-6)
    off = float((np.abs(found - expected) / spread).max())
    if not off <= TOLERANCE:  # NaN is not
        raise EngineError(
            f"{what} are off by {off:.2g} of their spread, allowed is {TOLERANCE:g}: this device, or "
            "its libraries, does not compute in full single precision"
        )
