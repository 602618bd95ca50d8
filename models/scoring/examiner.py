"""Examiner: features, flow and raw scores of showers, masked cells left out, before any reference."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from models.flows.filling import Filling
from models.flows.interface import Features, FlowOutput
from models.flows.outside import outside
from models.scoring.scores import RawScores, names
from models.showers.hashing import keys, uniform

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from models.detector.geometry import Geometry
    from models.flows.features import FeatureMap
    from models.flows.interface import Flow
    from models.scoring.classifier import Classifier
    from models.showers.batch import Showers

SCORED_AT_ONCE = 256
"""Showers evaluated at a time: what they need stays in the cache of a core."""


ROWS = 32
"""Chunks are filled up to whole multiples of this: with odd rows at the end, some library functions
take another path and round otherwise, and a replay in other batches would not give the same bits."""


class Seen(NamedTuple):
    """What the flow makes of N showers, before there is a reference."""

    raw: NDArray[np.float32]
    """Raw scores, shape (N, S)."""

    latents: NDArray[np.float32]
    """Shape (N, D)."""

    conditions: NDArray[np.float32]
    """Standardised conditions, shape (N, C): log of the reconstructed energy first."""

    e_rec: NDArray[np.float64]
    """Reconstructed energy, MeV, shape (N,)."""

    response: NDArray[np.bool_]
    """Whether the response is known, shape (N,): else its latent is drawn."""

    outside: NDArray[np.bool_]
    """Whether a condition lies outside of what the model knows, shape (N,)."""

    @property
    def energy(self) -> NDArray[np.float32]:
        """Return the standardised log of the reconstructed energy, shape (N,)."""
        energy: NDArray[np.float32] = self.conditions[:, 0]
        return energy


class _Chunk(NamedTuple):
    """Showers that are evaluated together."""

    rows: slice | NDArray[np.int64]
    """Which they are, and the last one again to fill them up."""

    start: int
    n: int
    """How many they are without what fills them up."""


def _chunks(n: int) -> list[_Chunk]:
    """Return the chunks of a batch of n showers."""
    chunks = []
    for start in range(0, n, SCORED_AT_ONCE):
        stop = min(start + SCORED_AT_ONCE, n)
        rows: slice | NDArray[np.int64] = slice(start, stop)
        if (stop - start) % ROWS:
            whole = start + -(-(stop - start) // ROWS) * ROWS
            rows = np.minimum(np.arange(start, whole), n - 1)
        chunks.append(_Chunk(rows, start, stop - start))
    return chunks


class _Masked(NamedTuple):
    """What is seen of N showers whose cells do not all count; see `Seen`."""

    raw: NDArray[np.float32]
    latents: NDArray[np.float32]
    conditions: NDArray[np.float32]
    e_rec: NDArray[np.float64]
    e_inc: NDArray[np.float32]
    """Incident energy as far as it is known beside what is masked, MeV, shape (N,)."""


class Examiner:
    """Features, flow and raw scores: the part of scoring that needs no reference.

    Its networks are moved to its device.
    """

    def __init__(
        self,
        feature_map: FeatureMap,
        flow: Flow,
        geometry: Geometry,
        device: torch.device,
        classifier: Classifier | None = None,
    ) -> None:
        self.feature_map = feature_map
        self._filling = Filling(feature_map)
        self.device = device
        self.raw_scores = RawScores(geometry)
        for network in (flow, classifier):
            if network is not None:
                network.to(device)  # type: ignore[union-attr]  # every flow is a module
        self.evaluate = flow.compiled()
        self.classifier = classifier
        self.n_latents = geometry.n_cells + geometry.n_layers
        self.stages = flow.stages
        known = classifier is not None
        self.score_names = names(flow.stages, residuals=flow.reconstructs, classifier=known)

    def __call__(
        self, showers: Showers, mask: NDArray[np.bool_] | None = None, *, blind: bool = False
    ) -> Seen:
        """Return raw scores and latents of N >= 1 showers.

        Parameters
        ----------
        mask
            True for cells that must not count, shape (V,) or (N, V).
        blind
            Whether the incident energies of showers without some cells are not to be looked at.
        """
        if mask is None or not mask.any():
            return self._whole(showers)
        full = np.broadcast_to(mask, showers.cells.shape)
        parts = []
        for chunk in _chunks(showers.n):
            found = self._masked(showers[chunk.rows], full[chunk.rows], blind=blind)
            parts.append([column[: chunk.n] for column in found])
        columns = _Masked(*(np.concatenate(one) for one in zip(*parts, strict=True)))
        return self._seen(showers, *columns)

    def _whole(self, showers: Showers) -> Seen:
        """Return what is seen of showers whose cells all count."""
        key = keys(showers)
        tie = uniform(key, 1, first=1)[:, 0]
        of, cells, chunks = self.feature_map, showers.cells, _chunks(showers.n)
        core = [of.core_energy(cells[chunk.rows])[: chunk.n] for chunk in chunks]
        # One look at what is a few numbers a shower: chunk by chunk, calls would cost more than work.
        glance = of.glance(np.concatenate(core), showers, key)
        latents = np.empty((showers.n, self.n_latents), np.float32)
        raw = np.empty((showers.n, len(self.score_names)), np.float32)
        for rows, start, n in chunks:
            features = of.of_cells(cells[rows], glance.rows(rows), key[rows])
            output = self._output(features)
            raw[start : start + n] = self._raw(features, output, cells[rows], tie[rows])[:n]
            torch.from_numpy(latents[start : start + n]).copy_(output.latents[:n])
        return self._seen(showers, raw, latents, glance.conditions, glance.e_rec, showers.e_inc)

    def _seen(
        self,
        showers: Showers,
        raw: NDArray[np.float32],
        latents: NDArray[np.float32],
        conditions: NDArray[np.float32],
        e_rec: NDArray[np.float64],
        e_inc: NDArray[np.float32],
    ) -> Seen:
        known = self.feature_map.knows(e_inc)
        # An energy that is forgotten beside masked cells still says where a shower belongs.
        beyond = outside(self.feature_map, showers.e_inc, showers.conditions, e_rec)
        return Seen(raw, latents, conditions, e_rec, known, beyond)

    def _raw(
        self,
        features: Features,
        output: FlowOutput,
        cells: NDArray[np.float32],
        tie: NDArray[np.float64],
    ) -> NDArray[np.float32]:
        """Return raw scores of showers; `tie` breaks ties."""
        raw = self.raw_scores(output, cells, tie)
        if self.classifier is None:
            return raw
        there = features.to(self.device)
        with torch.inference_mode():
            odds = self.classifier(there, output.latents.to(self.device))
        return np.column_stack([raw, odds.cpu().numpy()])

    def view(self, showers: Showers) -> tuple[Features, Tensor]:
        """Return features and latents of N >= 1 showers, on the device: what a classifier sees."""
        parts = []
        for start in range(0, showers.n, SCORED_AT_ONCE):
            features, _ = self.feature_map(showers[slice(start, start + SCORED_AT_ONCE)])
            there = features.to(self.device)
            # What else is in them no classifier looks at.
            parts.append((*there[:3], self.evaluate(there).latents.clone()))
        cells, layers, conditions, latents = (
            torch.cat(column) for column in zip(*parts, strict=True)
        )
        return Features(cells, layers, conditions), latents

    def _output(self, features: Features) -> FlowOutput:
        return self.evaluate(features.to(self.device))

    def _masked(self, showers: Showers, mask: NDArray[np.bool_], *, blind: bool) -> _Masked:
        """Return what is seen with masked cells where the flow expects them: latent 0.

        The place is found by two secant steps, all cells at once: a later cell moves with an
        earlier one, but little. Each masked cell then counts as much as it does on average.
        """
        core = self.feature_map.core.any(axis=0)
        guessed: NDArray[np.bool_] = np.logical_or(mask[:, core].any(axis=1), blind)
        filled = self._filling(_blinded(showers, guessed), mask)
        features, e_rec = self.feature_map(filled)
        hidden = torch.from_numpy(mask.copy())
        n_cells = mask.shape[1]
        moved = hidden
        if features.sparse is not None:  # what is expected to be unlit stays so
            moved = hidden & (features.sparse.draws[:, -n_cells:] >= 1)
        before = torch.where(moved, 0.0, features.cells)
        z_before = self._output(features._replace(cells=before)).latents[:, :n_cells].cpu()
        now = torch.where(moved, -z_before.clamp(-5, 5), before)
        z_now = self._output(features._replace(cells=now)).latents[:, :n_cells].cpu()
        step = z_now - z_before
        slope = torch.where(step.abs() > 1e-3, (now - before) / step, torch.ones(()))
        best = torch.where(moved, (now - z_now * slope.clamp(0.05, 20)).clamp(-8, 8), before)
        output = self._output(features._replace(cells=best))
        latents = output.latents.cpu().clone()
        latents[:, :n_cells][hidden] = 0.0
        n_masked = hidden.sum(1)
        residuals = output.residuals
        if residuals is not None:
            share = n_cells / (n_cells - n_masked).clamp(min=1)
            residuals = residuals.cpu().masked_fill(hidden, 0.0) * share.sqrt()[:, None]
        expected = FlowOutput(output.nll.cpu(), latents, residuals)
        # What breaks ties, too, is drawn from what is left of a shower.
        tie = uniform(keys(filled), 1, first=1)[:, 0]
        raw = self._raw(features._replace(cells=best), expected, filled.cells, tie)
        raw[:, self.score_names.index("typicality")] += n_masked.numpy()
        raw[:, self.score_names.index("nll_cells")] += 0.5 * n_masked.numpy()
        return _Masked(raw, latents.numpy(), features.conditions.numpy(), e_rec, filled.e_inc)


def _blinded(showers: Showers, guessed: NDArray[np.bool_]) -> Showers:
    """Return showers whose incident energy is forgotten where their energy is partly a guess.

    Where a masked cell is in a layer's core: what that says of the response would be a guess too.
    """
    e_inc = np.where(guessed, np.float32(np.nan), showers.e_inc)
    return replace(showers, e_inc=e_inc)
