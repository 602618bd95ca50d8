"""Scores: the small family of numbers that a shower gets; larger is stranger, in every one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from models.flows.normal_tails import Sheets, sides
from models.flows.polynomials import DEGREE, basis, polynomials, values
from models.scoring.scales import lit_threshold

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from models.detector.geometry import Geometry
    from models.flows.interface import FlowOutput

BLOCKS = ((1, 5), (5, 1), (3, 3))
"""Rows and columns of the blocks whose latents are summed; each whole layer is one more."""

TAIL_FROM = 6.0
"""Squares of a latent above this count for the tail: about one cell in seventy has one."""

TWO_SIDED = ("typicality", "occupancy", "response")
"""Scores for which too little is as strange as too much."""


HALFWAY = 1.6
"""Of `unlit_square`: to 5 % of the square of the median latent, from a probability of 1/2 down."""

WEIGHTS = {
    "nll_layers": 0.2,
    "nll_code": 0.5,
    "typicality": 0.3,
    "block": 2.0,
    "tail": 2.0,
    "occupancy": 0.2,
    "reconstruction": 0.2,
    "response": 2.0,
}
"""Weights in the combination, 1 for all others. Every score costs the others some power; these
were set on training showers with injected faults: what seldom sees a fault first weighs little."""


class ScoreError(ValueError):
    """Arrays that scores cannot be made with."""


def names(stages: tuple[str, ...], *, residuals: bool, classifier: bool = False) -> tuple[str, ...]:
    """Return the names of the S scores of a model.

    ====================  ============================================================
    nll_<stage>           -log p of a stage of the model
    typicality            sum of the squared cell latents, too large or too small
    block                 largest χ² of the latents over blocks of cells and layers
    tail                  sum of what squared latents have above `TAIL_FROM`: a few strange cells
    cell                  largest squared latent of a cell
    occupancy             number of lit cells, too large or too small
    reconstruction        squared error of the autoencoder
    response              reconstructed over incident energy, too large or too small
    classifier            log odds of the faults that a classifier was trained on
    ====================  ============================================================
    """
    head = [f"nll_{stage}" for stage in stages]
    error = ["reconstruction"] if residuals else []
    known = ["classifier"] if classifier else []
    return (*head, "typicality", "block", "tail", "cell", "occupancy", *error, "response", *known)


def block_sums(grid: Tensor, height: int, width: int, *, closes: bool = False) -> Tensor:
    """Return the sums over all blocks of cells of a layer, shape (rows', columns', N).

    Parameters
    ----------
    grid
        A value of each cell of the layer, shape (rows, columns, N): with the showers last, the
        shifted slices that are added are contiguous, and far cheaper than a matrix product.
    height, width
        Of the blocks, in cells; a layer that is smaller is summed whole.
    closes
        The first row lies beside the last: blocks go on over that seam.
    """
    rows, columns = grid.shape[:2]
    height, width = min(height, rows), min(width, columns)
    if closes and height < rows:
        grid = torch.cat([grid, grid[: height - 1]])
    return _added(_added(grid, height, 0), width, 1)


def _added(grid: Tensor, n: int, dim: int) -> Tensor:
    """Return the sums of every n neighbours along a dimension, one after the other."""
    if n == 1:
        return grid
    left = grid.shape[dim] - n + 1
    first, *others = (grid.narrow(dim, shift, left) for shift in range(n))
    sums = first + others[0]
    for other in others[1:]:
        sums.add_(other)  # new memory for each would cost more than the sum
    return sums


def standard_chi2(chi2: Tensor, n: Tensor | int) -> Tensor:
    """Return a χ² of n cells as a normal deviate, whatever n is, so that blocks compare.

    Wilson and Hilferty, PNAS 17 (1931) 684.
    """
    return ((chi2 / n).pow(1 / 3) - (1 - 2 / (9 * n))) / (2 / (9 * n)) ** 0.5


def unlit_square(latents: Tensor, draws: Tensor) -> Tensor:
    """Return what counts as the squares of the latents of unlit cells, of any shape.

    Their latents are drawn, which sums of very many showers want: they stay normal. Of one shower,
    hundreds of drawn ones would hide a strange one: what counts is how unlikely it was that the cell
    is unlit, as if the middle of all possible draws had been drawn.

    Parameters
    ----------
    latents
        Normal quantiles of draws times the probability to be unlit.
    draws
        In (0, 1), of the same shape.
    """
    log_below = sides(latents.neg(), Sheets(latents)).log_above
    surprise = draws.log().sub_(log_below).clamp_(min=0)
    return surprise.square().mul_(2).div_(surprise.add_(HALFWAY))


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

    weights: NDArray[np.float64]
    """Weight of each score in the combination, > 0, shape (S,)."""

    def __post_init__(self) -> None:
        shape = (DEGREE + 1, len(self.names))
        for array in (self.mean, self.log_scale):
            if array.shape != shape or not np.all(np.isfinite(array)):
                raise ScoreError(f"coefficients of the scores must be finite, of shape {shape}")
        if self.weights.shape != shape[1:] or not np.all(
            (self.weights > 0) & (self.weights < np.inf)
        ):
            raise ScoreError(f"weights must be {shape[1]} finite numbers > 0")

    def __call__(
        self, raw: NDArray[np.float32], energy: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the scores, shape (N, S).

        Parameters
        ----------
        energy
            Standardised log energy of each shower, shape (N,).
        """
        powers = basis(energy)
        scores: NDArray[np.float32] = raw - values(powers, self.mean)
        scores *= np.exp(-values(powers, self.log_scale))
        for index in self._two_sided():
            np.abs(scores[:, index], out=scores[:, index])
        return scores

    @property
    def both_weights(self) -> NDArray[np.float64]:
        """Return the weights where the response is known and where it is not, shape (2, S).

        What is not known has no weight: it is drawn, and a verdict must not hang on dice.
        """
        blind = self.weights.copy()
        if "response" in self.names and len(self.names) > 1:
            blind[self.names.index("response")] = 0.0
        return np.stack([self.weights, blind])

    def _two_sided(self) -> list[int]:
        return [i for i, name in enumerate(self.names) if name in TWO_SIDED]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the numbers by name, for a file; `from_arrays` is the inverse."""
        return {"mean": self.mean, "log_scale": self.log_scale, "weights": self.weights}


def fit(names: tuple[str, ...], raw: NDArray[np.float32], energy: NDArray[np.float32]) -> ScoreMap:
    """Return the standardisation that a reference population calls for."""
    mean, log_scale = polynomials(raw, energy.astype(np.float64))
    weights = np.array([WEIGHTS.get(name, 1.0) for name in names])
    return ScoreMap(names, mean, log_scale, weights)


def from_arrays(names: tuple[str, ...], arrays: Mapping[str, NDArray[Any]]) -> ScoreMap:
    """Return the standardisation of a file's numbers, or raise `ScoreError`."""
    if not {"mean", "log_scale"} <= set(arrays) <= {"mean", "log_scale", "weights"}:
        raise ScoreError(f"scores have {sorted(arrays)}, not mean, log_scale and weights")
    weights = arrays.get("weights", np.ones(len(names)))  # equal, if nothing is said
    return ScoreMap(names, arrays["mean"], arrays["log_scale"], weights)


