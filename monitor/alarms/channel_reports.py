"""Channel reports: a case of channels in the words and numbers that people get."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms import channel_signs, wording
from monitor.detector.tree import Level
from monitor.quality.alarms import Alarm, ChannelShare, Kind, RegionShare, State
from monitor.sequential.channel_streams import LAYER, STREAMS
from monitor.sequential.rates import Test
from monitor.windows.clock import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from models.detector.channels import Channels
    from monitor.alarms.channel_case import ChannelCase
    from monitor.alarms.channel_signs import ChannelSigns
    from monitor.detector.places import Places
    from monitor.quality.alarms import ReferenceSummary
    from monitor.reference.channel_constants import ChannelConstants
    from monitor.sequential.channel_watch import ChannelWatch
    from monitor.windows.clock import Clock

MAX_CHANNELS = 64
"""Channels that an alarm names; a group is named as such."""

PHRASE = {
    Kind.DEAD: "dead",
    Kind.HOT: "hot",
    Kind.NOISE: "noisy",
    Kind.GAIN: "gain has moved",
    Kind.SWAP: "exchanged",
    Kind.PEDESTAL: "pedestal has moved",
    Kind.UNKNOWN: "unlike before",
}


class ChannelReporter:
    """Makes alarms of cases of channels.

    Parameters
    ----------
    channels, places
        What is watched.
    clock
        The time, as it stands.
    model
        Content hash of the artefact that scores.
    reference
        Returns what "good" is measured against.
    """

    def __init__(
        self,
        channels: Channels,
        places: Places,
        clock: Clock,
        model: str,
        reference: Callable[[], ReferenceSummary],
    ) -> None:
        self._channels, self._places, self._clock = channels, places, clock
        self._model, self._reference = model, reference

    def alarm(
        self, case: ChannelCase, state: State, watch: ChannelWatch, constants: ChannelConstants
    ) -> Alarm:
        """Return the record of a case as it stands."""
        table = watch.since(case.onset)
        signs = channel_signs.signs(table, constants, watch.tests.pool, watch.ignored)
        rows = np.array(case.channels)
        kind, margin = channel_signs.likely(signs, rows, case.test)
        observed, expected, error = self._numbers(case, signs, rows)
        reference = self._reference()
        alarm = Alarm(
            id=case.id,
            version=case.version,
            state=state,
            severity=case.severity,
            level=case.level,
            place=case.place,
            test=case.test.value,
            onset_ns=case.onset * SECOND_NS,
            raised_ns=case.raised * SECOND_NS,
            now_ns=self._clock.now_ns,
            run=max(self._clock.run, 0),
            lumisection=max(self._clock.lumisection, 0),
            showers=int(signs.showers[rows].sum()),
            observed=observed,
            expected=expected,
            expected_sd=error,
            log10_odds=float(case.odds / np.log(10)),
            reference=reference,
            kind=kind,
            kind_margin=margin,
            regions=self._regions(case),
            cells=(),
            worst=(),
            children=tuple(case.children),
            summary=self._summary(case, kind),
            text="",
            runbook=kind.value.replace(" ", "-"),
            channels=self._shares(case, watch),
        )
        return replace(alarm, text=self._text(alarm, case, signs, rows))

    def _numbers(
        self, case: ChannelCase, signs: ChannelSigns, rows: NDArray[np.int64]
    ) -> tuple[float, float, float]:
        """Return what was seen in the terms of the test, what was expected, and its error."""
        n = max(float(signs.showers[rows].sum()), 1.0)
        weight = signs.showers[rows] / n
        if case.test is Test.LATENT_SPREAD:
            return float(signs.spread[rows] @ weight), 1.0, float(np.sqrt(2 / n))
        if case.test is Test.OCCUPANCY:
            return float(signs.lit[rows] @ weight), 1.0, float(1 / np.sqrt(n))
        if case.test is Test.SEEDS:
            return float(signs.seeds[rows].mean()), 1.0, float(1 / np.sqrt(n))
        if case.test is Test.LATENT_MEAN and STREAMS[case.stream].scope == LAYER:
            return _of_layer(signs, rows)[0], 0.0, _of_layer(signs, rows)[1]
        return float(signs.shift[rows] @ weight), 0.0, float(1 / np.sqrt(n))

    def _regions(self, case: ChannelCase) -> tuple[RegionShare, ...]:
        rows, counts = np.unique(self._channels.region[case.channels], return_counts=True)
        regions = self._places.detector.regions
        return tuple(
            RegionShare(regions[row].id, regions[row].name, float(n / counts.sum()))
            for row, n in zip(rows.tolist(), counts, strict=True)
            if row >= 0
        )

    def _shares(self, case: ChannelCase, watch: ChannelWatch) -> tuple[ChannelShare, ...]:
        said = watch.odds()[case.channels] + 1e-9
        share = said / said.sum()
        order = np.argsort(-share, kind="stable")[:MAX_CHANNELS]
        return tuple(
            ChannelShare(case.channels[i], self._channels.name(case.channels[i]), float(share[i]))
            for i in order.tolist()
        )

    def _summary(self, case: ChannelCase, kind: Kind) -> str:
        """Return the one line: where and what."""
        what = PHRASE.get(kind, PHRASE[Kind.UNKNOWN])
        if case.level is Level.GROUP:
            return f"Group {case.place} ({len(case.channels)} channels): {what}"
        names = [self._channels.name(channel) for channel in case.channels]
        plural = "s" if len(names) > 1 else ""
        return f"Channel{plural} {' and '.join(names)}: {what}"

    def _text(
        self, alarm: Alarm, case: ChannelCase, signs: ChannelSigns, rows: NDArray[np.int64]
    ) -> str:
        """Return the evidence in a few sentences."""
        n = max(float(signs.showers[rows].sum()), 1.0)
        weight = signs.showers[rows] / n
        shift, lit = float(signs.shift[rows] @ weight), float(signs.lit[rows] @ weight)
        spread, seeds = float(signs.spread[rows] @ weight), float(signs.seeds[rows].mean())
        energy = _energy(signs, rows)
        sure = "likely" if alarm.kind_margin >= 1 else "perhaps"
        action = wording.ACTION.get(alarm.kind, wording.ACTION[Kind.UNKNOWN])
        where = self._where(case)
        return (
            f"{alarm.place}{where}, since {wording.clock(case.onset)}: in {alarm.showers:,} showers "
            f"near it the latent is off by {shift:+.2f} ± {1 / np.sqrt(n):.2f} deviations, its mean "
            f"square {spread:.2f} times, lit {lit:.2f} times, showers centred on it {seeds:.2f} "
            f"times the usual{energy}. Found by {alarm.test}; odds 1 to "
            f"{wording.power(alarm.log10_odds)} against a healthy channel; chance alone would do "
            f"this once in {wording.duration(case.once_in)}, somewhere in "
            f"{len(self._channels):,} channels. It is {sure} {alarm.kind.value}. {action}"
        )

    def _where(self, case: ChannelCase) -> str:
        """Return where the channel that says most lies."""
        at = self._channels.position[case.channels[0]]
        axes = [axis.split(" /")[0] for axis in self._channels.axes]
        layer = self._channels.layers[int(self._channels.layer[case.channels[0]])]
        layer = f"{layer}, " if len(self._channels.layers) > 1 else ""
        return f" ({layer}{axes[0]} {at[0]:.4g}, {axes[1]} {at[1]:.4g})"


def _of_layer(signs: ChannelSigns, rows: NDArray[np.int64]) -> tuple[float, float]:
    """Return how far the energy is off in showers centred on some channels, and the error."""
    n = max(float(signs.core[rows].sum()), 1.0)
    return float(signs.layer[rows] @ signs.core[rows]) / n, float(1 / np.sqrt(n))


def _energy(signs: ChannelSigns, rows: NDArray[np.int64]) -> str:
    """Return the words for it; none where no shower was centred on them: a dead channel is no seed."""
    if not signs.core[rows].any():
        return ""
    off, error = _of_layer(signs, rows)
    return f"; in those the energy is off by {off:+.2f} ± {error:.2f} deviations"
