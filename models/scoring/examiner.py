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
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from models.detector.geometry import Geometry
    from models.flows.features import FeatureMap
    from models.flows.glance import Glance
    from models.flows.interface import Flow, Sparse
    from models.scoring.classifier import Classifier
    from models.showers.batch import Showers

    Evaluated = Callable[
        [NDArray[np.float32], Glance, NDArray[np.uint64], NDArray[np.float64]],
        tuple[Tensor, Tensor],
    ]
    """Returns raw scores (N, S) and latents (N, D) of cells, MeV, (N, V), a glance, keys and ties."""

SCORED_AT_ONCE = {"cpu": 512, "cuda": 4096}
"""Showers evaluated at a time. On a CPU, with fewer the calls cost more than the work, with more what
they need falls out of the caches; a card is kept busy by that many."""

ROWS = {"cpu": 32, "cuda": 4096}
"""Chunks are filled up to whole multiples of this: with odd rows at the end, some library functions
take another path and round otherwise, and a replay in other batches would not give the same bits. On
a card the path hangs on the number of showers: there it is always the same."""


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


def _chunks(n: int, kind: str) -> list[_Chunk]:
    """Return the chunks of a batch of n showers on a kind of device."""
    chunks, at_once, multiple = [], SCORED_AT_ONCE[kind], ROWS[kind]
    for start in range(0, n, at_once):
        stop = min(start + at_once, n)
        rows: slice | NDArray[np.int64] = slice(start, stop)
        if (stop - start) % multiple:
            whole = start + -(-(stop - start) // multiple) * multiple
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
        self.compiled: Evaluated | None = None  # evaluates whole showers, where there is one
        self.classifier = classifier
        self.n_latents = geometry.n_cells + geometry.n_layers
        self.stages = flow.stages
        known = classifier is not None
        self.score_names = names(flow.stages, residuals=flow.reconstructs, classifier=known)
        self.response = self.score_names.index("response")

    def __call__(
        self,
        showers: Showers,
        mask: NDArray[np.bool_] | None = None,
        *,
        response: NDArray[np.bool_] | bool | None = None,
    ) -> Seen:
        """Return raw scores and latents of N >= 1 showers.

        Parameters
        ----------
        mask
            True for cells that must not count, shape (V,) or (N, V).
        response
            Whether the incident energies of showers without some cells are looked at, of all or each,
            shape (N,). If not given, where no masked cell is in a layer's core: what it says of the
            response would be a guess.
        """
        if mask is None or not mask.any():
            return self.whole(showers, self.compiled)
        full = np.broadcast_to(mask, showers.cells.shape)
        guessed = full[:, self.feature_map.core.any(axis=0)].any(axis=1)
        told = np.broadcast_to(~guessed if response is None else response, showers.n)
        parts = []
        for chunk in _chunks(showers.n, self.device.type):
            found = self._masked(showers[chunk.rows], full[chunk.rows], told[chunk.rows])
            parts.append([column[: chunk.n] for column in found])
        columns = _Masked(*(np.concatenate(one) for one in zip(*parts, strict=True)))
        return self._seen(showers, *columns)

    def whole(self, showers: Showers, compiled: Evaluated | None) -> Seen:
        """Return what is seen of showers whose cells all count, by ourselves or what is compiled."""
        key = keys(showers)
        tie = uniform(key, 1, first=1)[:, 0]
        of, cells, chunks = self.feature_map, showers.cells, _chunks(showers.n, self.device.type)
        core = [of.core_energy(cells[chunk.rows])[: chunk.n] for chunk in chunks]
        # One look at what is a few numbers a shower: chunk by chunk, calls would cost more than work.
        glance = of.glance(np.concatenate(core), showers, key)
        latents, raw = (
            self._landing(showers.n, d) for d in (self.n_latents, len(self.score_names))
        )
        evaluated = compiled or self._eager
        for rows, start, n in chunks:
            # A card goes on with the next chunk meanwhile.
            scores, there = evaluated(cells[rows], glance.rows(rows), key[rows], tie[rows])
            raw[start : start + n].copy_(scores[:n], non_blocking=True)
            latents[start : start + n].copy_(there[:n], non_blocking=True)
        if self.device.type == "cuda":
            torch.cuda.current_stream(self.device).synchronize()
        columns = raw.numpy(), latents.numpy(), glance.conditions, glance.e_rec
        return self._seen(showers, *columns, showers.e_inc)

    def _eager(
        self,
        cells: NDArray[np.float32],
        glance: Glance,
        key: NDArray[np.uint64],
        tie: NDArray[np.float64],
    ) -> tuple[Tensor, Tensor]:
        """Return raw scores and latents of a chunk, on the device."""
        features = self.feature_map.of_cells(cells, glance, key).to(self.device)
        output = self.evaluate(features)
        return self._raw(features, output, self.raw_scores.lit(cells, tie)), output.latents

    def _landing(self, n: int, width: int) -> Tensor:
        """Return where what leaves the device lands, shape (n, width)."""
        return torch.empty(n, width, pin_memory=self.device.type == "cuda")

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

    def _raw(self, features: Features, output: FlowOutput, lit: Tensor) -> Tensor:
        """Return raw scores of showers, features and output on one device, shape (N, S)."""
        draws = None if features.sparse is None else features.sparse.draws
        raw = self.raw_scores(output, lit, draws)
        if self.classifier is None:
            return raw
        with torch.inference_mode():
            return torch.cat([raw, self.classifier(features, output.latents)[:, None]], 1)

    def view(self, showers: Showers) -> tuple[Features, Tensor]:
        """Return features and latents of N >= 1 showers, on the device: what a classifier sees."""
        parts = []
        at_once = SCORED_AT_ONCE[self.device.type]
        for start in range(0, showers.n, at_once):
            features, _ = self.feature_map(showers[slice(start, start + at_once)])
            there = features.to(self.device)
            # What else is in them no classifier looks at.
            parts.append((*there[:3], self.evaluate(there).latents.clone()))
        cells, layers, conditions, latents = (
            torch.cat(column) for column in zip(*parts, strict=True)
        )
        return Features(cells, layers, conditions), latents

    def _masked(
        self, showers: Showers, mask: NDArray[np.bool_], response: NDArray[np.bool_]
    ) -> _Masked:
        """Return what is seen with masked cells where the flow expects them: latent 0.

        The place is found by two secant steps, all cells at once: a later cell moves with an
        earlier one, but little. Each masked cell then counts as much as it does on average.
        """
        e_inc = np.where(response, showers.e_inc, np.float32(np.nan))
        filled = self._filling(replace(showers, e_inc=e_inc), mask)
        on_cpu, e_rec = self.feature_map(filled)
        # What breaks ties, too, is drawn from what is left of a shower.
        lit = self.raw_scores.lit(filled.cells, uniform(keys(filled), 1, first=1)[:, 0])
        there = on_cpu.to(self.device)
        hidden = torch.from_numpy(mask.copy()).to(self.device)
        best, expected = self._expected(there, hidden)
        seen = there._replace(cells=best, sparse=_undrawn(there.sparse, hidden))
        raw = self._raw(seen, expected, lit).cpu().numpy()
        n_masked = mask.sum(1)
        raw[:, self.score_names.index("typicality")] += n_masked
        raw[:, self.score_names.index("nll_cells")] += 0.5 * n_masked
        latents, conditions = expected.latents.cpu().numpy(), on_cpu.conditions.numpy()
        return _Masked(raw, latents, conditions, e_rec, filled.e_inc)

    def _expected(self, features: Features, hidden: Tensor) -> tuple[Tensor, FlowOutput]:
        """Return cells, shape (N, V), with the hidden ones where they are expected, and the output.

        All on one device; what is hidden has shape (N, V).
        """
        n_cells = hidden.shape[1]
        moved = hidden
        if features.sparse is not None:  # what is expected to be unlit stays so
            moved = hidden & (features.sparse.draws[:, -n_cells:] >= 1)
        before = torch.where(moved, 0.0, features.cells)
        z_before = self.evaluate(features._replace(cells=before)).latents[:, :n_cells]
        now = torch.where(moved, -z_before.clamp(-5, 5), before)
        z_now = self.evaluate(features._replace(cells=now)).latents[:, :n_cells]
        step = z_now - z_before
        slope = torch.where(step.abs() > 1e-3, (now - before) / step, 1.0)
        best = torch.where(moved, (now - z_now * slope.clamp(0.05, 20)).clamp(-8, 8), before)
        output = self.evaluate(features._replace(cells=best))
        latents = output.latents.clone()
        latents[:, :n_cells].masked_fill_(hidden, 0.0)
        residuals = output.residuals
        if residuals is not None:
            share = n_cells / (n_cells - hidden.sum(1)).clamp(min=1)
            residuals = residuals.masked_fill(hidden, 0.0) * share.sqrt()[:, None]
        return best, FlowOutput(output.nll, latents, residuals)


def _undrawn(sparse: Sparse | None, hidden: Tensor) -> Sparse | None:
    """Return draws without those of hidden cells (N, V): what is not looked at is no surprise."""
    if sparse is None:
        return None
    draws = sparse.draws.clone()
    draws[:, -hidden.shape[1] :].masked_fill_(hidden, 1.0)
    return sparse._replace(draws=draws)
