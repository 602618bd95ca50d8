"""Series of a judge's newest standing: verdicts, alarms, budget, reference, self-tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    StateSetMetricFamily,
)
from prometheus_client.registry import Collector

from monitor.detector.tree import Level
from monitor.display.metrics.channels import channel_series
from monitor.display.metrics.labels import MAX_REGION_LABELS, region_labels
from monitor.display.metrics.spectra import cell_series, latent_series, p_series
from monitor.display.metrics.stream import stream_series
from monitor.display.standing import RANK
from monitor.quality.alarms import Severity
from monitor.quality.quality import Quality
from monitor.quality.run_acts import RunNow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.core import Metric

    from monitor.detector.tree import Detector
    from monitor.display.standing import RegionNow, Standing
    from monitor.quality.alarms import Alarm

WHILE_OPEN = frozenset({Level.GROUP, Level.CHANNEL})
"""Levels whose places have series while an alarm of theirs is open, and no longer."""


class StandingSeries(Collector):
    """The newest `Standing` as families; it is replaced whole, so reading needs no lock.

    There are none while it is somebody else's to tell: a judge that has lost its office must not
    go on ringing with what it knew last.
    """

    def __init__(self, detector: Detector) -> None:
        self.now: Standing | None = None
        self._detector = detector
        ids = [region.id for region in detector.regions]
        self._labels = dict(zip(ids, region_labels(detector), strict=True))
        few = len(detector.regions) <= MAX_REGION_LABELS
        labels = set(self._labels.values())
        shown = {name for name in detector.sectors if few or name in labels}
        self._around = {sector: detector.path(sector)[:-1] for sector in sorted(shown)}
        self._places = {
            (Level.DETECTOR, detector.name),
            *((Level.SECTOR, sector) for sector in shown),
        }
        if few:
            self._places |= {(Level.REGION, region.name) for region in detector.regions}

    def collect(self) -> Iterable[Metric]:
        """Yield the families."""
        now = self.now
        if now is None:
            return
        yield from self._alarms(now)
        yield from _regions(now, self._labels)
        yield _run(now)
        yield _gauge(
            "calodqm_data_timestamp_seconds", "Newest judged data-second.", now.data_second or 0
        )
        yield _gauge(
            "calodqm_false_pages_allowed", "False pages that the time watched allows.",
            now.budget.allowed,
        )  # fmt: skip
        yield _gauge("calodqm_pages_spent", "Pages raised in that time.", now.budget.pages)
        yield _gauge(
            "calodqm_masked_regions",
            "Regions taken out by hand.",
            sum(row.masked for row in now.board),
        )
        yield _gauge(
            "calodqm_reference_showers", "Showers in the reference.", now.reference.showers
        )
        if now.reference_distance is not None:
            yield _gauge(
                "calodqm_reference_distance",
                "Distance of the live reference from the certified one.",
                now.reference_distance,
            )
        info = InfoMetricFamily("calodqm_reference", "Reference in force.")
        ref = now.reference
        info.add_metric([], {"id": ref.id, "origin": ref.origin, "model": ref.model})
        yield info
        yield from stream_series(now.stream)
        yield from _self_tests(now)
        yield from p_series(now.spectra, ref.origin)
        if now.latents is not None:
            yield from latent_series(now.latents, self._detector)

    def _alarms(self, now: Standing) -> Iterable[Metric]:
        alarms = now.alarms
        loud = {alarm.id for alarm in now.unacknowledged()}
        # Where places are many, one has its series from its first alarm on; a channel or a group has
        # some while its alarm is open, for there are too many of them.
        self._places |= {(a.level, a.place) for a in alarms if a.level not in WHILE_OPEN}
        labels = ["level", "place", "severity"]
        opened = GaugeMetricFamily(
            "calodqm_alarms_open", "Open alarms that nobody has acknowledged.", labels=labels
        )
        taken = GaugeMetricFamily(
            "calodqm_alarms_acknowledged", "Open alarms in somebody's hands.", labels=labels
        )
        for level, place in sorted(self._places | {(a.level, a.place) for a in alarms}):
            for severity in Severity:
                here = [
                    a for a in alarms if (a.level, a.place, a.severity) == (level, place, severity)
                ]
                n_loud = sum(a.id in loud for a in here)
                opened.add_metric([level, place, severity], n_loud)
                taken.add_metric([level, place, severity], len(here) - n_loud)
        yield opened
        yield taken
        yield self._explained(alarms)
        yield from _evidence(alarms)
        yield cell_series(alarms)
        if now.channels:
            yield from channel_series(now.channels, alarms)

    def _explained(self, alarms: tuple[Alarm, ...]) -> Metric:
        """Return of each sector whether an open alarm of one around it explains it."""
        family = GaugeMetricFamily(
            "calodqm_sector_explained",
            "Whether an open alarm of a sector around it explains the sector, in hand or not.",
            labels=["sector", "severity"],
        )
        open_ = {(a.place, a.severity) for a in alarms if a.level is Level.SECTOR}
        for sector, around in self._around.items():
            for severity in Severity:
                explained = any((outer, severity) in open_ for outer in around)
                family.add_metric([sector, severity], explained)
        return family


def _evidence(alarms: tuple[Alarm, ...]) -> Iterable[Metric]:
    """Yield what is known of each open alarm; these series live as long as the alarm."""
    labels = ["level", "place", "severity", "kind"]
    onset = GaugeMetricFamily(
        "calodqm_alarm_onset_timestamp_seconds",
        "Most likely start of an open alarm's fault, data time.",
        labels=labels,
    )
    odds = GaugeMetricFamily(
        "calodqm_alarm_log10_odds",
        "Evidence of an open alarm against nothing being wrong.",
        labels=labels,
    )
    # Two alarms of one place and kind would be one series twice: the stronger stands for both.
    ranked = sorted(alarms, key=lambda alarm: alarm.log10_odds)
    strongest = {(a.level, a.place, a.severity, a.kind): a for a in ranked}
    for names, alarm in strongest.items():
        onset.add_metric([str(name) for name in names], alarm.onset_ns / 1e9)
        odds.add_metric([str(name) for name in names], alarm.log10_odds)
    yield onset
    yield odds


def _regions(now: Standing, labels: dict[int, str]) -> Iterable[Metric]:
    """Yield what is said of each region; `labels`: of their series, by id."""
    quality = StateSetMetricFamily(
        "calodqm_region_quality",
        "Verdict on the region now; of many regions the worst of each sector, and those that are "
        "medium or bad.",
        labels=["region"],
    )
    out = GaugeMetricFamily(
        "calodqm_region_out",
        "Whether nothing is expected of the region: masked, or not in the run.",
        labels=["region"],
    )
    watched = {row.name for row in now.board if row.in_run and not row.masked}
    watched |= {labels.get(row.region, row.sector) for row in now.board if row.name in watched}
    for name, worst in _qualities(now.board, labels).items():
        quality.add_metric([name], {q.value: q is worst for q in Quality})
        out.add_metric([name], name not in watched)
    yield quality
    yield out


def _qualities(board: tuple[RegionNow, ...], labels: dict[int, str]) -> dict[str, Quality]:
    """Return what is told of regions, by the value of their label."""
    if len(board) <= MAX_REGION_LABELS:
        return {row.name: row.quality for row in board}
    told: dict[str, Quality] = {
        row.name: row.quality for row in board if row.quality in {Quality.MEDIUM, Quality.BAD}
    }
    for row in sorted(board, key=_concern):  # the worst comes last
        told[labels.get(row.region, row.sector)] = row.quality
    return told


def _concern(row: RegionNow) -> tuple[bool, int]:
    return not row.masked, RANK[row.quality]


def _run(now: Standing) -> Metric:
    family = StateSetMetricFamily("calodqm_run_state", "What the data acquisition says of the run.")
    family.add_metric([], {state.value: state is now.run_now for state in RunNow})
    return family


def _self_tests(now: Standing) -> Iterable[Metric]:
    labels = ["fault"]
    injected = CounterMetricFamily(
        "calodqm_selftest_injected", "Faults injected into a copy of the stream.", labels=labels
    )
    found = CounterMetricFamily(
        "calodqm_selftest_found", "Injected faults that raised an alarm.", labels=labels
    )
    for test in now.self_tests:
        injected.add_metric([test.fault], test.injected)
        found.add_metric([test.fault], test.found)
    yield injected
    yield found


def _gauge(name: str, text: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, text)
    family.add_metric([], value)
    return family
