"""Good runs: the good-run list that analysts use, from verdicts."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from monitor.quality import Quality

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.verdicts import Verdict

FORMAT = "calodqm.good-runs/1"


def newest(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return the highest version of every verdict, in the order of run, lumisection, region."""
    latest: dict[tuple[int, int, int], Verdict] = {}
    for verdict in verdicts:
        key = (verdict.run, verdict.lumisection, verdict.region)
        if key not in latest or latest[key].version < verdict.version:
            latest[key] = verdict
    return [latest[key] for key in sorted(latest)]


def good_runs(
    verdicts: Iterable[Verdict],
    *,
    run: int | None = None,
    accept: frozenset[Quality] = frozenset({Quality.GOOD}),
    ignore: frozenset[int] = frozenset(),
) -> dict[str, Any]:
    """Return the good-run list as JSON values.

    A lumisection is good if every region that is not ignored has an accepted quality. NULL is not
    accepted unless asked for: what is not known to be good is not in the list.

    Parameters
    ----------
    verdicts
        Any versions, in any order.
    run
        Only this one.
    accept
        Qualities that count as good.
    ignore
        Ids of regions that an analysis does without.

    Returns
    -------
    values
        `good`: {run: [[first, last lumisection], ...]}, as CMS and ATLAS lists have it;
        `regions`: the same by name of the region; `verdicts`: one row for every region and
        lumisection that is not accepted, with its reason, version, segments and provenance.
    """
    chosen = [v for v in newest(verdicts) if run is None or v.run == run]
    whole: dict[tuple[int, int], bool] = {}
    regions: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for verdict in chosen:
        good = verdict.quality in accept
        key = (verdict.run, verdict.lumisection)
        whole[key] = whole.get(key, True) and (good or verdict.region in ignore)
        if good:
            regions[verdict.name][verdict.run].append(verdict.lumisection)
    runs: dict[int, list[int]] = defaultdict(list)
    for (number, lumisection), good in sorted(whole.items()):
        if good:
            runs[number].append(lumisection)
    return {
        "format": FORMAT,
        "accepted": sorted(quality.value for quality in accept),
        "good": _ranges(runs),
        "regions": {name: _ranges(found) for name, found in sorted(regions.items())},
        "verdicts": [_row(v) for v in chosen if v.quality not in accept],
        "models": sorted({v.model for v in chosen}),
        "references": sorted({v.reference for v in chosen}),
        "software": sorted({v.software for v in chosen}),
    }


def _row(verdict: Verdict) -> dict[str, Any]:
    return {
        "run": verdict.run,
        "lumisection": verdict.lumisection,
        "region": verdict.name,
        "quality": verdict.quality.value,
        "version": verdict.version,
        "reason": verdict.reason,
        "known": [list(segment) for segment in verdict.known],
        "active": [list(segment) for segment in verdict.active],
        "alarms": list(verdict.alarms),
        "model": verdict.model,
        "reference": verdict.reference,
    }


def _ranges(runs: dict[int, list[int]]) -> dict[str, list[list[int]]]:
    """Return lumisections as closed ranges.

    >>> _ranges({7: [1, 2, 3, 5]})
    {'7': [[1, 3], [5, 5]]}
    """
    out: dict[str, list[list[int]]] = {}
    for run, lumisections in sorted(runs.items()):
        ranges: list[list[int]] = []
        for lumisection in sorted(lumisections):
            if ranges and lumisection == ranges[-1][1] + 1:
                ranges[-1][1] = lumisection
            else:
                ranges.append([lumisection, lumisection])
        out[str(run)] = ranges
    return out
