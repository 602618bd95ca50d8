"""Grounds: what a verdict rests on besides counts, and the verdict that follows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from monitor.quality.quality import Quality
from monitor.quality.verdicts import Verdict
from monitor.verdicts.claims import Claims
from monitor.verdicts.section import union

if TYPE_CHECKING:
    from monitor.detector.places import Places
    from monitor.verdicts.claims import Span
    from monitor.verdicts.section import Section

UNKNOWN = "unknown"
"""What is said of a region where nobody can know whether it is silent, or what its showers are."""

OUTSIDE = "outside of the energies and conditions that the model knows"

KEPT_LOSSES = 64


@dataclass(frozen=True, slots=True)
class Loss:
    """Data-seconds of which records are gone: [start, end)."""

    start: int
    end: int
    words: str


class Grounds:
    """Claims of alarms, masks, losses and showers that were not scored; verdicts by them.

    Parameters
    ----------
    places
        The detector.
    min_showers
        With fewer in a lumisection, a region's verdict is NULL.
    """

    def __init__(self, places: Places, min_showers: int, model: str, software: str) -> None:
        self._places = places
        self._min_showers = min_showers
        self._model, self._software = model, software
        self.reference = ""
        self.claims = Claims()
        self.skipped: Counter[tuple[int, int, int]] = Counter()
        """Showers that were not scored, by run, lumisection and row of the region."""

        self.losses: list[Loss] = []
        """The last records that are gone."""

        self.masked: dict[int, str] = {}
        """Cause by row of the region."""

        self.left_out: dict[int, tuple[str, ...]] = {}
        """Names of channels that are masked or known to be bad, by row of the region."""

    def lose(self, loss: Loss) -> None:
        """Take note of records that are gone."""
        self.losses = [*self.losses, loss][-KEPT_LOSSES:]

    def forget_skipped(self, kept: int) -> None:
        """Forget which showers were not scored in all but so many of the newest."""
        for key in sorted(self.skipped)[:-kept]:
            del self.skipped[key]

    def succeed(self, former: Grounds) -> None:
        """Take over what alarms claim, what was not scored and what is gone."""
        self.skipped = Counter(former.skipped)
        self.claims = former.claims.copy()
        self.losses = list(former.losses)

    def current(self, row: int, second: int) -> tuple[Quality, str]:
        """Return the quality of a region now, for the board."""
        claims = self.claims.within(row, second, second + 1)
        open_spans = [s for s in claims if not s.channels]
        if open_spans:
            worst = max(open_spans, key=lambda span: span.quality is Quality.BAD)
            return worst.quality, worst.reason
        if row in self.masked:
            return Quality.NULL, f"masked: {self.masked[row]}"
        return Quality.GOOD, "; ".join(s.reason for s in claims)

    def verdict(self, section: Section, row: int) -> Verdict:
        """Return the next version of the verdict on a region (row) of a lumisection."""
        window = section.span
        spans = self.claims.within(row, *window)
        quality, reason = self._quality(section, row, spans)
        skipped = self.skipped[section.run, section.lumisection, row]
        if skipped:
            reason += f"{'; ' if reason else ''}{skipped} showers were not scored: overload"
        for loss in self.losses:
            if loss.start < window[1] and loss.end > window[0]:
                reason += f"{'; ' if reason else ''}{loss.words}"
        version = section.versions.get(row, 0) + 1
        section.versions[row] = version
        region = self._places.detector.regions[row]
        active = [(max(s.start, window[0]), min(s.end, window[1])) for s in spans]
        return Verdict(
            run=section.run,
            lumisection=section.lumisection,
            region=region.id,
            name=region.name,
            quality=quality,
            version=version,
            showers=int(section.showers[row]),
            exceedances=int(section.exceedances[row]),
            expected=float(section.expected[row]),
            known=tuple(section.known(row)),
            active=tuple(union(active)),
            alarms=tuple(dict.fromkeys(s.alarm for s in spans)),
            reason=reason,
            model=self._model,
            reference=self.reference,
            software=self._software,
            skipped=skipped,
            channels=self._channels(row, spans),
        )

    def _channels(self, row: int, spans: list[Span]) -> tuple[str, ...]:
        """Return the channels and groups that are not to be used, by name."""
        claimed = (name for span in spans for name in span.channels)
        return tuple(sorted({*claimed, *self.left_out.get(row, ())}))

    def _quality(self, section: Section, row: int, spans: list[Span]) -> tuple[Quality, str]:
        seconds, outside = section.unknown_s(row), int(section.outside[row])
        missing = f"{seconds} s without an answer for all of its partitions" if seconds else ""
        if outside:
            missing += f"{'; ' if missing else ''}{outside} showers {OUTSIDE}"
        parts = "; ".join(span.reason for span in spans if span.channels)
        spans = [span for span in spans if not span.channels]
        bad = [span for span in spans if span.quality is Quality.BAD]
        if bad or spans:
            worst = (bad or spans)[0]
            return worst.quality, worst.reason
        if row in self.masked:
            return Quality.NULL, f"masked: {self.masked[row]}"
        n = int(section.showers[row])
        if n < self._min_showers or n < outside:
            few = f"{n} showers: too few to say" if n else "no data"
            return Quality.NULL, f"{UNKNOWN}: {missing}" if missing else few
        return Quality.GOOD, "; ".join(word for word in (missing, parts) if word)

    def state(self) -> dict[str, Any]:
        """Return all that changes, as JSON values."""
        return {
            "reference": self.reference,
            "losses": [[loss.start, loss.end, loss.words] for loss in self.losses],
            "skipped": [[*key, n] for key, n in self.skipped.items()],
            "masked": {str(row): cause for row, cause in self.masked.items()},
            "spans": self.claims.to_json(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned."""
        self.reference = state["reference"]
        self.losses = [Loss(*loss) for loss in state["losses"]]
        self.skipped = Counter({(a, b, row): n for a, b, row, n in state["skipped"]})
        self.masked = {int(row): cause for row, cause in state["masked"].items()}
        self.claims = Claims.from_json(state["spans"])
