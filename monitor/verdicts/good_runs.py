"""Good-run list: which lumisections of a run an analysis may use, region by region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.quality.quality import Quality

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.quality.verdicts import Verdict

FORMAT = "calodqm.good-runs/1"
USABLE = frozenset({Quality.GOOD})


def newest(verdicts: Iterable[Verdict], run: int) -> list[Verdict]:
    """Return the newest version of each verdict of a run, by lumisection and region."""
    found: dict[tuple[int, int], Verdict] = {}
    for verdict in verdicts:
        place = (verdict.lumisection, verdict.region)
        known = found.get(place)
        if verdict.run == run and (known is None or verdict.version > known.version):
            found[place] = verdict
    return [found[place] for place in sorted(found)]


def segments(
    verdicts: Iterable[Verdict], usable: frozenset[Quality] = USABLE
) -> dict[str, list[list[int]]]:
    """Return the usable lumisections of each region as closed segments [first, last].

    Parameters
    ----------
    verdicts
        The newest of one run, as `newest` returns them.
    usable
        Qualities that an analysis takes. A lumisection without a verdict is never usable.

    Examples
    --------
    >>> segments([])
    {}
    """
    found: dict[str, list[list[int]]] = {}
    for verdict in sorted(verdicts, key=lambda v: (v.name, v.lumisection)):
        kept = found.setdefault(verdict.name, [])
        if verdict.quality not in usable:
            continue
        _extend(kept, verdict.lumisection)
    return found


def listing(verdicts: Iterable[Verdict], usable: frozenset[Quality] = USABLE) -> dict[str, Any]:
    """Return the good-run list of one run, with provenance, as JSON values.

    A lumisection is good if every region with a verdict is usable. NULL is not usable unless asked
    for: what is not known to be good is not in the list.

    Parameters
    ----------
    verdicts
        The newest of one run, as `newest` returns them.
    usable
        Qualities that an analysis takes.

    Returns
    -------
    values
        `good`: {run: [[first, last lumisection], ...]}, as CMS and ATLAS lists have it;
        `regions`: the same by name of the region; `channels`: the same by name of each channel or
        group of channels that is not to be used there, though the rest of its region is;
        `verdicts`: a row for every region and lumisection that is not usable, with reason, version,
        segments and provenance.
    """
    chosen = list(verdicts)
    whole: dict[tuple[int, int], bool] = {}
    for verdict in chosen:
        key = (verdict.run, verdict.lumisection)
        whole[key] = whole.get(key, True) and verdict.quality in usable
    good: dict[str, list[list[int]]] = {str(run): [] for run, _ in whole}
    for (run, lumisection), is_good in sorted(whole.items()):
        if is_good:
            _extend(good[str(run)], lumisection)
    return {
        "format": FORMAT,
        "usable": sorted(quality.value for quality in usable),
        "good": good,
        "regions": segments(chosen, usable),
        "channels": bad_channels(chosen),
        "verdicts": [_row(verdict) for verdict in chosen if verdict.quality not in usable],
        "models": sorted({verdict.model for verdict in chosen}),
        "references": sorted({verdict.reference for verdict in chosen}),
        "software": sorted({verdict.software for verdict in chosen}),
    }


def bad_channels(verdicts: Iterable[Verdict]) -> dict[str, list[list[int]]]:
    """Return the lumisections in which each channel, or group, is not to be used: [first, last].

    Parameters
    ----------
    verdicts
        The newest of one run, as `newest` returns them.

    Examples
    --------
    >>> bad_channels([])
    {}
    """
    found: dict[str, set[int]] = {}
    for verdict in verdicts:
        for name in verdict.channels:
            found.setdefault(name, set()).add(verdict.lumisection)
    closed: dict[str, list[list[int]]] = {}
    for name in sorted(found):
        closed[name] = []
        for lumisection in sorted(found[name]):
            _extend(closed[name], lumisection)
    return closed


def _extend(ranges: list[list[int]], lumisection: int) -> None:
    """Add a lumisection to closed ranges that end before it."""
    if ranges and lumisection == ranges[-1][1] + 1:
        ranges[-1][1] = lumisection
    else:
        ranges.append([lumisection, lumisection])


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
