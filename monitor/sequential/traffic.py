"""Traffic: the showers of each place beside those that it is held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.sequential.bank import log_ratio_bet

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

SILENT_RATIOS = (0.02, 0.2)
CROWDED_RATIOS = (2.0, 8.0)

SILENT_CAP = 2.0
"""Log evidence that one second of silence may give: data that come late are not a fault yet."""

CROWDED_CAP = 6.0
"""The same for a second of too many: a flush of what was held back is no fault."""

DOUBTED = 4.0
"""Log evidence for too many showers of a region beyond which no other is held against it: what one
has too many, the others have not too few."""


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """What a second has at each of P places, shape (P,) each, and beside them."""

    here: NDArray[np.float64]
    """Showers, scored or not, of the regions whose share is known."""

    beside: NDArray[np.float64]
    """Showers of the regions elsewhere that it is held against."""

    share: NDArray[np.float64]
    """Usual share of the showers here among both; 0 where nothing can be said."""

    usual_beside: NDArray[np.float64]
    """What the regions elsewhere usually have, in showers: if they have fewer, they lack them."""

    def silence(self, floor: float) -> NDArray[np.float64]:
        """Return log e-values for too few showers here, shape (P, 2).

        The null: a share of at least `floor` of the usual one.
        """
        trials, ratio = self.here + self.beside, np.array(SILENT_RATIOS)
        log_e = log_ratio_bet(self.here, trials, self.share * floor, ratio)
        return self._where_known(np.minimum(log_e, SILENT_CAP))

    def crowding(self, times: float) -> NDArray[np.float64]:
        """Return log e-values for too many showers here, shape (P, 2).

        The null: odds of at most `times` the usual ones. Where those beside have fewer than usual
        it is they who lack them, and they count with what is usual: that only makes it smaller.
        """
        odds = times * self.share / np.maximum(1 - self.share, 1e-12)
        trials = self.here + np.maximum(self.beside, self.usual_beside)
        ratio = np.array(CROWDED_RATIOS)
        log_e = log_ratio_bet(self.here, trials, odds / (1 + odds), ratio)
        return self._where_known(np.minimum(log_e, CROWDED_CAP))

    def _where_known(self, log_e: NDArray[np.float64]) -> NDArray[np.float64]:
        known = (self.share > 0) & (self.share < 1)
        return np.where(known[:, None], log_e, 0.0)


def traffic(
    members: csr_array,
    counted: csr_array,
    seen: NDArray[np.int64],
    usual: NDArray[np.float64],
    says: NDArray[np.bool_],
    doubted: NDArray[np.bool_],
    rate: float,
) -> Traffic:
    """Return the traffic of a second.

    Parameters
    ----------
    members, counted
        Regions that belong to each place, and those of them that count there now, shape (P, R).
    seen
        Showers of each region, shape (R,).
    usual
        Usual share of each region, 0 where it is not known, shape (R,).
    says
        Regions whose showers, or lack of them, say something in this second, shape (R,).
    doubted
        Regions that no other is held against, shape (R,).
    rate
        Showers that all regions with a known share usually have in a second.
    """
    known = says & (usual > 0)
    others = known & ~doubted
    both = np.column_stack([seen, usual]) * known[:, None]
    elsewhere = both * others[:, None]
    here, share_here = (counted @ both).T
    beside, share_beside = (elsewhere.sum(0) - members @ elsewhere).T
    whole = share_here + share_beside
    told = (share_here > 0) & (share_beside > 1e-9)
    return Traffic(
        here=here,
        beside=beside,
        share=np.where(told, share_here / np.where(told, whole, 1.0), 0.0),
        usual_beside=rate * share_beside,
    )


def nowhere(n: int) -> Traffic:
    """Return the traffic of P places of which nothing can be said."""
    none = np.zeros(n)
    return Traffic(none, none, none, none)
