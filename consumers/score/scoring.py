"""Scoring: what the models in force make of a batch of showers, as windows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from consumers.score.hidden import hidden_cells
from consumers.wire.window_form import WindowForm
from models.scoring.absent import Absent
from models.scoring.scales import lit_threshold
from monitor.quality.acknowledgements import NOTHING_MASKED, Masked
from monitor.windows.channel_sums import NO_CHANNELS, tally_channels
from monitor.windows.tally import tally
from monitor.windows.window import WindowKey

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from numpy.typing import NDArray

    from consumers.wire.block import Block
    from models.detector.channels import Channels
    from models.detector.geometry import Geometry
    from models.scoring.scored import Scored
    from models.showers.batch import Showers
    from monitor.detector.tree import Detector
    from monitor.windows.channel_sums import ChannelSums, Standard
    from monitor.windows.window import Window


class Scores(Protocol):
    """What the worker needs of a scorer; see `models.scoring.scorer.Scorer`."""

    geometry: Geometry
    score_names: tuple[str, ...]
    hash: str

    @property
    def compiled(self) -> bool:
        """Return whether a compiled program scores whole showers."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return K, S, H."""

    def score(
        self,
        showers: Showers,
        absent: Absent | None = None,
        hidden: NDArray[np.bool_] | None = None,
    ) -> Scored:
        """Return scores and p-values; `absent` and `hidden` say which cells showers lack."""

    def knows(self, cells: tuple[int, ...]) -> bool:
        """Return whether it knows what to expect without some cells."""

    def learn(self, cells: tuple[int, ...], good: Showers) -> None:
        """Learn what to expect without some cells from good showers."""

    def met(self) -> list[tuple[int, ...]]:
        """Return sets of cells that many showers lacked and of which nothing is known."""

    def keep(self, sets: Collection[tuple[int, ...]]) -> None:
        """Forget what was learnt of other sets of cells."""


@dataclass(frozen=True, eq=False)
class ScoringModel:
    """What scores: a scorer, the conditions that it needs, and what it expects."""

    scorer: Scores
    conditions: tuple[str, ...]
    expected_rate: NDArray[np.float64]
    """Exceedances of a good shower per condition cell and level, shape (K, A)."""

    family: str = ""
    version: str = ""
    """What people call it."""

    card: Mapping[str, Any] | None = None
    lit_rate: NDArray[np.float64] | None = None
    """Share of good showers in which a cell is lit, by condition cell, shape (K, V)."""
    standard: Standard | None = None
    """By which latents are standardised in sums by channel; None: there are none."""
    good: Callable[[], Showers] | None = None
    """Returns good showers, some thousands, to learn from what to expect without some of their cells."""

    @property
    def hash(self) -> str:
        """Return the content hash of the artefact."""
        return self.scorer.hash

    def facts(self) -> tuple[str, str, str, Mapping[str, Any] | None]:
        """Return what people are told of it: family, hash, version and card."""
        return self.family, self.hash, self.version, self.card

    @cached_property
    def form(self) -> WindowForm:
        """Return the shapes of its windows."""
        geometry = self.scorer.geometry
        return WindowForm(self.scorer.shape, geometry.n_cells, geometry.n_layers)

    def learn(self, cells: tuple[int, ...]) -> None:
        """Learn what to expect without some cells; raise ValueError if there is nothing to learn from."""
        if self.good is None:
            raise ValueError("there are no certified showers (CALODQM_CERTIFIED)")
        self.scorer.learn(cells, self.good())

    def score(
        self,
        showers: Showers,
        absent: Absent | None = None,
        hidden: NDArray[np.bool_] | None = None,
    ) -> Scored:
        """Return scores and p-values of N showers; see `models.scoring.scorer.Scorer.score`."""
        return self.scorer.score(showers, absent, hidden)

    def stood_in(
        self, showers: Showers, scored: Scored, hidden: NDArray[np.bool_] | None
    ) -> tuple[Showers, Scored]:
        """Return what is tallied: draws of good showers in the hidden cells, shape (N, V)."""
        if hidden is None:
            return showers, scored
        threshold = lit_threshold(self.scorer.geometry)
        rate = np.zeros((1, 1)) if self.lit_rate is None else self.lit_rate
        from models.scoring.stand_in import stood_in  # noqa: PLC0415  torch takes seconds

        return stood_in(showers, scored, hidden, rate, threshold)

    def lacks(self, showers: Showers) -> str:
        """Return a condition that it needs and showers do not have; empty if there is none."""
        absent = [name for name in self.conditions if name not in showers.conditions]
        return absent[0] if absent else ""

    def needed(self, showers: Showers) -> Showers:
        """Return showers with no further conditions than those that the model looks at."""
        return showers.only(self.conditions)

    def channel_sums(
        self,
        showers: Showers,
        scored: Scored,
        rows: NDArray[np.int64],
        channels: Channels | None,
    ) -> ChannelSums:
        """Return the sums by channel of some rows of showers; none in a test beam."""
        if channels is None or showers.seeds is None or self.standard is None:
            return NO_CHANNELS
        ok = rows[scored.valid[rows]]
        return tally_channels(
            showers.seeds[ok],
            showers.cells[ok],
            scored.rows(ok),
            channels,
            geometry=self.scorer.geometry,
            standard=self.standard,
        )

    def tally(
        self, batch: Batch, showers: Showers, scored: Scored, channels: Channels | None = None
    ) -> list[tuple[int, Window]]:
        """Return the windows of a scored batch, each with its partition.

        Parameters
        ----------
        channels
            Of the detector; None where it has none, or nobody asks.
        """
        found = []
        for key, partition, rows in batch.groups:
            window = tally(
                key,
                showers,
                scored,
                batch.columns["region"],
                geometry=self.scorer.geometry,
                shape=self.scorer.shape,
                rows=rows,
            )
            by_channel = self.channel_sums(showers, scored, rows, channels)
            found.append((partition, replace(window, channels=by_channel)))
        return found