class RawScores:
    """The raw family of N showers, before standardisation."""

    def __init__(self, geometry: Geometry) -> None:
        self.n_cells = geometry.n_cells
        self.slices = geometry.slices
        self.shapes = tuple(layer.shape for layer in geometry.layers)
        self.closes = tuple(layer.closes for layer in geometry.layers)
        self.threshold = lit_threshold(geometry)
        self.blocks = tuple(
            sorted({(min(h, rows), min(w, columns)) for h, w in BLOCKS})
            for rows, columns in self.shapes
        )
        sizes = [
            n
            for (rows, columns), blocks in zip(self.shapes, self.blocks, strict=True)
            for n in (rows * columns, *(height * width for height, width in blocks))
        ]
        self.sizes = torch.tensor(sizes)[:, None]

    def lit(self, cells: NDArray[np.float32], tie: NDArray[np.float64]) -> Tensor:
        """Return how many cells of each shower are lit, shape (N,), on the CPU.

        Parameters
        ----------
        cells
            Cell energies, MeV, shape (N, V).
        tie
            A number in (0, 1) of each shower, shape (N,): breaks ties.
        """
        lit = np.count_nonzero(cells > self.threshold, axis=1) + tie
        return torch.from_numpy(lit.astype(np.float32))

    @torch.inference_mode()
    def __call__(self, output: FlowOutput, lit: Tensor, draws: Tensor | None = None) -> Tensor:
        """Return what `of` returns."""
        return self.of(output, lit, draws)

    def of(self, output: FlowOutput, lit: Tensor, draws: Tensor | None = None) -> Tensor:
        """Return the raw scores of the flow in the order of `names`, shape (N, S), where it is.

        Parameters
        ----------
        lit
            Of `lit`, shape (N,), on any device.
        draws
            As of `models.flows.interface.Sparse` (N, H); None where cells are never unlit.
        """
        # Showers last: what is summed over cells is a plain sweep of memory.
        latents = output.latents.t()
        square = latents[: self.n_cells].square().contiguous()
        if draws is not None:
            own = draws.t()[-self.n_cells :]
            square = torch.where(own < 1, unlit_square(latents[: self.n_cells], own), square)
        rows: list[Tensor] = [
            *output.nll.t(),
            square.sum(0),
            self._block(square),
            (square - TAIL_FROM).clamp_(min=0).sum(0),
            square.amax(0),
            lit.to(square.device),
        ]
        if output.residuals is not None:
            rows.append(output.residuals.t().square().mean(0))
        rows.append(latents[self.n_cells])
        return torch.stack(rows).t().contiguous()

    def _block(self, square: Tensor) -> Tensor:
        """Return the largest standardised χ² over blocks and layers, shape (N,).

        Parameters
        ----------
        square
            Squared latents of the cells, shape (V, N).
        """
        largest = []
        for layer, shape, closes, blocks in zip(
            self.slices, self.shapes, self.closes, self.blocks, strict=True
        ):
            grid = square[layer].reshape(*shape, -1)
            largest.append(square[layer].sum(0))
            for height, width in blocks:
                sums = block_sums(grid, height, width, closes=closes)
                largest.append(sums.flatten(0, 1).amax(0))
        return standard_chi2(torch.stack(largest), self.sizes.to(square.device)).amax(0)
