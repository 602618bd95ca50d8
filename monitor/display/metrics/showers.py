"""Showers by region: counts, histograms and exemplars, as arrays fed once a batch."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client.core import (
    CounterMetricFamily,
    Exemplar,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from models.scoring.scales import LEVELS
from monitor.detector.tree import ELSEWHERE
from monitor.display.metrics.labels import region_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray
    from prometheus_client.core import Metric

    from models.scoring.scored import Scored
    from monitor.detector.tree import Detector

SCORE_EDGES = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0)
"""Edges of the histogram of −log10 p: a unit is a decade, whatever the model."""

EXEMPLAR_ROOM = 128
"""Characters that OpenMetrics allows for the names and values of an exemplar's labels."""

SKIPPED = ("late", "masked", "shed")
"""Why a shower that could be scored was left out on purpose."""


class ShowerCounts:
    """Everything that is counted by region, as arrays; R rows, the last for unknown regions."""

    def __init__(self, row_of: NDArray[np.int64], rows: int) -> None:
        """Begin at zero.

        Parameters
        ----------
        row_of
            Row of each region id that is known.
        rows
            R.
        """
        self._row_of = row_of
        self.scored = np.zeros(rows, np.int64)
        self.unscored = np.zeros(rows, np.int64)
        self.unknown = np.zeros(rows, np.int64)
        self.skipped = np.zeros((rows, len(SKIPPED)), np.int64)
        self.anomalous = np.zeros((rows, len(LEVELS)), np.int64)
        self.expected = np.zeros((rows, len(LEVELS)))
        self.counts = np.zeros((rows, len(SCORE_EDGES) + 1), np.int64)
        self.sums = np.zeros(rows)
        self.bin_exemplars: dict[tuple[int, int], Exemplar] = {}
        self.level_exemplars: dict[tuple[int, int], Exemplar] = {}

    def add(
        self,
        scored: Scored,
        region: NDArray[np.int64],
        expected_rate: NDArray[np.float64],
        where: Callable[[int], Mapping[str, str]],
        at: float,
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        """Count a batch of N scored showers, or some of them.

        Parameters
        ----------
        region
            Region id of each shower, shape (N,).
        expected_rate
            Expected exceedances of a good shower per condition cell and level, shape (K, A).
        where
            Labels of a shower's exemplar (event, record), given its index in the batch.
        at
            Wall clock, s since 1970 UTC.
        rows
            Which of the showers; all if not given.
        """
        rows = np.arange(scored.n) if rows is None else rows
        all_rows = self._rows(region[rows])
        valid, unknown = scored.valid[rows], scored.unknown[rows]
        row, index = all_rows[valid], rows[valid]
        p = scored.p_combined[index]
        n_rows, n_bins = self.counts.shape
        score = -np.log10(p)
        place = row * n_bins + np.searchsorted(SCORE_EDGES, score, side="left")  # le is inclusive
        cell = row * len(expected_rate) + scored.condition_cell[index]
        per_cell = np.bincount(cell, minlength=n_rows * len(expected_rate))
        expected = per_cell.reshape(n_rows, -1) @ expected_rate
        anomalous = [np.bincount(row[p <= alpha], minlength=n_rows) for alpha in LEVELS]
        worst = _worst(place, score, score >= -np.log10(LEVELS[1]))
        self.scored += np.bincount(row, minlength=n_rows)
        self.unscored += np.bincount(all_rows[~valid & ~unknown], minlength=n_rows)
        self.unknown += np.bincount(all_rows[unknown], minlength=n_rows)
        self.anomalous += np.stack(anomalous, axis=1)
        self.expected += expected
        self.counts += np.bincount(place, minlength=n_rows * n_bins).reshape(n_rows, n_bins)
        self.sums += np.bincount(row, weights=score, minlength=n_rows)
        for i in worst:
            exemplar = _exemplar(where(int(index[i])), float(score[i]), at)
            if exemplar is not None:
                self._remember(int(place[i]), float(score[i]), exemplar)

    def _remember(self, place: int, score: float, exemplar: Exemplar) -> None:
        row, bin_ = divmod(place, self.counts.shape[1])
        self.bin_exemplars[row, bin_] = exemplar
        for level, alpha in enumerate(LEVELS):
            if score >= -np.log10(alpha):
                self.level_exemplars[row, level] = exemplar

    def skip(self, region: NDArray[np.int64], reason: str) -> None:
        """Count showers left out for one of `SKIPPED`, by region id of each."""
        counts = np.bincount(self._rows(region), minlength=len(self.scored))
        self.skipped[:, SKIPPED.index(reason)] += counts

    def merge(self, other: ShowerCounts) -> None:
        """Add what another has counted of the same regions, later than this."""
        for name in _TABLES:
            table = getattr(self, name)
            table += getattr(other, name)
        self.bin_exemplars |= other.bin_exemplars
        self.level_exemplars |= other.level_exemplars

    def _rows(self, region: NDArray[np.int64]) -> NDArray[np.int64]:
        other = len(self.scored) - 1
        known = (region >= 0) & (region < len(self._row_of))
        return np.where(known, self._row_of[np.where(known, region, 0)], other)


class Showers(Collector):
    """What was counted by region, as families."""

    def __init__(self, detector: Detector) -> None:
        names, self._row_of = region_rows(detector)
        self._names = [*names, ELSEWHERE]
        by_region = len(names) == len(detector.regions)
        self._sectors = (
            {r.name: r.sector for r in detector.regions}
            if by_region
            else {name: name for name in names}
        )
        self._all = self.blank()
        self._lock = threading.Lock()  # the worker adds, the scrape reads

    def blank(self) -> ShowerCounts:
        """Return counts at zero, to be added later."""
        return ShowerCounts(self._row_of, len(self._names))

    def add(self, counts: ShowerCounts) -> None:
        """Add what was counted."""
        with self._lock:
            self._all.merge(counts)

    def collect(self) -> Iterable[Metric]:
        """Yield the families, as they were at one moment."""
        with self._lock:
            now = self.blank()
            now.merge(self._all)
        tables = [
            (_SCORED, None, now.scored),
            (_UNSCORED, None, now.unscored),
            (_UNKNOWN, None, now.unknown),
            (_SKIPPED, SKIPPED, now.skipped),
            (_EXPECTED, _LEVEL_NAMES, now.expected),
        ]
        for (name, text, label), values, table in tables:
            labels = ["region"] if label is None else ["region", label]
            family = CounterMetricFamily(name, text, labels=labels)
            for row, region in enumerate(self._names):
                for column, value in enumerate(np.atleast_1d(table[row])):
                    extra = [] if values is None else [values[column]]
                    family.add_metric([region, *extra], value.item())
            yield family
        sectors = InfoMetricFamily("calodqm_region", "Where the region lies.", labels=["region"])
        for region, sector in self._sectors.items():
            sectors.add_metric([region], {"sector": sector})
        yield sectors
        yield self._anomalous_family(now.anomalous, now.level_exemplars)
        yield self._score_family(now.counts, now.sums, now.bin_exemplars)

    def _anomalous_family(
        self, table: NDArray[np.int64], exemplars: dict[tuple[int, int], Exemplar]
    ) -> Metric:
        family = CounterMetricFamily(
            "calodqm_anomalous_showers",
            "Showers whose p-value is at most the level.",
            labels=["region", "level"],
        )
        for row, region in enumerate(self._names):
            for column, level in enumerate(_LEVEL_NAMES):
                exemplar = exemplars.get((row, column))
                family.add_metric([region, level], int(table[row, column]), exemplar=exemplar)
        return family

    def _score_family(
        self,
        counts: NDArray[np.int64],
        sums: NDArray[np.float64],
        exemplars: dict[tuple[int, int], Exemplar],
    ) -> Metric:
        family = HistogramMetricFamily(
            "calodqm_anomaly_score",
            "Minus log10 of the p-value against the reference in force.",
            labels=["region"],
        )
        edges = [*map(floatToGoString, SCORE_EDGES), "+Inf"]
        for row, region in enumerate(self._names):
            cumulative = np.cumsum(counts[row])
            buckets = [
                (edge, int(cumulative[i]), exemplars[row, i])
                if (row, i) in exemplars
                else (edge, int(cumulative[i]))
                for i, edge in enumerate(edges)
            ]
            family.add_metric([region], buckets, float(sums[row]))
        return family


_TABLES = (
    "scored", "unscored", "unknown", "skipped", "anomalous", "expected", "counts", "sums",
)  # fmt: skip
_LEVEL_NAMES = tuple(f"{alpha:g}" for alpha in LEVELS)
_SCORED = ("calodqm_showers_scored", "Showers that got a p-value.", None)
_UNSCORED = ("calodqm_showers_unscored", "Showers whose score was not finite.", None)
_UNKNOWN = (
    "calodqm_showers_unknown",
    "Showers outside of the energies and conditions that the model knows: neither good nor strange.",
    None,
)
_SKIPPED = ("calodqm_showers_skipped", "Showers left out on purpose.", "reason")
_EXPECTED = (
    "calodqm_expected_anomalous_showers",
    "Showers that a good detector would have put at or below the level, given their conditions.",
    "level",
)


def _worst(
    place: NDArray[np.int64], score: NDArray[np.float64], strange: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return the indices of the highest score in each place, among the strange."""
    index = np.flatnonzero(strange)
    order = index[np.argsort(score[index], kind="stable")]
    _, last = np.unique(place[order][::-1], return_index=True)
    # Mildest first, so that the worst of a region is what its counters remember.
    return (
        np.sort(order.size - 1 - last) if not order.size else order[np.sort(order.size - 1 - last)]
    )


def _exemplar(labels: Mapping[str, str], value: float, at: float) -> Exemplar | None:
    # prometheus_client raises on a long one only at exposition, where it would cost the scrape.
    if sum(len(name) + len(text) for name, text in labels.items()) > EXEMPLAR_ROOM:
        return None
    return Exemplar(dict(labels), value, at)
