"""Scores: the small family of numbers that a shower gets; larger is stranger, in every one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .features import DEGREE, basis, polynomials
from .scales import LIT_SIGMA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from .flow import Evidence
    from .geometry import Geometry

BLOCK = 3
"""Blocks are BLOCK x BLOCK cells, all that fit into a layer, and each whole layer."""

TWO_SIDED = ("typicality", "occupancy", "response")
"""Scores for which too little is as strange as too much."""


class ScoreError(ValueError):
    """Arrays that scores cannot be made with."""


def names(stages: tuple[str, ...], *, residuals: bool) -> tuple[str, ...]:
    """Return the names of the S scores of a model.

    ====================  ============================================================
    nll_<stage>           -log p of a stage of the model
    typicality            sum of the squared cell latents, too large or too small
    block                 largest χ² of the latents over blocks of cells and layers
    excess                largest sum of the latents over blocks: energy that is added
    cell                  largest squared latent of a cell
    occupancy             number of lit cells, too large or too small
    reconstruction        squared error of the autoencoder
    response              reconstructed over incident energy, too large or too small
    ====================  ============================================================
    """
    head = [f"nll_{stage}" for stage in stages]
    tail = ["reconstruction"] if residuals else []
    return (*head, "typicality", "block", "excess", "cell", "occupancy", *tail, "response")


def blocks(geometry: Geometry) -> NDArray[np.float32]:
    """Return which cells belong to which block, shape (V, b): whole layers first."""
    columns = []
    for index in range(geometry.n_layers):
        columns.append(geometry.layer_of_cell == index)
    for cells, layer in zip(geometry.slices, geometry.layers, strict=True):
        rows, cols = layer.shape
        height, width = min(BLOCK, rows), min(BLOCK, cols)
        for row in range(rows - height + 1):
            for col in range(cols - width + 1):
                grid = np.zeros(layer.shape, np.bool_)
                grid[row : row + height, col : col + width] = True
                column = np.zeros(geometry.n_cells, np.bool_)
                column[cells] = grid.ravel()
                columns.append(column)
    return np.stack(columns, axis=1).astype(np.float32)


@dataclass(frozen=True, eq=False)
class ScoreMap:
    """Turns what a flow says into scores that mean the same at every energy.

    Every raw score is standardised by polynomials in the condition, fitted to the reference.
    """

    names: tuple[str, ...]
    mean: NDArray[np.float32]
    """Coefficients of the mean of each raw score, shape (P, S)."""

    log_scale: NDArray[np.float32]
    """Coefficients of its log deviation, shape (P, S)."""

    def __post_init__(self) -> None:
        shape = (DEGREE + 1, len(self.names))
        for array in (self.mean, self.log_scale):
            if array.shape != shape or not np.all(np.isfinite(array)):
                raise ScoreError(f"coefficients of the scores must be finite, of shape {shape}")

    def __call__(
        self, raw: NDArray[np.float32], context: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the scores, shape (N, S).

        Parameters
        ----------
        context
            Standardised log energy of each shower, shape (N,).
        """
        powers = basis(context)
        scores = (raw - powers @ self.mean) * np.exp(-(powers @ self.log_scale))
        for index in self._two_sided():
            np.abs(scores[:, index], out=scores[:, index])
        return scores

    def _two_sided(self) -> list[int]:
        return [i for i, name in enumerate(self.names) if name in TWO_SIDED]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the numbers by name, for a file; `from_arrays` is the inverse."""
        return {"mean": self.mean, "log_scale": self.log_scale}


def fit(names: tuple[str, ...], raw: NDArray[np.float32], context: NDArray[np.float32]) -> ScoreMap:
    """Return the standardisation that a reference population calls for."""
    mean, log_scale = polynomials(raw, context.astype(np.float64))
    return ScoreMap(names, mean, log_scale)


def from_arrays(names: tuple[str, ...], arrays: Mapping[str, NDArray[Any]]) -> ScoreMap:
    """Return the standardisation of a file's numbers, or raise `ScoreError`."""
    if set(arrays) != {"mean", "log_scale"}:
        raise ScoreError(f"scores have {sorted(arrays)}, not mean and log_scale")
    return ScoreMap(names, arrays["mean"], arrays["log_scale"])


class RawScores:
    """The raw family of N showers, before standardisation."""

    def __init__(self, geometry: Geometry, device: torch.device) -> None:
        self.n_cells = geometry.n_cells
        self.threshold = LIT_SIGMA * max(geometry.noise_mev, geometry.least_count_mev)
        member = blocks(geometry)
        size = member.sum(axis=0)
        # s_G = (sum of z² - |G|) / sqrt(2 |G|), and sum of z / sqrt(|G|).
        self.chi2 = torch.from_numpy(member / np.sqrt(2 * size)).to(device)
        self.chi2_mean = torch.from_numpy(np.sqrt(size / 2)).to(device)
        self.sum = torch.from_numpy(member / np.sqrt(size)).to(device)

    @torch.inference_mode()
    def __call__(
        self, evidence: Evidence, cells: NDArray[np.float32], tie: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Return the raw scores in the order of `names`, shape (N, S).

        Parameters
        ----------
        cells
            Cell energies, MeV, shape (N, V).
        tie
            A number in (0, 1) of each shower, shape (N,): breaks the ties of the occupancy.
        """
        z = evidence.latents[:, : self.n_cells]
        square = z.square()
        lit = (cells > self.threshold).sum(axis=1) + tie
        columns: list[Tensor] = [
            *evidence.nll.unbind(1),
            square.sum(1),
            ((square @ self.chi2) - self.chi2_mean).amax(1),
            (z @ self.sum).amax(1),
            square.amax(1),
            torch.from_numpy(lit.astype(np.float32)).to(z.device),
        ]
        if evidence.residuals is not None:
            columns.append(evidence.residuals.square().mean(1))
        columns.append(evidence.latents[:, self.n_cells])
        raw: NDArray[np.float32] = torch.stack(columns, 1).cpu().numpy()
        return raw