@dataclass(frozen=True)
class ModelsInForce:
    """The models that score: the one that is judged by, and the one in its shadow."""

    primary: ScoringModel
    shadow: ScoringModel | None = None
    masked: Masked = NOTHING_MASKED
    """What is known to be bad: its cells do not count in scores."""

    def absent(self, region: NDArray[np.int64]) -> Absent | None:
        """Return which cells showers in these regions lack; None if all are whole."""
        return Absent.of_groups(region, dict(self.masked.cells)) if self.masked.cells else None

    def unlearnt(self) -> list[tuple[ScoringModel, tuple[int, ...]]]:
        """Return the sets of cells that a model does not know what to expect without.

        Those that are masked, whose regions are unknown meanwhile, and then those that showers lack
        at borders, beside channels that are masked or known to be bad.
        """
        masked = [(m, c) for m in self._models for c in self._sets if not m.scorer.knows(c)]
        return masked + [(m, c) for m in self._models for c in m.scorer.met()]

    def forget(self) -> None:
        """Forget what was learnt of cells that are masked no longer."""
        for model in self._models:
            model.scorer.keep(self._sets)

    @property
    def _models(self) -> list[ScoringModel]:
        return [model for model in (self.primary, self.shadow) if model is not None]

    @property
    def _sets(self) -> list[tuple[int, ...]]:
        return sorted({cells for _, cells in self.masked.cells})

    def masked_channels(
        self, showers: Showers, channels: Channels | None
    ) -> NDArray[np.bool_] | None:
        """Return the cells of showers that are masked channels, (N, V); None if there are none."""
        if channels is None or showers.seeds is None or not self.masked.channels:
            return None
        bad = np.array(self.masked.channels)
        touched = np.isin(channels.patches(showers.seeds), bad[bad < len(channels)])
        return touched if touched.any() else None


@dataclass(slots=True)
class Part:
    """A block to be scored, and where it came from."""

    partition: int
    offset: int
    block: Block


@dataclass(frozen=True)
class Batch:
    """Blocks to be scored together: coordinates of their showers, and the rows of each window."""

    parts: list[Part]
    columns: dict[str, NDArray[np.int64]]
    groups: list[tuple[WindowKey, int, NDArray[np.int64]]]
    """Key, partition and rows of each window."""

    @classmethod
    def of(cls, parts: list[Part]) -> Batch:
        """Return the batch of some blocks."""
        columns = _join(parts)
        return cls(parts, columns, _groups(columns))


def windows_of(block: Block, model: ScoringModel, detector: Detector | None = None) -> list[Window]:
    """Return the windows of one block, with the cells hidden that a worker hides."""
    showers = model.needed(block.showers)
    hidden = None if detector is None else hidden_cells(showers, block.time_ns, detector)
    scored = model.score(showers, None, hidden)
    batch = Batch.of([Part(0, 0, block)])
    tallied = model.stood_in(showers, scored, hidden)
    channels = None if detector is None else detector.channels
    return [window for _, window in model.tally(batch, *tallied, channels)]


def _join(parts: list[Part]) -> dict[str, NDArray[np.int64]]:
    sizes = [part.block.showers.n for part in parts]
    joined = {
        name: np.concatenate([getattr(part.block, name) for part in parts])
        for name in ("event_id", "time_ns", "run", "lumisection", "region")
    }
    joined["partition"] = np.repeat([part.partition for part in parts], sizes)
    joined["offset"] = np.repeat([part.offset for part in parts], sizes)
    joined["row"] = np.concatenate([np.arange(n, dtype=np.int64) for n in sizes])
    return joined


def _groups(
    joined: Mapping[str, NDArray[np.int64]],
) -> list[tuple[WindowKey, int, NDArray[np.int64]]]:
    """Return the rows of each window key of each partition."""
    columns = (
        joined["time_ns"] // 10**9,
        joined["lumisection"],
        joined["run"],
        joined["partition"],
    )
    order = np.lexsort(columns)
    ordered = np.stack([column[order] for column in columns], axis=1)
    edges = np.flatnonzero(np.any(np.diff(ordered, axis=0), axis=1)) + 1
    found = []
    for rows in np.split(order, edges):
        second, lumisection, run, partition = (int(column[rows[0]]) for column in columns)
        found.append((WindowKey(run, lumisection, second), partition, rows))
    return found
