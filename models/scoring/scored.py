"""What a model says of a batch of showers."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Scores, p-values and latents of N showers; rows where `valid` is false hold NaN."""

    scores: NDArray[np.float32]
    """One column a score of the family, shape (N, S); larger is stranger."""

    p: NDArray[np.float64]
    """P-value of each score against the reference in force, shape (N, S), in (0, 1]."""

    p_combined: NDArray[np.float64]
    """Calibrated harmonic-mean combination, shape (N,), in (0, 1]."""

    latents: NDArray[np.float32]
    """Image under the flow, shape (N, D): V cells first, then L layer energies; N(0, 1) if good."""

    condition_cell: NDArray[np.int64]
    """Condition cell of each shower, shape (N,), in [0, K)."""

    valid: NDArray[np.bool_]
    """False where there is no score that counts, shape (N,)."""

    unknown: NDArray[np.bool_]
    """True where there is none since the model knows nothing of such showers, shape (N,): a condition
    lies outside of what it was trained on, or nothing is expected yet of what is left of them."""

    bins: NDArray[np.int64]
    """Bin of each score in the reference's histogram, shape (N, S); 0 without a score."""

    def rows(self, rows: NDArray[np.int64]) -> Scored:
        """Return what is said of some of the showers."""
        return Scored(*(getattr(self, f.name)[rows] for f in fields(self)))

    @property
    def n(self) -> int:
        """Return the number of showers N."""
        return len(self.valid)
