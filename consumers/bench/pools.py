"""Pools of scored showers that the benchmark of the alarms draws its streams from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from consumers.bench.plan import DATA
from consumers.bench.resampling import Pool, chosen, joined, pool
from consumers.cli.reading import Files
from consumers.wire.user_error import UserError
from models.scoring.scales import LEVELS, P_EDGES
from models.showers.symmetries import Symmetry
from models.simulation.faults import Fault, FaultKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from models.scoring.artefact import Artefact
    from models.scoring.scorer import Scorer
    from models.showers.batch import Showers
    from models.showers.pool import Pool as ShowerPool

N_GOOD, N_FAULTY = 16_000, 4000
N_STRANGE = 160_000
"""Good showers that are looked through for strange ones: one in a thousand is."""

DRAWN_AT_ONCE = 16_000
EDGE = 5
"""A cell at the edge, where a shower leaves nothing."""

FAULTS = {
    "dead": Fault(FaultKind.DEAD),
    "dead edge": Fault(FaultKind.DEAD, cells=(EDGE,)),
    "hot": Fault(FaultKind.HOT),
    "hot edge": Fault(FaultKind.HOT, cells=(EDGE,)),
    "gain 1": Fault(FaultKind.GAIN, magnitudes={"x": 0.01}),
    "gain 2": Fault(FaultKind.GAIN, magnitudes={"x": 0.02}),
    "gain 5": Fault(FaultKind.GAIN, magnitudes={"x": 0.05}),
    "noise": Fault(FaultKind.NOISE),
    "pedestal": Fault(FaultKind.PEDESTAL),
    "second": Fault(FaultKind.SECOND),
    "swap": Fault(FaultKind.SWAP, region=(0, 1)),
}
"""Faults by the name of their pool."""

FILES = ("eplus", "lead3")
"""Showers that ship as they are, digitised."""


def load(path: Path) -> Artefact:
    """Return an artefact; one line if it is none."""
    import torch  # noqa: PLC0415 - takes seconds, and not every part needs it

    from models.scoring.artefact import Artefact  # noqa: PLC0415
    from models.scoring.description import ArtefactError  # noqa: PLC0415

    torch.set_num_threads(1)
    try:
        return Artefact.load(path)
    except ArtefactError as error:
        raise UserError(str(error)) from None


def struck(artefact: Artefact) -> int:
    """Return the core cell that faults strike unless they name another."""
    from models.simulation.injection import struck as cells  # noqa: PLC0415

    return int(cells(FAULTS["hot"], artefact.geometry)[0])


@dataclass(frozen=True)
class ScoredPool:
    """Good showers, and the model that scores what is drawn from them."""

    artefact: Artefact
    showers: ShowerPool
    scorer: Scorer

    def drawn(self, n: int, rng: np.random.Generator) -> Showers:
        """Return n showers, drawn with replacement, each mirrored at random.

        Those that hold no noise get fresh noise at every draw; the mirrors are the model's.
        """
        geometry = self.artefact.geometry
        rows = rng.integers(0, self.showers.n, n)
        mirrors = Symmetry.of_card(self.artefact.card).images(geometry)
        return self.showers.draw(rows, geometry, rng, mirrors)

    def scored(self, showers: Showers) -> Pool:
        """Return the pool of showers as they are."""
        said = self.scorer.score(showers)
        return pool(showers, said, self.artefact.geometry, self.artefact.reference.n_cells)

    def good(self, n: int, rng: np.random.Generator) -> Pool:
        """Return a pool of n good showers, as the model sees them."""
        return joined([self.scored(self.drawn(size, rng)) for size in _sizes(n)])

    def faulty(self, name: str, rng: np.random.Generator) -> Pool:
        """Return the pool of a fault, or of a file."""
        from models.showers.readers import read  # noqa: PLC0415
        from models.simulation.injection import apply  # noqa: PLC0415

        geometry = self.artefact.geometry
        if name in FILES:
            return self.scored(read(DATA / f"{name}.h5", geometry))
        # Two regions for a swap of two: each shower's cells are another shower's.
        region = np.arange(N_FAULTY) % 2 if name == "swap" else np.zeros(N_FAULTY, np.int64)
        return self.scored(apply(FAULTS[name], self.drawn(N_FAULTY, rng), region, geometry, rng))

    def strange(self, rng: np.random.Generator) -> Pool:
        """Return the strangest one in a thousand of many good showers, with p at most 1e-3."""
        level = LEVELS[-1]
        kept: list[Pool] = []
        cells: list[NDArray[np.int64]] = []
        for size in _sizes(N_STRANGE):
            part = self.scored(self.drawn(size, rng))
            cells.append(part.cell)
            kept.append(chosen(part, np.flatnonzero(part.p <= 10 * level)))
        tail, total = joined(kept), np.bincount(np.concatenate(cells))
        p = _ranks(tail, rng) / total[tail.cell]
        return chosen(with_p(tail, p), np.flatnonzero(p <= level))


def source_of(artefact: Artefact, paths: tuple[Path, ...]) -> ScoredPool:
    """Return the showers of some files, and the model that scores them."""
    return ScoredPool(
        artefact, Files.open(paths, artefact.geometry).pool(paths), artefact.scorer("cpu")
    )


def pools_of(
    source: ScoredPool, names: tuple[str, ...], rng: np.random.Generator
) -> dict[str, Pool]:
    """Return pools by name: good and strange showers, those of each fault, and unscored ones."""
    out = {"good": uniform(source, rng), "strange": source.strange(rng)}
    out["nan"] = replace(out["good"], p=np.full(out["good"].n, np.nan))
    return out | {name: source.faulty(name, rng) for name in names}


def uniform(source: ScoredPool, rng: np.random.Generator) -> Pool:
    """Return a pool of good showers whose p are exactly uniform.

    A pool of so many has a tail of its own, and "twice the rate at 1e-3" has to mean that.
    """
    good = source.good(N_GOOD, rng)
    size = np.bincount(good.cell, minlength=good.n_conditions)
    return with_p(good, _ranks(good, rng) / size[good.cell])


def with_p(source: Pool, p: NDArray[np.float64]) -> Pool:
    """Return a pool with other combined p."""
    p_bin, known = source.p_bin.copy(), ~np.isnan(p)
    p_bin[known, -1] = np.clip(np.searchsorted(P_EDGES, p[known], side="left") - 1, 0, None)
    return replace(source, p=p, p_bin=p_bin)


def _ranks(source: Pool, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the rank of each p in its condition cell, from 0, plus a draw from (0, 1)."""
    rank = np.full(source.n, np.nan)
    for cell in range(source.n_conditions):
        rows = np.flatnonzero((source.cell == cell) & ~np.isnan(source.p))
        order = np.argsort(np.argsort(source.p[rows], kind="stable"), kind="stable")
        rank[rows] = order + rng.uniform(0, 1, len(rows))
    return rank


def _sizes(n: int) -> Iterator[int]:
    for start in range(0, n, DRAWN_AT_ONCE):
        yield min(DRAWN_AT_ONCE, n - start)
