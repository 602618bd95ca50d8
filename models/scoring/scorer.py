"""Scorer: showers in, scores and p-values out; deterministic, whatever the batch and the worker."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import torch

from models.scoring.absent import Absent, learn
from models.scoring.p_values import BINS, bins
from models.scoring.scored import Scored

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from numpy.typing import NDArray

    from models.detector.geometry import Geometry
    from models.scoring.absent import Cells, Without
    from models.scoring.examiner import Examiner, Seen
    from models.scoring.reference import ReferenceTable
    from models.scoring.scores import ScoreMap
    from models.showers.batch import Showers


MOST_KEPT = 160
"""Sets of cells of which what to expect is kept."""

LEAST_MET = 100
"""Showers that lacked a set of cells before it is worth the second that learning takes."""

MOST_MET = 4096
"""Sets that are counted."""


class Scorer:
    """Scores batches of showers with one artefact."""

    def __init__(
        self,
        examiner: Examiner,
        score_map: ScoreMap,
        reference: ReferenceTable,
        geometry: Geometry,
        *,
        family: str = "",
        hash: str = "",  # noqa: A002  the artefact's own word
    ) -> None:
        self.examine = examiner
        self._score_map = score_map
        self._weights = score_map.both_weights
        self._without: dict[Cells, Without] = {}
        self._kept: frozenset[Cells] = frozenset()
        self._met: dict[Cells, int] = {}
        """Showers that lacked cells of which nothing was learnt, by what they lacked."""

        self.reference = reference
        self.geometry = geometry
        self.family = family
        self.hash = hash
        self.score_names = score_map.names

    def e_rec(self, showers: Showers) -> NDArray[np.float64]:
        """Return the reconstructed energy of each shower, MeV, shape (N,)."""
        return self.examine.feature_map.e_rec(showers.cells)

    @property
    def compiled(self) -> bool:
        """Return whether a compiled program evaluates whole showers."""
        return self.examine.compiled is not None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return K condition cells, S scores, H bins: the shape of a window's score histogram."""
        return self.reference.n_cells, len(self.score_names), BINS

    def learn(self, cells: Cells, good: Showers) -> None:
        """Learn what to expect of showers without some cells; see `models.scoring.absent.learn`."""
        self._learn(cells, good, self.examine(good))
        if self._met.pop(cells, 0):
            self._kept = self._kept | {cells}

    def learn_all(self, sets: Collection[Cells], good: Showers) -> list[str]:
        """Learn what to expect of showers without any of some sets of cells, and never forget it.

        Returns why it cannot be learnt, for each set of which it cannot.

        Parameters
        ----------
        sets
            As of `models.detector.channels.Channels.lacking`.
        """
        whole, failed = self.examine(good), []
        for cells in sets:
            try:
                self._learn(cells, good, whole)
            except ValueError as error:
                failed.append(str(error))
        self._kept = self._kept.union(sets)
        return failed

    def _learn(self, cells: Cells, good: Showers, whole: Seen) -> None:
        of = (self._score_map, self.reference, self.geometry)
        learnt = learn(self.examine, *of, good, whole, cells)
        self._without = {**self._without, cells: learnt}

    def met(self) -> list[Cells]:
        """Return sets of cells that showers lacked and that it is worth to learn of, most first.

        There may be very many: no more are told than can be kept.
        """
        free = MOST_KEPT - len(self._kept)
        often = [cells for cells, n in list(self._met.items()) if n >= LEAST_MET]
        return sorted(often, key=lambda cells: -self._met.get(cells, 0))[: max(free, 0)]

    def _meet(self, cells: Cells, n: int) -> None:
        self._met[cells] = self._met.get(cells, 0) + n
        if len(self._met) > MOST_MET:  # the rare ones are as if they had not been met
            often = sorted(self._met, key=lambda one: -self._met[one])[: MOST_MET // 2]
            self._met = {one: self._met[one] for one in often}

    def knows(self, cells: Cells) -> bool:
        """Return whether it has learnt what to expect without some cells."""
        return cells in self._without

    def keep(self, sets: Collection[Cells]) -> None:
        """Forget what was learnt of other sets of cells, borders left aside."""
        kept = self._kept.union(sets)
        self._without = {c: learnt for c, learnt in self._without.items() if c in kept}

    def score(
        self,
        showers: Showers,
        absent: Absent | None = None,
        hidden: NDArray[np.bool_] | None = None,
    ) -> Scored:
        """Return scores, p-values and latents of a batch of N >= 0 showers.

        Showers get the same scores to the bit, whatever is beside them.

        Parameters
        ----------
        absent
            Cells that showers lack, whatever they hold: their latents are 0. Showers without cells
            that nothing was learnt of are unknown.
        hidden
            True for further cells that must not count, shape (N, V). What is expected of the others
            stays what it is where nothing was learnt of the set: there may be very many. Those that are
            met often are told by `met`.
        """
        if showers.cells.shape[1] != self.geometry.n_cells:
            raise ValueError(
                f"{showers.cells.shape[1]} cells a shower; the model has {self.geometry.n_cells}"
            )
        if showers.n == 0 or (absent is None and hidden is None):
            return self._score(showers, (), None)
        parts = [
            part
            for cells, every in (absent or Absent.none(showers.n)).parts()
            for part in self._parts(cells, every, hidden)
        ]
        scored = [self._score(showers[rows], cells, mask) for cells, rows, mask in parts]
        order = np.argsort(np.concatenate([rows for _, rows, _ in parts]))
        columns = (f.name for f in fields(Scored))
        return Scored(*(np.concatenate([getattr(s, c) for s in scored])[order] for c in columns))

    def _parts(
        self, cells: Cells, rows: NDArray[np.int64], hidden: NDArray[np.bool_] | None
    ) -> Iterator[tuple[Cells, NDArray[np.int64], NDArray[np.bool_] | None]]:
        """Yield rows with what they lack: a set of which something was learnt, or hidden cells."""
        touched = np.zeros(len(rows), np.bool_) if hidden is None else hidden[rows].any(axis=1)
        if hidden is None or not touched.any():
            yield cells, rows, None
            return
        if not touched.all():  # whole showers take the fast path
            yield cells, rows[~touched], None
        rows = rows[touched]
        packed = np.packbits(hidden[rows], axis=1)
        _, first, which, count = np.unique(
            packed, axis=0, return_index=True, return_inverse=True, return_counts=True
        )
        which = which.ravel()  # NumPy 2.0 gives a column, what is before and after it a row
        learnt = np.zeros(len(first), np.bool_)
        for i, row in enumerate(rows[first].tolist()):
            lacks = tuple(sorted({*cells, *np.flatnonzero(hidden[row]).tolist()}))
            if lacks in self._without:
                learnt[i] = True
                yield lacks, rows[which == i], None
            else:
                self._meet(lacks, int(count[i]))
        rest = rows[~learnt[which]]
        if len(rest):
            yield cells, rest, hidden[rest]

    def _score(self, showers: Showers, cells: Cells, hidden: NDArray[np.bool_] | None) -> Scored:
        """Return the scores of showers that lack the same cells."""
        without = self._without.get(cells)
        if showers.n == 0 or (cells and without is None):
            return self._nothing(showers.n)
        if without is None:
            seen = self.examine(showers, hidden)
        else:
            seen = without.seen(self.examine, showers, hidden)
        table = self.reference if without is None else without.table
        cell = table.condition_cell(seen.e_rec)
        scores = self._score_map(seen.raw, seen.energy)
        latents = seen.latents if without is None else without.restored(seen.latents, cell)
        # Every latent is in some score. NaN is not below infinity.
        valid: NDArray[np.bool_] = (np.abs(scores.sum(axis=1)) < np.inf) & ~seen.outside
        position = table.position(np.where(valid[:, None], scores, 0.0), cell)
        where = bins(position)
        p = table.p_values(position, cell, seen.conditions)
        whole = table.combined(p, cell, self._weights, seen.response, seen.conditions)
        if not valid.all():
            where[~valid] = 0
            for array in (scores, latents, p):
                array[~valid] = np.nan
            whole[~valid] = np.nan
        return Scored(scores, p, whole, latents, cell, valid, seen.outside, where)

    def _nothing(self, n: int) -> Scored:
        """Return what is said of showers of which nothing is known."""
        s, d = len(self.score_names), self.examine.n_latents
        return Scored(
            np.full((n, s), np.nan, np.float32),
            np.full((n, s), np.nan),
            np.full(n, np.nan),
            np.full((n, d), np.nan, np.float32),
            np.zeros(n, np.int64),
            np.zeros(n, np.bool_),
            np.ones(n, np.bool_),
            np.zeros((n, s), np.int64),
        )


def pick_device(name: str) -> torch.device:
    """Return the device of "auto", "cpu" or "cuda"; auto takes a GPU if there is one.

    Raises
    ------
    ValueError
        If the name is unknown, or a GPU is asked for where there is none.
    """
    if name not in {"auto", "cpu", "cuda"}:
        raise ValueError(f"unknown device {name!r}: auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("no CUDA device here: use --device auto or cpu")
    use_gpu = name == "cuda" or (name == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if use_gpu else "cpu")
