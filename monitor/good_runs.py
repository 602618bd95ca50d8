"""Good-run list: which lumisections of a run an analysis may use, region by region."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.quality import Quality

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.verdicts import Verdict

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
        if kept and kept[-1][1] == verdict.lumisection - 1:
            kept[-1][1] = verdict.lumisection
        else:
            kept.append([verdict.lumisection, verdict.lumisection])
    return found
