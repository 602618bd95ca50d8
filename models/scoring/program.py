"""Program: what a model makes of whole showers, as one piece that a compiler turns into machine code.

Compiled ahead of time for the processor at hand, by torch's own compiler, and kept in a file: whoever
scores loads it, without a compiler of its own.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch._inductor import aoti_compile_and_package, aoti_load_package

from models.flows import compression, flux_ends, flux_evaluation, masked_products
from models.flows.compression import compress
from models.flows.flux_evaluation import FluxEvaluation
from models.flows.interface import Features
from models.flows.polynomials import DEGREE
from models.scoring import scores
from models.scoring.artefact import Artefact
from models.scoring.examiner import ROWS
from models.scoring.examiner import SCORED_AT_ONCE as AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.flows.glance import Glance
    from models.scoring.examiner import Evaluated, Examiner

DEVICE = "cpu"

_DIGEST = 32
"""Bytes at the head of a file: SHA-256 of what comes after them."""

_TRACED = (sys.modules[__name__], compression, flux_ends, flux_evaluation, masked_products, scores)
"""Modules whose code is in a compiled program: where they change, it is made anew."""

TRACED_WITH = 512
"""Showers that it is traced with: it takes any whole multiple of `ROWS`."""


class Program(nn.Module):
    """Features of cells, flow and raw scores of whole showers.

    Raises
    ------
    ValueError
        If the model is none that there is such a program of: of cells that may be unlit, of another
        family, with a classifier, on a card.
    """

    def __init__(self, examiner: Examiner) -> None:
        super().__init__()
        of, evaluation = examiner.feature_map, examiner.evaluate
        if not isinstance(evaluation, FluxEvaluation) or examiner.classifier is not None:
            raise ValueError("no program of such a model")
        if examiner.device.type != DEVICE:
            raise ValueError("programs are of processors")
        self._flow, self._raw_scores = evaluation, examiner.raw_scores
        self._unit = float(of.unit_mev[0])
        self._cell_mean = torch.from_numpy(of.cell_mean).t().contiguous()
        self._cell_log_scale = torch.from_numpy(of.cell_log_scale).t().contiguous()

    def forward(
        self, cells: Tensor, layers: Tensor, conditions: Tensor, tie: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return raw scores (N, S) and latents (N, D) of whole showers.

        Parameters
        ----------
        cells
            Energies, MeV, shape (N, V).
        layers, conditions
            As of `models.flows.glance.Glance`, shapes (N, L) and (N, C).
        tie
            As of `models.scoring.scores.RawScores.lit`, shape (N,).
        """
        lit = (cells > self._raw_scores.threshold).sum(1).float() + tie
        c = conditions[:, 0]
        powers = torch.stack([c**power for power in range(DEGREE + 1)])
        mean, log_scale = self._cell_mean @ powers, self._cell_log_scale @ powers
        standard = (compress(cells.t() * (1 / self._unit)) - mean) * torch.exp(-log_scale)
        output = self._flow.apart(Features(standard.t(), layers, conditions))
        return self._raw_scores.of(output, lit), output.latents.contiguous()


def file_name(model: str) -> str:
    """Return what the compiled program of a model is called: it runs on processors of one kind alone.

    Parameters
    ----------
    model
        Hash of its artefact.
    """
    try:
        about = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        about = []
    abilities = next((line for line in about if line.startswith(("flags", "Features"))), None)
    source = [Path(module.__file__ or "").read_bytes() for module in _TRACED]
    made_for = repr(
        (torch.__version__, platform.machine(), abilities or platform.node(), source, ROWS, AT_ONCE)
    )
    return f"{model[:16]}-{hashlib.sha256(made_for.encode()).hexdigest()[:16]}.pt2"


class DamagedError(RuntimeError):
    """A file whose bytes are not those that were written."""


def write(examiner: Examiner, path: Path) -> None:
    """Compile the program of an examiner for this processor, and write it to a file.

    Raises
    ------
    ValueError
        If there is no such program of the model.
    RuntimeError
        If there is no compiler.
    """
    program, of = Program(examiner), examiner.feature_map
    widths = of.n_cells, of.n_layers, of.n_context
    given = (*(torch.zeros(TRACED_WITH, width) for width in widths), torch.zeros(TRACED_WITH))
    n = ROWS[DEVICE] * torch.export.Dim("n", min=1, max=AT_ONCE[DEVICE] // ROWS[DEVICE])
    with torch.no_grad():
        traced = torch.export.export(program, given, dynamic_shapes=({0: n},) * len(given))
    with TemporaryDirectory(dir=path.parent) as folder:
        made, partial = (Path(folder) / name for name in ("made.pt2", "partial"))
        aoti_compile_and_package(traced, package_path=str(made))
        content = made.read_bytes()
        with partial.open("wb") as file:
            file.write(hashlib.sha256(content).digest() + content)
            file.flush()
            os.fsync(file.fileno())
        load(partial)  # a process that this ends does nothing else
        partial.replace(path)


def load(path: Path) -> Evaluated:
    """Return what evaluates by the program of a file.

    Raises
    ------
    DamagedError
        If its bytes are not those that were written.
    OSError, RuntimeError
        If it cannot be read, or not be run.
    """
    content = path.read_bytes()
    digest, content = content[:_DIGEST], content[_DIGEST:]
    if hashlib.sha256(content).digest() != digest:
        raise DamagedError(f"{path} is damaged")
    with NamedTemporaryFile(suffix=".pt2") as file:
        file.write(content)
        file.flush()
        program = aoti_load_package(file.name)

    def evaluated(
        cells: NDArray[np.float32],
        glance: Glance,
        _: NDArray[np.uint64],
        tie: NDArray[np.float64],
    ) -> tuple[Tensor, Tensor]:
        given = cells, glance.layers, glance.conditions, tie.astype(np.float32)
        raw, latents = program(*(torch.from_numpy(np.ascontiguousarray(part)) for part in given))
        return raw, latents

    return evaluated


def main(words: Sequence[str]) -> None:
    """Write the program of the artefact in a folder to a file, unless somebody else just did."""
    import fcntl  # noqa: PLC0415  not everywhere, and who only loads needs none

    folder, path = map(Path, words)
    os.nice(19)
    torch.set_num_threads(1)  # else it is a program of several threads
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            write(Artefact.load(folder).scorer(DEVICE).examine, path)


if __name__ == "__main__":
    main(sys.argv[1:])
