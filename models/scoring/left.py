"""Left: what the cells that are left say of the response, where some of a layer's core are absent.

What is filled in for absent cells is their mean, so that the reconstructed energy is off by what a
shower has more or less than that in them. How much that is the others tell in part: the nearer a
shower lies to what is absent, the more its neighbours hold. So the log response is regressed on what
cells that are left hold of the energy, and what remains is standardised by the incident energy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from models.flows.polynomials import basis, polynomials, values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.flows.features import FeatureMap
    from models.scoring.examiner import Seen
    from models.showers.batch import Showers

MOST_CELLS, SHOWERS_A_CELL = 24, 200
"""Cells that are looked at, the brightest of those that are left, and showers learnt from for each."""

SHARES = (0.0, 2.0)
"""What a cell holds of the reconstructed energy is taken to lie in this range."""

NEAR_ZERO = 1e-4
"""Added to shares before the root, which is steep there: next to noise."""

MOST_SPREAD = 0.2
"""Where what remains of the log response spreads by more, what is left says next to nothing of it."""

BESIDE = 0.01
"""Incident energies may lie by this beside those learnt from, of their range: polynomials end there."""

RIDGE = 3.0
"""Slopes of standardised terms are paid for like so many showers that are off by as much."""


@dataclass(frozen=True, slots=True, eq=False)
class Left:
    """Standardises the response of showers that lack the same cells."""

    feature_map: FeatureMap
    cells: NDArray[np.int64]
    """Which cells are looked at, shape (W,)."""

    centre: NDArray[np.float64]
    """Mean of the terms of the regression, roots of shares and then shares, shape (2 W,)."""

    slope: NDArray[np.float64]
    """By how much the log response moves with each term, shape (2 W,)."""

    mean: NDArray[np.float32]
    """Polynomial of what remains on average, in the standardised log incident energy, shape (P, 1)."""

    log_scale: NDArray[np.float32]
    """The same of its log deviation, shape (P, 1)."""

    limits: tuple[float, float] = (-np.inf, np.inf)
    """Standardised log incident energies of which it is known."""

    @classmethod
    def of(
        cls, showers: Showers, seen: Seen, feature_map: FeatureMap, hidden: NDArray[np.bool_]
    ) -> Left | None:
        """Return what good showers of known response teach without the hidden cells, shape (V,).

        None if the cells that are left say next to nothing of it.

        Parameters
        ----------
        seen
            Of the showers without those cells.
        """
        energy = np.where(hidden, -np.inf, showers.cells.mean(axis=0, dtype=np.float64))
        most = min(MOST_CELLS, showers.n // SHOWERS_A_CELL, int((~hidden).sum()))
        bright = np.argsort(-energy, kind="stable")[:most]
        terms = _terms(showers, seen, bright)
        centre, spread = terms.mean(axis=0), np.maximum(terms.std(axis=0), 1e-6)
        off = (terms - centre) / spread
        response = _log_response(showers, seen)
        normal = off.T @ off + RIDGE * np.eye(len(centre))
        slope = np.linalg.solve(normal, off.T @ (response - response.mean())) / spread
        nothing = np.zeros((1, 1), np.float32)
        found = cls(feature_map, bright, centre, slope, nothing, nothing)
        remains = found.remains(showers, seen)
        if remains.std() > MOST_SPREAD:
            return None
        at = feature_map.at_energy(showers.e_inc.astype(np.float64))
        mean, log_scale = polynomials(remains[:, None], at)
        beside = BESIDE * float(np.ptp(at))
        limits = (float(at.min()) - beside, float(at.max()) + beside)
        return replace(found, mean=mean, log_scale=log_scale, limits=limits)

    def knows(self, showers: Showers) -> NDArray[np.bool_]:
        """Return which showers have an incident energy like those that were learnt from, shape (N,)."""
        at = self.feature_map.at_energy(showers.e_inc.astype(np.float64))
        known: NDArray[np.bool_] = (at >= self.limits[0]) & (at <= self.limits[1])
        return known

    def remains(self, showers: Showers, seen: Seen) -> NDArray[np.float64]:
        """Return the log response less what the cells that are left expect of it, shape (N,)."""
        remains, terms = _log_response(showers, seen), _terms(showers, seen, self.cells)
        for term in range(terms.shape[1]):  # plain sums: a product rounds otherwise for one alone
            remains -= (terms[:, term] - self.centre[term]) * self.slope[term]
        return remains

    def __call__(self, showers: Showers, seen: Seen, response: int) -> Seen:
        """Return what is seen of showers with their responses standardised, where they are known.

        Parameters
        ----------
        response
            Which of the scores it is.
        """
        rows = np.flatnonzero(seen.response)
        if not len(rows):
            return seen
        known = showers[rows]
        at = self.feature_map.at_energy(known.e_inc.astype(np.float64))
        powers = basis(at.astype(np.float32))
        mean, log_scale = values(powers, self.mean), values(powers, self.log_scale)
        remains = self.remains(known, some(seen, rows))
        standard = (remains - mean[:, 0]) * np.exp(-log_scale[:, 0])
        raw, latents = seen.raw.copy(), seen.latents.copy()
        raw[rows, response] = latents[rows, self.feature_map.n_cells] = standard
        return seen._replace(raw=raw, latents=latents)


def some(seen: Seen, rows: NDArray[np.int64]) -> Seen:
    """Return what is seen of some of the showers."""
    return seen._replace(**{name: getattr(seen, name)[rows] for name in seen._fields})


def _log_response(showers: Showers, seen: Seen) -> NDArray[np.float64]:
    response: NDArray[np.float64] = np.log(seen.e_rec / showers.e_inc)
    return response


def _terms(showers: Showers, seen: Seen, cells: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the terms of the regression, shape (N, 2 W)."""
    share = np.clip(showers.cells[:, cells] / seen.e_rec[:, None], *SHARES)
    return np.column_stack([np.sqrt(share + NEAR_ZERO), share])
